"""Records of a day, and what the other books have of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from infra.reconcile.books import Book, Day, Item, Record, State, Sums
from infra.reconcile.reconciling import COMPARED, Seen, reconciled
from infra.reconcile.report import Finding, Line, Report

DAY = Day(date(2026, 3, 1), datetime(2026, 3, 2, 6, tzinfo=UTC))
"""The first of March, looked at the next morning."""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOOK = Sums(requests=1, input_tokens=7, output_tokens=3, usd=Decimal("0.000066"))


def record(number: int = 1, **changes: Any) -> Record:
    """A request of alice's at noon that was answered."""
    base: dict[str, Any] = {
        **{"trace": f"{number:032x}", "sub": "sub-of-alice", "name": "alice", "time": NOON},
        **{"ended": NOON + timedelta(seconds=2), "state": State.SETTLED, "notional": False, "status": 200},
        **{"reason": None, "took": TOOK},
    }
    return Record(**{**base, **changes})


def row(of: Record, **changes: Any) -> Item:
    """LiteLLM's row of a request."""
    return replace(
        Item(id=f"chatcmpl-{of.trace}", trace=of.trace, subject=of.sub, time=of.time, took=of.took), **changes
    )


def trace(of: Record, **changes: Any) -> Item:
    """The trace of a request."""
    return replace(Item(id=f"tr-{of.trace}", trace=of.trace, subject=of.name, time=of.time, took=of.took), **changes)


def report(
    records: list[Record], rows: list[Item] | None = None, traces: list[Item] | None = None, day: Day = DAY
) -> Report:
    """The report; a book that is not given has exactly what the ledger has."""
    spent = [row(one) for one in records] if rows is None else rows
    traced = [trace(one) for one in records] if traces is None else traces
    return reconciled("t", day, records, {Book.LITELLM: Seen(COMPARED, spent), Book.TRACES: Seen(COMPARED, traced)})


def found(one: Report) -> list[tuple[str, str, str | None]]:
    """Book, kind and trace of each finding."""
    return [(finding.book, finding.kind, finding.trace) for finding in one.findings]


def only(one: Report) -> Finding:
    """The one finding."""
    (finding,) = one.findings
    return finding


def line(one: Report) -> Line:
    """The one subject's line."""
    (found,) = one.lines
    return found
