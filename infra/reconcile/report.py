"""The report of a reconciliation. These dataclasses are the JSON document's schema
(docs/reference/reconcile.schema.json)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from infra.reconcile.books import Book

VERSION: Literal[1] = 1
"""Version of the JSON document: raised when a field changes its meaning or goes."""
MOST = 20
"""Findings in a report; of the others there is a count."""


class Kind(StrEnum):
    """How two books disagree about a request."""

    MISSING = "missing"
    FOREIGN = "foreign"
    DIFFERENT = "different"


MEANING: dict[Kind, str] = {
    Kind.MISSING: "The ledger has it, and the other book does not.",
    Kind.FOREIGN: "The other book has it, and by the ledger it was not there, or never went out.",
    Kind.DIFFERENT: "Both have it, with other tokens or another cost.",
}
"""Each kind in one sentence."""


class Verdict(StrEnum):
    """What is said of a subject."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One request about which the ledger and another book disagree."""

    subject: str
    book: Book
    kind: Kind
    trace: str | None
    """None: the other book does not say whose request it is."""
    row: str | None
    """The other book's own id of it; None: it has none."""
    ledger: str | None
    """What the ledger has of it; None: nothing."""
    other: str | None
    """What the other book has of it; None: nothing."""


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """What requests took. ``usd`` is text: exact."""

    requests: int
    input_tokens: int
    output_tokens: int
    usd: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """What one book has of a subject's day."""

    company: Amounts
    """What the company pays for."""
    notional: Amounts
    """What callers' own accounts pay for: nobody's USD here."""
    explained: dict[str, int] = field(default_factory=dict)
    """Cause -> how many of the subject's requests are not in this book, or otherwise, for it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One subject's day."""

    subject: str
    sub: str | None
    """Keycloak's id; None: the ledger knows nobody of that name."""
    ledger: Column
    litellm: Column | None
    traces: Column | None
    difference_requests: int | None
    """LiteLLM's requests that the company pays for, less the ledger's; None: not compared."""
    difference_usd: str | None
    """The same in USD."""
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Look:
    """Whether a book could be compared. ``unseen``: it could not be looked at, which never counts as "agrees"."""

    state: Literal["compared", "not compared", "unseen"]
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One day's books, in a stable order."""

    version: Literal[1] = VERSION
    stack: str
    day: str
    """YYYY-MM-DD, in UTC."""
    unfinished: bool
    """The day still goes on."""
    lines: tuple[Line, ...] = ()
    findings: tuple[Finding, ...] = ()
    more: int = 0
    """Findings beyond those that are listed."""
    litellm: Look
    traces: Look
