"""``./praxis lock``: what ``supply: official`` takes, pinned."""

from __future__ import annotations

from infra.cli.console import say
from infra.cli.containers import connect
from infra.supply.locking import lock as write
from infra.supply.pins import PINS


def lock(*, upgrade: bool) -> None:
    """Write the lock and say what has changed in it."""
    changes = write(connect(), say, upgrade=upgrade)
    for change in changes:
        say(change)
    say(f"{PINS}: {'complete' if changes else 'nothing has changed'}")
