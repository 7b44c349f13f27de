"""What another book must have of a record, may have, or never has; and why it may be otherwise there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from infra.reconcile.books import Book, Record, State

SETTLING = timedelta(minutes=2)
"""So long after its end a request may not be in the other books yet. LiteLLM writes its rows in batches, up to a minute
later; spans go through two queues."""
COUNTED = "count_tokens"
"""The reason of a record whose request was about its size alone: it passes LiteLLM by."""
CUT = frozenset({"usage_estimated", "broke_off", "access_ended", "tool_not_allowed"})
"""Reasons of records whose answer did not come to its end, or told no usage: the ledger has an estimate, and LiteLLM
what it had seen by then, or nothing."""


class Presence(Enum):
    """Whether the other book has it."""

    MUST = "must"
    MAY = "may"
    NEVER = "never"


class Cause(StrEnum):
    """Why a request is not in another book, or stands there otherwise, and all is well."""

    REFUSED = "refused"
    UNDER_WAY = "under way"
    JUST_ENDED = "just ended"
    ABORTED = "end never told"
    UNANSWERED = "not answered"
    COUNTED = "only counted"
    CUT = "broken off"
    SUMMED = "matched by sum"


@dataclass(frozen=True)
class Expected:
    """``amounts``: what of it must be the same in both, where the other book has it and tells."""

    presence: Presence
    cause: Cause
    amounts: frozenset[str] = frozenset({"tokens", "usd"})


def expected(record: Record, book: Book, now: datetime) -> Expected:
    """What ``book`` has of ``record`` by ``now``."""
    nothing: frozenset[str] = frozenset()
    match record.state:
        case State.REFUSED:
            # A refusal by the gate has a trace, one at the edge has none; neither has been to LiteLLM.
            return Expected(Presence.MAY if book is Book.TRACES else Presence.NEVER, Cause.REFUSED, nothing)
        case State.ADMITTED:
            return Expected(Presence.MAY, Cause.UNDER_WAY, nothing)
        case State.ABORTED:
            return Expected(Presence.MAY, Cause.ABORTED, nothing)
    fresh = record.ended is None or record.ended > now - SETTLING
    ended = Expected(Presence.MAY if fresh else Presence.MUST, Cause.JUST_ENDED)
    return ended if book is Book.TRACES else _in_litellm(record, ended)


def _in_litellm(record: Record, ended: Expected) -> Expected:
    if record.reason == COUNTED:
        return Expected(Presence.NEVER, Cause.COUNTED)
    if record.reason in CUT:
        return Expected(Presence.MAY, Cause.CUT, frozenset())
    # What the caller's own account pays for costs LiteLLM's fence nothing, or what the company would have paid.
    amounts = frozenset({"tokens"}) if record.notional else ended.amounts
    if record.status is not None and record.status >= 400:
        return Expected(Presence.MAY, Cause.UNANSWERED, amounts)
    return Expected(ended.presence, ended.cause, amounts)
