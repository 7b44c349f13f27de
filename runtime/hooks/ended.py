"""Whose access has ended while an answer is on its way to them: asked of the custodian as long as one is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runtime.dialect import Refusal
from runtime.hooks.records import NotRecordedError, Records

POLL_S = 1.0
REFUSAL = Refusal(status=401, code="access_ended", message="the account's access has ended")


class Ended:
    """Ids of the subjects whose access has ended, kept true while requests are under way."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._subjects: frozenset[str] = frozenset()
        self._asked = 0.0
        self._under_way = 0
        self._task: asyncio.Task[None] | None = None

    def since(self, began: float, *subs: str) -> bool:
        """Whether the access of one of ``subs`` has ended after the request began (on the monotonic clock): what was
        heard before that, the custodian knew better when it let the request in."""
        return self._asked > began and not self._subjects.isdisjoint(subs)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """A request is under way."""
        self._under_way += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            self._under_way -= 1

    async def _follow(self) -> None:
        # A short answer is over before the first look: it cost the custodian nothing.
        await asyncio.sleep(POLL_S)
        while self._under_way:
            asked = time.monotonic()
            with suppress(NotRecordedError):  # what is known stays; without the custodian nothing new is admitted
                self._subjects, self._asked = await self._records.ended(), asked
            await asyncio.sleep(POLL_S)
