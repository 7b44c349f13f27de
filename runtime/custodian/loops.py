"""What the custodian does again and again beside answering."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable

LOG = logging.getLogger(__name__)


async def forever(once: Callable[[], Awaitable[None]], every_s: float, waits_for: tuple[type[Exception], ...]) -> None:
    """Do ``once`` every ``every_s`` seconds, whatever it raises: ``waits_for`` is another part that is away, of which
    nothing is said; anything else is logged, once for as long as it stays the same. Of the error its type and its
    place are told, since its text may hold what was read.
    """
    said = ""
    while True:
        try:
            await once()
            said = ""
        except waits_for:
            pass
        except Exception as error:  # an end here would go unnoticed, and with it e.g. that somebody is to be let go
            place = traceback.extract_tb(error.__traceback__)[-1]
            now = f"{type(error).__name__} in {place.name}, line {place.lineno} of {place.filename}"
            if now != said:
                LOG.error("%s failed, and is tried again: %s", getattr(once, "__qualname__", once), now)
                said = now
        await asyncio.sleep(every_s)
