"""Canonical JSON: one value, one text, whoever writes it (RFC 8785, for values without fractions)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_LARGEST = 2**53
"""Whole numbers up to this are the same in every JSON reader."""


def canonical(value: Any) -> str:
    """``value`` as canonical JSON.

    Raises:
        ValueError: it holds what has no canonical form here (a fraction, a huge number, a key that is not ASCII text).
    """
    _refuse_ambiguous(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _refuse_ambiguous(value: Any) -> None:
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) and key.isascii() for key in value):
            raise ValueError("no canonical form: a key that is not ASCII text")
        for each in value.values():
            _refuse_ambiguous(each)
    elif isinstance(value, list):
        for each in value:
            _refuse_ambiguous(each)
    elif isinstance(value, str):
        value.encode()
    elif value is not None and not (isinstance(value, int) and abs(value) <= _LARGEST):
        raise ValueError(f"no canonical form: {type(value).__name__}")
