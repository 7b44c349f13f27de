"""Whose a token is: asked once in a while, and never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from runtime.custodian.egress import Egress
from runtime.custodian.owners import AT_ONCE, REMEMBER_S, REMEMBERED, Owner, Owners
from runtime.custodian.subject import UnavailableError
from runtime.providers import Upstreams
from tests.unit.runtime.custodian_world import EGRESS
from tests.unit.runtime.test_egress import Clock

ALICE = Owner(account="uuid-a", email="a@example.com")


class Anthropic:
    """Answers what it is told to; ``most``: questions that were under way at the same time."""

    def __init__(self) -> None:
        self.body: Any = {"account": {"uuid": "uuid-a", "email": "a@example.com", "more": 1}, "organization": {}}
        self.asked = self.running = self.most = 0

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0.001)
        self.running -= 1
        return httpx.Response(200, json=self.body)


@pytest.fixture
def anthropic() -> Anthropic:
    return Anthropic()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def owners(anthropic: Anthropic, clock: Clock) -> AsyncIterator[Owners]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(anthropic.answer)) as http:
        yield Owners(Egress(Upstreams(), lambda _: None), http, EGRESS, clock)


async def test_it_is_asked_again_when_the_answer_is_old(owners: Owners, anthropic: Anthropic, clock: Clock) -> None:
    assert [await owners.of("token") for _ in range(3)] == [ALICE] * 3
    assert anthropic.asked == 1
    clock.now += REMEMBER_S + 1
    anthropic.body["account"]["uuid"] = "uuid-b"
    assert (await owners.of("token")).account == "uuid-b"


async def test_an_old_answer_is_none(owners: Owners, anthropic: Anthropic, clock: Clock) -> None:
    await owners.of("token")
    clock.now += REMEMBER_S + 1
    anthropic.body = {}
    with pytest.raises(UnavailableError):
        await owners.of("token")


@pytest.mark.parametrize(
    "body", [{}, [], "x", None, {"account": {"uuid": "u"}}, {"account": {"uuid": 7, "email": "a"}}]
)
async def test_an_answer_of_another_shape_is_none(owners: Owners, anthropic: Anthropic, body: Any) -> None:
    anthropic.body = body
    with pytest.raises(UnavailableError):
        await owners.of("token")


async def test_few_are_asked_at_once(owners: Owners, anthropic: Anthropic) -> None:
    await asyncio.gather(*(owners.of(f"token-{number % 40}") for number in range(200)))
    assert anthropic.asked == 40
    assert anthropic.most == AT_ONCE


async def test_memory_has_an_end(owners: Owners, anthropic: Anthropic) -> None:
    for number in range(REMEMBERED + 1):
        owners._known.put(str(number).encode(), ALICE)
    await owners.of("token")
    assert len(owners._known) == REMEMBERED
    assert owners._locks == {}
