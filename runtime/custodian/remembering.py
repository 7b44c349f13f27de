"""Remembering no more than so many things, the latest ones, and what was found out for no longer than so long."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def remember(known: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Put ``value`` into ``known`` and let go of what is oldest there beyond ``most``."""
    known[key] = value
    while len(known) > most:
        known.popitem(last=False)


class Lately(Generic[_Key, _Value]):
    """What was found out in the last ``seconds``, of ``most`` things at most."""

    def __init__(self, seconds: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._most, self._clock = seconds, most, clock
        self._known: OrderedDict[_Key, tuple[float, _Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: _Key) -> _Value | None:
        """What was found out of ``key``, unless that is too long ago."""
        until, value = self._known.get(key, (0.0, None))
        if until > self._clock():
            return value
        self._known.pop(key, None)
        return None

    def put(self, key: _Key, value: _Value) -> None:
        """``value`` was found out of ``key``, now."""
        remember(self._known, key, (self._clock() + self._seconds, value), self._most)

    def forget(self, key: _Key) -> None:
        """It may have changed."""
        self._known.pop(key, None)
