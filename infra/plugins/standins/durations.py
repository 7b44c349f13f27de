"""Durations as Go writes them (``1m30s``), which is how both official plugins store them."""

from __future__ import annotations

import re
from decimal import Decimal

SECOND = 10**9
_UNITS = {"h": 3600 * SECOND, "m": 60 * SECOND, "s": SECOND, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")


def nanoseconds(text: str) -> int:
    """Nanoseconds of a duration text.

    Raises:
        ValueError: not a duration; the message says what one looks like.
    """
    if text == "0":
        return 0
    if not re.fullmatch(f"(?:{_PART.pattern})+", text):
        raise ValueError(f"'{text}' is not a duration such as 1m30s")
    return int(sum(Decimal(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def written(value_ns: int) -> str:
    """Nanoseconds as Go prints them: ``0s``, ``250ms``, ``1.5s``, ``1m30s``, ``1h0m0s``."""
    if 0 < value_ns < SECOND:
        unit = next(unit for unit in ("ms", "µs", "ns") if value_ns >= _UNITS[unit])
        return f"{_short(Decimal(value_ns) / _UNITS[unit])}{unit}"
    minutes, rest = divmod(value_ns, 60 * SECOND)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_short(Decimal(rest) / SECOND)}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _short(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
