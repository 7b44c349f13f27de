"""From the books to the report: subjects' lines, findings and verdicts; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.reconcile.books import Book, Day, Item, Record, Sums
from infra.reconcile.comparing import Comparison, Names, Tally, explained, ledger
from infra.reconcile.report import MOST, Amounts, Column, Finding, Line, Look, Report, Verdict
from runtime.contract import plain

COMPARED = Look(state="compared")


@dataclass(frozen=True)
class Seen:
    """What a look at another book brings back. ``items``: empty unless it is compared."""

    look: Look
    items: Sequence[Item] = ()


def reconciled(
    stack: str, day: Day, records: Sequence[Record], seen: Mapping[Book, Seen], only: str | None = None
) -> Report:
    """The report of a day, or one subject's part (``only``). ``records``: the ledger's, of the day and beyond it."""
    names = Names(records)
    findings: list[Finding] = []
    tallies: dict[Book, dict[str, Tally]] = {}
    for book in (book for book in Book if seen[book].look == COMPARED):
        comparison = Comparison(day, book, records, names)
        findings += comparison.run(seen[book].items)
        tallies[book] = comparison.tallies
    lines = _lines(ledger(day, records), tallies, names, {one.subject for one in findings})
    findings = [one for one in findings if only in (None, one.subject)]
    return Report(
        stack=stack,
        day=day.date.isoformat(),
        unfinished=day.unfinished,
        lines=tuple(line for line in lines if only in (None, line.subject)),
        findings=tuple(findings[:MOST]),
        more=max(len(findings) - MOST, 0),
        litellm=seen[Book.LITELLM].look,
        traces=seen[Book.TRACES].look,
    )


def _lines(
    own: Mapping[str, Tally], others: Mapping[Book, Mapping[str, Tally]], names: Names, differing: set[str]
) -> list[Line]:
    subjects = own.keys() | {sub for each in others.values() for sub, tally in each.items() if _counts(tally)}
    subjects |= {names.sub(name) for name in differing}
    lines = []
    for sub in subjects:
        mine, spent = own.get(sub, Tally()), others.get(Book.LITELLM)
        theirs = None if spent is None else spent.get(sub, Tally())
        lines.append(
            Line(
                subject=names.name(sub),
                sub=sub if names.known(sub) else None,
                ledger=_column(mine),
                litellm=None if theirs is None else _column(theirs),
                traces=_column(others[Book.TRACES].get(sub, Tally())) if Book.TRACES in others else None,
                difference_requests=None if theirs is None else theirs.company.requests - mine.company.requests,
                difference_usd=None if theirs is None else plain(theirs.company.usd - mine.company.usd),
                verdict=_verdict(names.name(sub) in differing, compared=bool(others)),
            )
        )
    return sorted(lines, key=lambda line: (line.subject, line.sub or ""))


def _counts(tally: Tally) -> bool:
    return bool(tally.company.requests or tally.notional.requests)


def _verdict(differs: bool, *, compared: bool) -> Verdict:
    if differs:
        return Verdict.DIFFERS
    return Verdict.AGREES if compared else Verdict.NOT_COMPARED


def _column(tally: Tally) -> Column:
    return Column(company=_amounts(tally.company), notional=_amounts(tally.notional), explained=dict(explained(tally)))


def _amounts(sums: Sums) -> Amounts:
    return Amounts(
        requests=sums.requests,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        usd=plain(sums.usd),
    )
