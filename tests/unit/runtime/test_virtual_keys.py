"""Virtual keys of the custodian: made, listed without telling them, and revoked at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.assertion import HEADER, verify
from runtime.receipt import check
from tests.unit.runtime.custodian_world import ADMIN, CHAIN, HOOKS, SIGNING, World, running

BOB = {"sub": "sub-of-bob", "preferred_username": "bob"}


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    async with running(database_settings) as one:
        yield one


async def made(world: World, **claims: Any) -> str:
    answer = await world.http.post("/me/keys", headers={"Authorization": f"Bearer {world.token(**claims)}"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


async def asked(world: World, **terms: Any) -> Any:
    """The answer to who asks for a key on these terms."""
    headers = {"Authorization": f"Bearer {world.token()}"}
    return await world.http.post("/me/keys", headers=headers, json=terms)


async def test_for_some_models_and_some_days(world: World) -> None:
    answer = await asked(world, models=["small"], days=2)
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 2 * 24 * 3600)
    about = verify((await world.auth(answer.json()["key"])).headers[HEADER], SIGNING)
    assert (about.scope, about.credential) == ("small", "virtual-key")
    (one,) = await world.held("keys")
    assert one["models"] == ["small"]
    assert one["expires"][:10] == str((datetime.now(UTC) + timedelta(days=2)).date())
    events = (await world.http.get("/chain", headers=ADMIN)).json()["events"]
    assert [event["body"].get("models") for event in map(json.loads, events) if event["kind"] == "key-made"] == [
        ["small"]
    ]


async def test_for_all_unless_said(world: World) -> None:
    about = verify((await world.auth(await made(world))).headers[HEADER], SIGNING)
    assert about.scope == ""
    (one,) = await world.held("keys")
    assert one["models"] == []


async def test_what_such_a_key_asked_is_recorded_with_its_scope(world: World) -> None:
    key = (await asked(world, models=["small"])).json()["key"]
    assertion = (await world.auth(key)).headers[HEADER]
    assert (await world.tell("admitted", assertion)).status_code == 200
    assert check(await world.record(verify(assertion, SIGNING).trace), {CHAIN.public}) == []
    events = (await world.http.get("/chain", headers=ADMIN)).json()["events"]
    assert [event["body"]["scope"] for event in map(json.loads, events) if event["kind"] == "admitted"] == ["small"]


@pytest.mark.parametrize(
    ("terms", "status", "told"),
    [
        ({"models": ["large"]}, 403, "no model of yours: large"),
        ({"models": ["small", ""]}, 400, "models"),
        ({"models": "small"}, 400, "models"),
        ({"days": 0}, 400, "days"),
        ({"days": 366}, 400, "days"),
        ({"role": "auditor"}, 400, "role"),
    ],
)
async def test_terms_that_cannot_be(world: World, terms: dict[str, Any], status: int, told: str) -> None:
    answer = await asked(world, **terms)
    assert answer.status_code == status
    assert told in answer.json()["error"]["message"]
    assert await world.held("keys") == []


async def status(world: World, key: str) -> int:
    return int((await world.auth(key)).status_code)


async def test_all_of_a_subject_s_and_nobody_else_s(world: World) -> None:
    first, second, other = await made(world), await made(world), await made(world, **BOB)
    assert [one["name"] for one in await world.held("keys")] == ["alice", "alice", "bob"]
    assert await world.revoked("keys", name="alice") == 2
    assert [await status(world, key) for key in (first, second, other)] == [401, 401, 200]
    assert [one["name"] for one in await world.held("keys")] == ["bob"]
    assert await world.revoked("keys", name="alice") == 0


async def test_one_alone(world: World) -> None:
    first, second = await made(world), await made(world)
    (called, _) = [one["key"] for one in await world.held("keys")]
    assert await world.revoked("keys", name="bob", key=called) == 0, "it is alice's"
    assert await world.revoked("keys", name="alice", key=called) == 1
    assert [await status(world, key) for key in (first, second)] == [401, 200]


async def test_it_is_in_the_chain_and_no_key_is_told(world: World) -> None:
    key = await made(world)
    (one,) = await world.held("keys")
    await world.revoked("keys", name="alice")
    events = (await world.http.get("/chain", headers=ADMIN)).json()["events"]
    told = {(event["kind"], event["body"].get("key")) for event in map(json.loads, events) if "key" in event["body"]}
    assert told == {("key-made", one["key"]), ("key-revoked", one["key"])}
    assert key not in str(events) + str(one)


@pytest.mark.parametrize("wrong", [{}, {"name": ""}, {"name": "alice", "key": "x"}, {"name": "alice", "more": 1}])
async def test_bad_input_revokes_nothing(world: World, wrong: dict[str, Any]) -> None:
    key = await made(world)
    assert (await world.http.post("/keys/revoke", json=wrong, headers=ADMIN)).status_code == 400
    assert await status(world, key) == 200


@pytest.mark.parametrize("headers", [{}, HOOKS])
async def test_only_the_operator(world: World, headers: dict[str, str]) -> None:
    assert (await world.http.get("/keys", headers=headers)).status_code == 401
    assert (await world.http.post("/keys/revoke", json={"name": "alice"}, headers=headers)).status_code == 401
