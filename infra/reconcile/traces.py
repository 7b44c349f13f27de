"""The trace store's book: each request's trace, with whom it is of, its tokens and its cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from components.observability import EXPERIMENT_ID
from infra.cli.containers import run_in
from infra.reconcile.books import Item, Sums

PROGRAM = Path(__file__).with_name("search.py")
URL = "http://127.0.0.1:5000/ajax-api/3.0/mlflow/traces/search"
PREFIX = "tr-"
"""What MLflow puts before a trace id."""


def traces(stack: str, begins: datetime, ends: datetime) -> Iterator[Item]:
    """Every trace that began from ``begins`` to before ``ends``.

    Raises:
        CommandError: the store's container does not run, or the search in it fails.
        KeyError, ValueError, TypeError: it answers otherwise than it does now.
    """
    asked = {
        "url": URL,
        "experiment": EXPERIMENT_ID,
        "begins_ms": _ms(begins),
        "ends_ms": _ms(ends),
    }
    program = ["python3", "-I", "-c", PROGRAM.read_text(encoding="utf-8")]
    return read(run_in(stack, "mlflow", program, stdin=json.dumps(asked)).splitlines())


def read(lines: Iterable[str]) -> Iterator[Item]:
    """What the search has printed, each trace once: one that comes late moves those behind it to the next page."""
    seen: set[str] = set()
    for line in lines:
        one = json.loads(line)
        if one["id"] in seen:
            continue
        seen.add(one["id"])
        inputs, outputs = one["tokens"] or (0, 0)
        yield Item(
            id=one["id"],
            trace=one["id"].removeprefix(PREFIX),
            subject=one["user"],
            time=datetime.fromisoformat(one["time"]),
            took=Sums(requests=1, input_tokens=inputs, output_tokens=outputs, usd=Decimal(one["usd"] or 0)),
            told=frozenset({name for name in ("tokens", "usd") if one[name] is not None}),
        )


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
