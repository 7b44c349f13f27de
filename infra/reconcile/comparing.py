"""The ledger against another book, request by request; pure.

A request is known by its trace in all books. What another book has without a trace is compared by its sum, with what
the ledger has of the same subject and the other book lacks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from infra.reconcile.books import NOTHING, Book, Day, Item, Record, State, Sums
from infra.reconcile.expecting import SETTLING, Cause, Expected, Presence, expected
from infra.reconcile.report import Finding, Kind
from runtime.contract import plain


@dataclass
class Tally:
    """What one book has of one subject's day."""

    company: Sums = NOTHING
    notional: Sums = NOTHING
    explained: Counter[Cause] = field(default_factory=Counter)

    def add(self, took: Sums, *, notional: bool) -> None:
        """Count a request, apart from the others if a caller's own account pays for it."""
        if notional:
            self.notional += took
        else:
            self.company += took


class Names:
    """Subjects' ids and names, as the newest record of each has them."""

    def __init__(self, records: Iterable[Record]) -> None:
        newest = sorted(records, key=lambda one: one.time)
        self._names = {one.sub: one.name for one in newest}
        self._subs = {one.name: one.sub for one in newest}

    def known(self, sub: str) -> bool:
        """Whether the ledger has such an id."""
        return sub in self._names

    def name(self, sub: str) -> str:
        """What the subject with this id is called; the id, if the ledger does not know it."""
        return self._names.get(sub, sub) or "-"

    def sub(self, said: str) -> str:
        """The id of whom another book calls so, by id or by name; what it says, if the ledger does not know them."""
        return self._subs.get(said, said)


def ledger(day: Day, records: Iterable[Record]) -> dict[str, Tally]:
    """Subject's id -> what the ledger counts of the day."""
    found: dict[str, Tally] = defaultdict(Tally)
    for one in records:
        if day.has(one.time) and one.counts:
            found[one.sub].add(one.took, notional=one.notional)
    return found


@dataclass
class Comparison:
    """The ledger against one book. ``tallies``: subject's id -> what that book has; complete after :meth:`run`."""

    day: Day
    book: Book
    records: Sequence[Record]
    names: Names
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))

    def run(self, items: Iterable[Item]) -> list[Finding]:
        """Every finding, in a stable order."""
        by_trace: dict[str, list[Item]] = defaultdict(list)
        loose: dict[str, list[Item]] = defaultdict(list)
        for item in items:
            if item.trace is None:
                loose[self.names.sub(item.subject)].append(item)
            else:
                by_trace[item.trace].append(item)
        missing: dict[str, list[Record]] = defaultdict(list)
        findings: list[Finding] = []
        for record in self.records:
            found = by_trace.pop(record.trace, [])
            if self.day.has(record.time):
                findings += self._one(record, found, missing[record.sub])
        for found in by_trace.values():
            findings += self._strangers(found)
        for sub in sorted(missing.keys() | loose.keys()):
            findings += self._rest(missing[sub], loose[sub])
        return sorted(findings, key=lambda one: (one.subject, one.kind, one.trace or "", one.row or ""))

    def _one(self, record: Record, found: list[Item], missing: list[Record]) -> Iterator[Finding]:
        """A record of the day and what the book has of it. What must be there and is not goes into ``missing``."""
        tally, what = self.tallies[record.sub], expected(record, self.book, self.day.now)
        if not found:
            if what.presence is Presence.MUST:
                missing.append(record)
            elif record.counts:
                tally.explained[what.cause] += 1
            return
        took = _sum(found)
        if what.presence is Presence.NEVER:
            tally.add(took, notional=record.notional)
            yield self._finding(Kind.FOREIGN, record, found)
        elif not record.counts:
            tally.explained[what.cause] += 1
        else:
            tally.add(took, notional=record.notional)
            if _differ(record, found, what):
                yield self._finding(Kind.DIFFERENT, record, found)
            elif not what.amounts and (took.tokens, took.usd) != (record.took.tokens, record.took.usd):
                tally.explained[what.cause] += 1

    def _strangers(self, found: list[Item]) -> Iterator[Finding]:
        """A request that the ledger does not have."""
        first = found[0]
        if not self.day.has(first.time):
            return
        tally = self.tallies[self.names.sub(first.subject)]
        if first.time > self.day.now - SETTLING:
            tally.explained[Cause.UNDER_WAY] += 1  # it may have been admitted after the ledger was read
            return
        tally.add(_sum(found), notional=False)
        yield self._finding(Kind.FOREIGN, None, found)

    def _rest(self, missing: list[Record], loose: list[Item]) -> Iterator[Finding]:
        """One subject's records that the book lacks, and what it has without a trace."""
        loose = [item for item in loose if self.day.has(item.time)]
        if loose:
            tally = self.tallies[self.names.sub(loose[0].subject)]
            tally.add(_sum(loose), notional=False)
            if _same_sum(missing, loose):
                tally.explained[Cause.SUMMED] += len(loose)
                return
        for record in missing:
            yield self._finding(Kind.MISSING, record, [])
        for item in loose:
            yield self._finding(Kind.FOREIGN, None, [item])

    def _finding(self, kind: Kind, record: Record | None, found: list[Item]) -> Finding:
        subject = record.sub if record else self.names.sub(found[0].subject)
        return Finding(
            subject=self.names.name(subject),
            book=self.book,
            kind=kind,
            trace=record.trace if record else found[0].trace,
            row=found[0].id if found else None,
            ledger=_record_text(record) if record else None,
            other=_item_text(found) if found else None,
        )


def _sum(items: Iterable[Item]) -> Sums:
    """What one or more entries of a book took; more than one of the same request are one request."""
    total, traces = NOTHING, set()
    for item in items:
        again = item.trace is not None and item.trace in traces
        traces.add(item.trace)
        total += item.took
        if again:
            total += Sums(requests=-1)
    return total


def _differ(record: Record, found: list[Item], what: Expected) -> bool:
    took, told = _sum(found), frozenset.intersection(*(item.told for item in found)) & what.amounts
    return ("tokens" in told and took.tokens != record.took.tokens) or ("usd" in told and not took.costs(record.took))


def _same_sum(missing: list[Record], loose: list[Item]) -> bool:
    want, have = sum((one.took for one in missing), NOTHING), _sum(loose)
    if (want.requests, want.tokens) != (have.requests, have.tokens):
        return False
    return any(one.notional for one in missing) or want.costs(have)


def _text(took: Sums, told: frozenset[str] = frozenset({"tokens", "usd"})) -> str:
    tokens = f"{took.input_tokens} in, {took.output_tokens} out" if "tokens" in told else "tokens not told"
    return f"{tokens}, {plain(took.usd)} USD" if "usd" in told else f"{tokens}, cost not told"


def _record_text(record: Record) -> str:
    why = f" ({record.reason})" if record.reason else ""
    if record.state is State.REFUSED:
        return f"refused{why}"
    whose = ", notional" if record.notional else ""
    return f"{record.state}{why}: {_text(record.took)}{whose}"


def _item_text(found: list[Item]) -> str:
    return _text(_sum(found), frozenset.intersection(*(item.told for item in found)))


def explained(tally: Tally) -> Mapping[str, int]:
    """Cause -> count, in a stable order."""
    return {str(cause): count for cause, count in sorted(tally.explained.items())}
