"""How large a request is: guarded and on record like one that is answered, and free of charge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.wire import COUNT_PATH, TICKET_HEADER
from tests.unit.runtime.hooks.gate_world import AWS, CARD, COUNTED, World, refusal

URL = COUNTED.routes["small"].url


@pytest.fixture
def with_ticket(world: World) -> World:
    world.custodian.answers["admitted"] = {"ticket": "ticket-of-this-one"}
    return world


async def test_it_goes_to_the_provider_as_it_is(with_ticket: World) -> None:
    world = with_ticket
    body: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"name": "b", "input_schema": {"type": "object"}}, {"name": "a", "input_schema": {}}],
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "hi"}],
        "model": "small",
    }
    headers = {**world.headers(), "anthropic-beta": "one,two", "anthropic-version": "2023-06-01", "x-app": "cli"}
    answer = await world.http.post(f"{COUNT_PATH}?beta=true", json=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"input_tokens": 42})
    assert answer.headers["x-praxis-trace-id"]
    ((url, sent, content),) = world.egress.asked
    assert url == f"{URL}?beta=true"
    assert json.dumps(content) == json.dumps({**body, "model": "small-4-5"}), "in the same order"
    assert sent[TICKET_HEADER] == "ticket-of-this-one"
    assert (sent["anthropic-beta"], sent["anthropic-version"]) == ("one,two", "2023-06-01")
    assert not {"authorization", "x-app", "x-praxis-assertion"} & set(sent)
    assert world.upstream.asked == []


async def test_it_is_on_record_and_takes_no_tokens(with_ticket: World) -> None:
    world = with_ticket
    await world.ask(COUNT_PATH)
    admitted, settled = world.custodian.only("admitted"), world.custodian.only("settled")
    assert admitted["counting"]
    assert settled["counting"]
    assert (settled["input_tokens"], settled["output_tokens"], settled["reason"]) == (0, 0, "count_tokens")


async def test_it_is_guarded(with_ticket: World) -> None:
    world = with_ticket
    assert (await world.ask(COUNT_PATH, f"keep {AWS}")).status_code == 400
    assert world.egress.asked == []
    await world.ask(COUNT_PATH, f"card {CARD}")
    ((_, _, content),) = world.egress.asked
    assert CARD not in json.dumps(content)


async def test_what_is_not_on_record_is_not_asked(with_ticket: World) -> None:
    world = with_ticket
    world.custodian.statuses["admitted"] = 0
    assert (await world.ask(COUNT_PATH)).status_code == 503
    assert world.egress.asked == []


async def test_of_other_models_there_is_an_estimate(world: World) -> None:
    short = (await world.ask(COUNT_PATH, model="tiny")).json()["input_tokens"]
    assert 0 < short < (await world.ask(COUNT_PATH, "hi " * 100, model="tiny")).json()["input_tokens"]
    assert (world.upstream.asked, world.egress.asked) == ([], [])


async def test_an_estimate_is_on_record_too(world: World) -> None:
    await world.ask(COUNT_PATH, model="tiny")
    assert world.custodian.only("settled")["reason"] == "count_tokens"


@pytest.mark.parametrize(("status", "said"), [(0, 503), (500, 503), (529, 529), (404, 404), (400, 400), (401, 503)])
async def test_a_failure_is_said_in_dialect(with_ticket: World, status: int, said: int) -> None:
    world = with_ticket
    world.egress.status, world.egress.answer = status, b'{"type":"error","error":{"type":"api_error","message":"no"}}'
    answer = await world.ask(COUNT_PATH)
    assert answer.status_code == said
    assert refusal(answer, "/v1/messages")[1]
    assert world.custodian.only("settled")["status"] == said


async def test_an_own_sign_in_that_is_not_taken_is_said(with_ticket: World) -> None:
    world = with_ticket
    world.egress.status = 401
    answer = await world.ask(COUNT_PATH, headers=world.headers(credential="enrolment"))
    assert refusal(answer, "/v1/messages") == (401, "authentication_error")


async def test_nothing_is_looked_up_there(world: World) -> None:
    assert (await world.http.get(COUNT_PATH, headers=world.headers())).status_code == 404


GEMINI_COUNT = "/v1beta/models/small:countTokens"


@pytest.mark.parametrize("wrapped", [False, True])
async def test_gemini_s_is_answered_here(with_ticket: World, wrapped: bool) -> None:
    world = with_ticket
    asked: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "word " * 300}]}]}
    body = {"generateContentRequest": {"model": "models/small", **asked}} if wrapped else asked
    answer = await world.http.post(GEMINI_COUNT, json=body, headers=world.headers())
    assert answer.status_code == 200
    assert 500 <= answer.json()["totalTokens"] <= 700
    assert world.egress.asked == world.upstream.asked == []
    settled = world.custodian.only("settled")
    assert (settled["dialect"], settled["counting"], settled["reason"]) == ("gemini", True, "count_tokens")


async def test_gemini_s_is_guarded(with_ticket: World) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": f"keep {AWS}"}]}]}
    answer = await with_ticket.http.post(GEMINI_COUNT, json=body, headers=with_ticket.headers())
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
