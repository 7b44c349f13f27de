"""A request whose limits cannot be counted is refused."""

from __future__ import annotations

import asyncio

import pytest

from runtime.hooks import counters
from runtime.hooks.counters import Counters
from runtime.hooks.request import RefusedError
from tests.unit.runtime.hooks.gate_world import EACH, MESSAGES, World, refusal


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@EACH
async def test_without_redis_nothing_goes_out(world: World, path: str) -> None:
    world.redis.down = True
    answer = await world.ask(path)
    assert refusal(answer, path) == (503, "overloaded_error" if path == MESSAGES else "unavailable")
    assert answer.headers["x-should-retry"] == "true"
    assert world.upstream.asked == []
    assert world.custodian.only("refused")["reason"] == "unavailable"


async def test_when_it_is_back_all_goes_on(world: World) -> None:
    world.redis.down = True
    assert (await world.ask()).status_code == 503
    world.redis.down = False
    assert (await world.ask()).status_code == 200


async def test_it_is_asked_once_a_second_however_many_come(world: World) -> None:
    answers = await asyncio.gather(*(world.ask() for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert world.redis.asked == 1


async def test_an_answer_is_good_for_a_second() -> None:
    asked: list[float] = []
    clock = Clock()

    async def ping() -> object:
        asked.append(clock.now)
        if clock.now > 101.5:
            raise OSError("away")
        return True

    checks = Counters(ping, clock=clock)
    for clock.now in (100.0, 100.9, 101.0, 101.9):
        await checks.check()
    clock.now = 102.1
    for _ in range(2):
        with pytest.raises(RefusedError):
            await checks.check()
    assert asked == [100.0, 101.0, 102.1, 102.1]


async def test_one_that_hangs_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "TIMEOUT_S", 0.05)

    async def ping() -> object:
        await asyncio.sleep(60)
        return True

    with pytest.raises(RefusedError):
        await Counters(ping).check()
