"""Virtual keys of the custodian: made, listed without telling them, and revoked at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.runtime.custodian_world import ADMIN, HOOKS, World, running

BOB = {"sub": "sub-of-bob", "preferred_username": "bob"}


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    async with running(database_settings) as one:
        yield one


async def made(world: World, **claims: Any) -> str:
    answer = await world.http.post("/me/keys", headers={"Authorization": f"Bearer {world.token(**claims)}"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["key"])


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
