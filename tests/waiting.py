"""Waiting for something to become true."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(true: Callable[[], bool], within_s: float, every_s: float = 1.0) -> None:
    """Ask until it is true.

    Raises:
        AssertionError: it was not in time.
    """
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "not in time"
        time.sleep(every_s)
