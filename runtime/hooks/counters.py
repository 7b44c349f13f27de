"""Redis, where LiteLLM counts against limits. Without it LiteLLM would go on and count for itself alone, so that a
restart forgets what was used: a request whose limits cannot be counted is refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from runtime.dialect import Refusal
from runtime.hooks.request import RefusedError

FRESH_S = 1.0
"""How long an answer is good: a busy gateway asks once a second, an idle one never."""
TIMEOUT_S = 2.0
REFUSAL = Refusal(status=503, code="unavailable", message="limits cannot be counted now; try again in a moment")

Ping = Callable[[], Awaitable[object]]
"""One round trip to Redis. Raises whatever its client raises."""


class Counters:
    """Whether Redis answers."""

    def __init__(self, ping: Ping, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ping = ping
        self._clock = clock
        self._answered = -FRESH_S
        self._lock = asyncio.Lock()

    async def check(self) -> None:
        """Let a request go on.

        Raises:
            RefusedError: Redis does not answer.
        """
        if self._fresh():
            return
        async with self._lock:
            if self._fresh():
                return
            try:
                await asyncio.wait_for(self._ping(), TIMEOUT_S)
            except Exception:  # what a client of Redis raises is many things, and all of them mean the same
                raise RefusedError(REFUSAL) from None
            self._answered = self._clock()

    def _fresh(self) -> bool:
        return self._clock() - self._answered < FRESH_S
