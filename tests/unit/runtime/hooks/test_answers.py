"""What comes back from LiteLLM: its refusals in dialect, and the spans of what passed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.assertion import sign
from runtime.guards import Guard
from tests.unit.runtime.hooks.gate_world import (
    EACH,
    KEY,
    Collector,
    World,
    about,
    refusal,
)


class TestLiteLLMsRefusals:
    @pytest.mark.parametrize(
        ("status", "content", "expected", "retry"),
        [
            (
                422,
                {"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded", "code": "422"}},
                429,
                "false",
            ),
            (
                400,
                {"error": {"message": "Budget has been exceeded! Current cost: 1", "type": "budget_exceeded"}},
                429,
                "false",
            ),
            (
                403,
                {"error": {"message": "key not allowed to access model", "type": "key_model_access_denied"}},
                403,
                "false",
            ),
            (
                401,
                {"error": {"message": "Authentication Error, Invalid proxy server token", "code": "401"}},
                503,
                "true",
            ),
            (429, {"error": {"message": "Rate limit exceeded. Limit type: requests"}}, 429, "true"),
            (500, {"error": {"message": "boom"}}, 503, "true"),
            (502, "not json", 503, "true"),
            (400, {"detail": {"error": "bad request"}}, 400, "false"),
            (404, {"error": {"message": "model not found", "code": "404"}}, 404, "false"),
        ],
    )
    @EACH
    async def test_in_the_callers_words(
        self, world: World, path: str, status: int, content: Any, expected: int, retry: str
    ) -> None:
        world.upstream.status, world.upstream.content = status, content
        answer = await world.ask(path)
        assert refusal(answer, path)[0] == expected
        assert answer.headers["x-should-retry"] == retry
        settled = world.custodian.only("settled")
        assert (settled["status"], settled["input_tokens"], settled["output_tokens"]) == (expected, 0, 0)

    async def test_a_forgotten_key_is_said_to_the_custodian(self, world: World) -> None:
        world.upstream.status, world.upstream.content = 401, {"error": {"message": "Invalid proxy server token"}}
        await world.ask()
        assert world.custodian.only("settled")["reason"] == "unknown_key"


REFUSED = {"error": {"message": "litellm.AuthenticationError: AnthropicException - {}"}}


class TestAProvidersRefusals:
    """Of the credential that went out: LiteLLM passes them on with its own status for a key that it does not know."""

    @EACH
    async def test_of_ones_own_sign_in(self, world: World, path: str) -> None:
        world.upstream.status, world.upstream.content = 401, REFUSED
        answer = await world.ask(path, headers=world.headers(credential="enrolment"))
        assert refusal(answer, path)[0] == 401
        assert answer.headers["x-should-retry"] == "false"
        assert world.custodian.only("settled")["reason"] == "sign_in_refused"

    @EACH
    async def test_of_the_companys_key(self, world: World, path: str) -> None:
        world.upstream.status, world.upstream.content = 401, REFUSED
        answer = await world.ask(path)
        assert refusal(answer, path)[0] == 503
        assert answer.headers["x-should-retry"] == "false"
        assert world.custodian.only("settled")["reason"] == "provider_credential_refused"


class TestTelemetry:
    async def test_what_the_trace_store_reads(self, world: World) -> None:
        assertion = about(demo=True)
        headers = {"x-praxis-assertion": sign(assertion, KEY), "x-session-id": "session-7"}
        await world.ask(headers=headers)
        spans = world.spans().spans
        assert {span.trace_id.hex() for span in spans} == {assertion.trace}
        root = next(span for span in spans if not span.parent_span_id)
        assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
        attributes = world.collector.attributes("openai small")
        assert (attributes["user.id"], attributes["session.id"]) == ("alice", "session-7")
        assert (attributes["praxis.department"], attributes["praxis.role"]) == ("research", "engineer")
        assert (attributes["praxis.kind"], attributes["praxis.demo"]) == ("person", True)
        model = world.collector.attributes("model small")
        assert (model["gen_ai.usage.input_tokens"], model["gen_ai.usage.output_tokens"]) == (11, 5)
        assert json.loads(model["mlflow.llm.cost"])["total_cost"] == pytest.approx(21e-6)
        assert attributes["output.value"] == "Hello"

    async def test_a_collector_that_is_away_costs_no_request(self, guard: Guard, tmp_path: Path) -> None:
        away = Collector()
        away.close()
        world = World(guard, away, tmp_path)
        assert (await world.ask()).status_code == 200
