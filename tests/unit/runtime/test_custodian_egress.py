"""From the edge to the egress through the custodian: a credential goes out with what is on record, and only then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from runtime import receipt
from runtime.assertion import verify
from runtime.contract import Policies
from runtime.wire import EGRESS_PLACEHOLDER
from tests.unit.runtime.custodian_world import ADMIN, CHAIN, PROVIDER_KEYS, SIGNING, World, running
from tests.unit.runtime.realm import POLICIES

USER_TOKEN = "sk-ant-oat01-" + "u" * 40
PRICE = {"input": "1", "output": "2"}


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    raw = POLICIES.model_dump(mode="json")
    for model in ("claude", "claude-own"):
        raw["models"][model] = PRICE
        raw["roles"]["engineer"]["models"].append(model)
    async with running(database_settings, Policies.model_validate(raw)) as made:
        yield made


async def asked(world: World, ticket: str | None, provider: str = "anthropic", **headers: str) -> httpx.Response:
    """What the egress asks about a request of LiteLLM's."""
    forwarded = {"x-forwarded-method": "POST", "x-forwarded-uri": f"/{provider}/v1/messages"}
    carried = {"x-api-key": EGRESS_PLACEHOLDER, **headers}
    return await world.out.get(
        "/egress", headers={**forwarded, **carried, **({"x-praxis-ticket": ticket} if ticket else {})}
    )


async def admitted(world: World, model: str, **headers: Any) -> tuple[str, httpx.Response]:
    """The assertion of a request and what the hooks are told when they record it."""
    answer = await world.auth(**headers) if headers else await world.auth(world.token())
    assert answer.status_code == 200, answer.text
    assertion = answer.headers["x-praxis-assertion"]
    return assertion, await world.tell("admitted", assertion, model=model)


async def test_the_key_goes_out_between_admitted_and_settled(world: World) -> None:
    assertion, told = await admitted(world, "claude")
    ticket = told.json()["ticket"]
    answer = await asked(world, ticket)
    assert (answer.status_code, answer.headers["x-api-key"]) == (200, PROVIDER_KEYS["anthropic-api-key"])
    await world.tell("settled", assertion, model="claude")
    record = await world.record(verify(assertion, SIGNING).trace)
    assert (record["provider_calls"], record["payer"]) == (1, "company")
    assert receipt.check(record, {CHAIN.public}) == []
    answer = await asked(world, ticket)
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "not_admitted")
    assert "x-api-key" not in answer.headers


async def test_a_refused_request_has_no_ticket_left(world: World) -> None:
    assertion, told = await admitted(world, "claude")
    await world.tell("refused", assertion, model="claude")
    assert (await asked(world, told.json()["ticket"])).status_code == 403


async def test_what_could_not_be_recorded_gets_no_ticket(world: World) -> None:
    assertion, told = await admitted(world, "claude")
    again = await world.tell("admitted", assertion, model="claude")
    assert (again.status_code, again.json().get("ticket")) == (409, None)
    assert (await asked(world, told.json()["ticket"])).status_code == 200, "the first one is on record"
    second = (await world.auth(world.token())).headers["x-praxis-assertion"]
    connection = await asyncpg.connect(**world.database)
    try:
        await connection.execute("DROP TABLE record")
    finally:
        await connection.close()
    broken = await world.tell("admitted", second, model="claude")
    assert (broken.status_code, broken.json().get("ticket")) == (503, None)


async def test_a_local_model_needs_none(world: World) -> None:
    _, told = await admitted(world, "small")
    assert told.json() == {"ticket": None}


async def test_a_users_own_token_goes_out_and_never_to_litellm(world: World) -> None:
    given = {"x_praxis_key": world.token(), "authorization": f"Bearer {USER_TOKEN}"}
    edge = await world.auth(**given)
    assert USER_TOKEN not in str(edge.headers), "what the edge puts on goes to LiteLLM"
    assertion = edge.headers["x-praxis-assertion"]
    told = await world.tell("admitted", assertion, model="claude-own")
    assert USER_TOKEN not in told.text
    answer = await asked(world, told.json()["ticket"], "anthropic-2")
    assert answer.headers["authorization"] == f"Bearer {USER_TOKEN}"
    assert "x-api-key" not in answer.headers


async def test_a_users_own_token_needs_no_budget(world: World) -> None:
    carol = {"sub": "sub-of-carol", "preferred_username": "carol"}
    assertion, _ = await world.asserted(**carol)
    await world.tell("admitted", assertion)
    await world.tell("settled", assertion, input_tokens=1)
    key = world.token(**carol)
    assert (await world.auth(key)).status_code == 429
    own = await world.auth(x_praxis_key=key, authorization=f"Bearer {USER_TOKEN}")
    assertion = own.headers["x-praxis-assertion"]
    told = await world.tell("admitted", assertion, model="claude-own", estimate={"input_tokens": 10**6})
    assert told.json()["ticket"]
    settled = await world.tell("settled", assertion, model="claude-own", input_tokens=10**6)
    assert settled.json()["counted"]
    money = (await world.http.get("/budgets", headers=ADMIN)).json()
    assert {one["spent_usd"] for one in money["spending"]} == {"0.000001"}, "as before"


async def test_a_users_own_token_is_no_way_to_spend_the_companys_key(world: World) -> None:
    given = {"x_praxis_key": world.token(), "authorization": f"Bearer {USER_TOKEN}"}
    _, told = await admitted(world, "claude", **given)
    assert (told.status_code, told.json()["code"]) == (422, "user_token_refused")


async def test_a_model_of_users_tokens_says_what_is_missing(world: World) -> None:
    _, told = await admitted(world, "claude-own")
    assert (told.status_code, told.json()["code"]) == (422, "user_token_missing")


async def test_a_second_credential_of_ours_is_not_taken_for_a_users_token(world: World) -> None:
    given = {"x_praxis_key": world.token(), "authorization": f"Bearer {world.token()}"}
    _, told = await admitted(world, "claude-own", **given)
    assert told.json()["code"] == "user_token_missing"


async def test_the_plain_port_does_not_answer_for_the_egress(world: World) -> None:
    _, told = await admitted(world, "claude")
    answer = await world.http.get("/egress", headers={"x-praxis-ticket": told.json()["ticket"]})
    assert answer.status_code == 404
    assert PROVIDER_KEYS["anthropic-api-key"] not in str(answer.headers) + answer.text
