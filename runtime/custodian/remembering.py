"""Remembering no more than so many things, the latest ones."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def remember(known: OrderedDict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Put ``value`` into ``known`` and let go of what is oldest there beyond ``most``."""
    known[key] = value
    while len(known) > most:
        known.popitem(last=False)
