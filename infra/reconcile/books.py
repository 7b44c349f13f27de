"""What each book has of one request: the ledger a record, LiteLLM a row of spend, the trace store a trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

MARGIN = timedelta(minutes=10)
"""How far beyond a day each book is read. A request begins at three clocks: at the gate (its trace), when it is
admitted (its record), and in LiteLLM (its row). The record says to which day it belongs."""
ROUNDING_USD = Decimal("0.000000001")
"""Of one request. The ledger is exact; the others add up binary fractions."""


class Book(StrEnum):
    """What the ledger is compared with."""

    LITELLM = "litellm"
    TRACES = "traces"


class State(StrEnum):
    """How far a record has come."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    SETTLED = "settled"
    ABORTED = "aborted"


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What requests took."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = Decimal(0)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=self.usd + other.usd,
        )

    @property
    def tokens(self) -> tuple[int, int]:
        """Of input and of output."""
        return self.input_tokens, self.output_tokens

    def costs(self, other: Sums) -> bool:
        """Whether both come to the same USD, but for rounding."""
        return abs(self.usd - other.usd) <= ROUNDING_USD * max(self.requests, other.requests, 1)


NOTHING = Sums()


@dataclass(frozen=True, kw_only=True)
class Record:
    """The ledger's. ``notional``: the caller's own account pays, and its cost is nobody's here."""

    trace: str
    sub: str
    name: str
    time: datetime
    ended: datetime | None
    state: State
    notional: bool
    status: int | None
    reason: str | None
    took: Sums

    @property
    def counts(self) -> bool:
        """Whether the ledger counts it: it has ended, and had gone out."""
        return self.state in (State.SETTLED, State.ABORTED)


@dataclass(frozen=True, kw_only=True)
class Item:
    """Another book's. ``subject``: whom it says it is of, by id or by name; ``trace``: ``None`` where it says none.

    ``told``: what it tells of a request; what it does not tell is 0 in ``took``.
    """

    id: str
    trace: str | None
    subject: str
    time: datetime
    took: Sums
    told: frozenset[str] = frozenset({"tokens", "usd"})


@dataclass(frozen=True)
class Day:
    """A day in UTC. ``now``: when looking at the books began."""

    date: date
    now: datetime

    @property
    def begins(self) -> datetime:
        """Midnight, when it begins."""
        return datetime(self.date.year, self.date.month, self.date.day, tzinfo=UTC)

    @property
    def ends(self) -> datetime:
        """Midnight, when it is over."""
        return self.begins + timedelta(days=1)

    @property
    def unfinished(self) -> bool:
        """Whether it still goes on."""
        return self.now < self.ends

    @property
    def span(self) -> tuple[datetime, datetime]:
        """What is read of every book."""
        return self.begins - MARGIN, self.ends + MARGIN

    def has(self, time: datetime) -> bool:
        """Whether a time is in it."""
        return self.begins <= time < self.ends


def record(told: Mapping[str, Any]) -> Record:
    """A record as the custodian tells it.

    Raises:
        KeyError, ValueError, TypeError: it is none.
    """
    ended = told["ended"]
    return Record(
        trace=str(told["trace"]),
        sub=str(told["sub"]),
        name=str(told["name"]),
        time=datetime.fromisoformat(told["time"]),
        ended=None if ended is None else datetime.fromisoformat(ended),
        state=State(told["state"]),
        notional=told["payer"] == "user",
        status=told["status"],
        reason=told["reason"],
        took=Sums(
            requests=1,
            input_tokens=int(told["input_tokens"]),
            output_tokens=int(told["output_tokens"]),
            usd=Decimal(told["cost_usd"]),
        ),
    )
