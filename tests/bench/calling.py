"""Calling something many times, several at once, and how long each call took."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import httpx

Call = Callable[[], Awaitable[object]]

AGAIN_S = 0.3


@dataclass(frozen=True)
class Calls:
    """``times_ms``: milliseconds of each call, the quickest first. ``seconds``: wall time of all."""

    times_ms: tuple[float, ...]
    seconds: float

    @property
    def p50_ms(self) -> float:
        """Half of the calls took no longer."""
        return statistics.median(self.times_ms)

    @property
    def p99_ms(self) -> float:
        """One in a hundred took longer."""
        return self.times_ms[len(self.times_ms) * 99 // 100]

    @property
    def rate(self) -> float:
        """Calls a second."""
        return len(self.times_ms) / self.seconds


async def calls(call: Call, number: int, at_once: int) -> Calls:
    """Make ``number`` calls, ``at_once`` of them under way at any time. What a call raises ends all of it."""
    took: list[float] = []
    left = iter(range(number))

    async def one_after_another() -> None:
        for _ in left:
            begin = time.perf_counter()
            await call()
            took.append((time.perf_counter() - begin) * 1000)

    begin = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(at_once)))
    return Calls(tuple(sorted(took)), time.perf_counter() - begin)


async def until_answered(call: Call, within_s: float) -> None:
    """Call until it answers. Raises what the call raises (an error of httpx's or aiohttp's) when it has not in time."""
    until = time.monotonic() + within_s
    while True:
        try:
            await call()
        except (httpx.HTTPError, aiohttp.ClientError):
            if time.monotonic() > until:
                raise
            await asyncio.sleep(AGAIN_S)
        else:
            return
