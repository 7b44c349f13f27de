"""What the custodian does again and again goes on, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from runtime.custodian.loops import forever


class Work:
    """Raises these in turn (None: nothing), and then waits for ever."""

    def __init__(self, outcomes: Sequence[Exception | None]) -> None:
        self._left = list(outcomes)
        self.done = asyncio.Event()

    async def once(self) -> None:
        if not self._left:
            self.done.set()
            await asyncio.Event().wait()
        if (outcome := self._left.pop(0)) is not None:
            raise outcome


async def said(outcomes: Sequence[Exception | None], caplog: pytest.LogCaptureFixture) -> list[str]:
    work = Work(outcomes)
    with caplog.at_level(logging.ERROR):
        task = asyncio.create_task(forever(work.once, 0, (ConnectionError,)))
        await asyncio.wait_for(work.done.wait(), 5)
        task.cancel()
    return [record.getMessage() for record in caplog.records]


async def test_a_part_that_is_away_is_waited_for_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    assert await said([ConnectionError("away"), None, ConnectionError("away")], caplog) == []


async def test_anything_else_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = await said([KeyError("canary"), KeyError("canary"), None], caplog)
    assert line.startswith("Work.once failed, and is tried again: KeyError in once, line ")
    assert "canary" not in line


async def test_it_is_said_again_once_it_had_gone_well(caplog: pytest.LogCaptureFixture) -> None:
    assert len(await said([ValueError(), None, ValueError(), TypeError()], caplog)) == 3


async def test_it_ends_when_it_is_told_to() -> None:
    task = asyncio.create_task(forever(Work([None]).once, 0, ()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
