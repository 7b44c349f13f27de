"""Who may look at the traces, as the edge asks about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from runtime.custodian import directory
from tests.unit.runtime.custodian_world import World, running
from tests.unit.runtime.realm import AUDITOR, claims


@pytest.fixture
async def world(database_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(directory, "POLL_S", 0.02)
    async with running(database_settings) as made:
        yield made


def auditors(world: World, **changes: object) -> str:
    return world.token(roles=[*claims()["roles"], AUDITOR], **changes)


async def look(world: World, token: str) -> httpx.Response:
    return await world.http.get("/consoles/traces", headers={"x-auth-request-access-token": token})


async def test_an_auditor(world: World) -> None:
    answer = await look(world, auditors(world))
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({}, 403, "alice is no auditor"),
        ({"roles": ["unheard-of", AUDITOR]}, 403, "has no role in this gateway"),
        ({"exp": 1}, 401, "is not good any more"),
        ({"preferred_username": "<script>"}, 403, "&lt;script&gt; is no auditor"),
    ],
)
async def test_others(world: World, changes: dict[str, object], status: int, says: str) -> None:
    answer = await look(world, world.token(**changes))
    assert answer.status_code == status
    assert says in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "/oauth2/sign_out" in answer.text


@pytest.mark.parametrize("given", ["", "sk-praxis-x", "not a token"])
async def test_what_is_no_token(world: World, given: str) -> None:
    assert (await look(world, given)).status_code == 401


async def test_who_is_disabled_looks_no_more(world: World) -> None:
    token = auditors(world, sub="leaver")
    assert (await look(world, token)).status_code == 200
    world.realm.accounts["leaver"] = {"enabled": False}
    world.realm.happens("users/leaver")
    async with asyncio.timeout(5):
        while (await look(world, token)).status_code == 200:
            await asyncio.sleep(0.05)
    assert (await look(world, token)).status_code == 401


async def test_while_nobody_can_say(world: World) -> None:
    world.realm.down = True
    assert (await look(world, auditors(world))).status_code == 503
