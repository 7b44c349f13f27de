"""Nothing goes on that is not recorded or does not fit a budget."""

from __future__ import annotations

import asyncio

import pytest

from runtime.hooks import records
from tests.unit.runtime.hooks.gate_world import (
    EACH,
    GEMINI,
    MESSAGES,
    World,
)


class TestBudget:
    @EACH
    async def test_what_the_ledger_refuses_is_said_in_dialect(self, world: World, path: str) -> None:
        refusal = {"code": "budget_exceeded", "message": "too dear", "status": 429, "retry": False}
        world.custodian.statuses["admitted"], world.custodian.answers["admitted"] = 422, refusal
        answer = await world.ask(path)
        assert (answer.status_code, answer.json()["error"]["message"]) == (429, "too dear")
        kind = "status" if path == GEMINI else "type"
        said = "RESOURCE_EXHAUSTED" if path == GEMINI else "rate_limit_error"
        assert (answer.json()["error"][kind], answer.headers["x-should-retry"]) == (said, "false")
        assert (world.custodian.only("refused")["status"], world.upstream.asked) == (429, [])

    async def test_what_a_request_could_take_is_told_before_it_goes_out(self, world: World) -> None:
        await world.ask(text="x " * 400, n=2)
        estimate = world.custodian.only("admitted")["estimate"]
        assert (estimate["output_tokens"], estimate["answers"]) == (5, 2)
        assert 267 <= estimate["input_tokens"] <= 380

    async def test_what_asks_for_more_than_can_be_recorded_does_not_go_out(self, world: World) -> None:
        answer = await world.ask(max_tokens=10**30)
        assert (answer.status_code, world.upstream.asked) == (503, [])
        assert world.custodian.only("refused")["reason"] == "not_recorded"

    async def test_what_a_cache_held_is_told_apart(self, world: World) -> None:
        usage = {
            "input_tokens": 5,
            "cache_read_input_tokens": 70,
            "cache_creation_input_tokens": 20,
            "output_tokens": 3,
        }
        world.upstream.content = {"type": "message", "content": [], "usage": usage}
        await world.ask(MESSAGES)
        told = world.custodian.only("settled")
        assert (told["input_tokens"], told["cache_read_tokens"], told["cache_write_tokens"]) == (95, 70, 20)

    async def test_openai_counts_it_inside(self, world: World) -> None:
        usage = {"prompt_tokens": 95, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 70}}
        world.upstream.content = {"choices": [], "usage": usage}
        await world.ask()
        told = world.custodian.only("settled")
        assert (told["input_tokens"], told["cache_read_tokens"], told["cache_write_tokens"]) == (95, 70, 0)


class TestRecords:
    @EACH
    @pytest.mark.parametrize("status", [0, 400, 401, 409, 500, 503])
    async def test_what_is_not_admitted_does_not_go_on(self, world: World, path: str, status: int) -> None:
        world.custodian.statuses["admitted"] = status
        answer = await world.ask(path)
        assert answer.status_code == 503
        assert world.upstream.asked == []

    async def test_an_ending_that_was_not_taken_is_told_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "AGAIN_S", (0.02, 0.02, 0.02, 5.0))
        world.custodian.statuses["settled"] = 503
        answer = await world.ask()
        assert answer.status_code == 200, "the answer exists; the client is not punished"
        await asyncio.sleep(0.03)
        world.custodian.statuses.clear()
        await asyncio.sleep(0.2)
        assert world.custodian.only("settled")["output_tokens"] == 5

    async def test_an_ending_that_will_never_be_taken_is_told_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "AGAIN_S", (0.01, 0.01))
        world.custodian.statuses["settled"] = 409
        await world.ask()
        world.custodian.statuses.clear()
        await asyncio.sleep(0.1)
        assert [what for what, _ in world.custodian.told] == ["admitted"]
