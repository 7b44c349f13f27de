"""Whatever a day was like."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from infra.reconcile.books import ROUNDING_USD, Book, Record, State, Sums
from infra.reconcile.expecting import Presence, expected
from infra.reconcile.report import Kind, Verdict
from runtime.contract import plain
from tests.unit.reconcile.booked import DAY, found, record, report, row, trace

SUBJECTS = ("alice", "bob", "nightly-report")
REASONS = (None, "usage_estimated", "count_tokens", "access_ended", "upstream_error")


@st.composite
def days(draw: st.DrawFn) -> list[Record]:
    """Records of some subjects, of every kind, also of the days beside."""
    made = []
    for number in range(draw(st.integers(0, 12))):
        state, name = draw(st.sampled_from(State)), draw(st.sampled_from(SUBJECTS))
        time = DAY.begins + timedelta(seconds=draw(st.integers(-500, 86_900)))
        ended = None if state is State.ADMITTED else time + timedelta(seconds=draw(st.integers(0, 900)))
        took = Sums(
            requests=1,
            input_tokens=draw(st.integers(0, 10**6)),
            output_tokens=draw(st.integers(0, 10**5)),
            usd=Decimal(draw(st.integers(0, 10**10))) / 10**8,
        )
        changes = {"state": state, "time": time, "ended": ended, "took": took, "notional": draw(st.booleans())}
        why = {"reason": draw(st.sampled_from(REASONS)), "status": draw(st.sampled_from([200, 503]))}
        made.append(record(number, sub=f"sub-of-{name}", name=name, **changes, **why))
    return made


def had(records: list[Record], book: Book) -> list[Record]:
    """Those that the book has when all is well: what it must have and what it may."""
    return [one for one in records if expected(one, book, DAY.now).presence is not Presence.NEVER]


def must(records: list[Record], book: Book) -> list[Record]:
    """Those of the day that the book must have."""
    return [one for one in records if DAY.has(one.time) and expected(one, book, DAY.now).presence is Presence.MUST]


@given(days(), st.randoms(use_true_random=False))
def test_books_that_have_what_they_should_agree_in_any_order(records: list[Record], chance: Random) -> None:
    rows, traces = [row(one) for one in had(records, Book.LITELLM)], [trace(one) for one in records]
    told = report(records, rows, traces)
    assert told.findings == ()
    for each in (rows, traces, shuffled := list(records)):
        chance.shuffle(each)
    assert report(shuffled, rows, traces) == told
    least = [row(one) for one in must(records, Book.LITELLM)]
    assert report(records, least, [trace(one) for one in must(records, Book.TRACES)]).findings == ()


@given(days())
def test_lines_add_up_to_the_ledger(records: list[Record]) -> None:
    told = report(records, [row(one) for one in had(records, Book.LITELLM)])
    counted = [one for one in records if one.counts and DAY.has(one.time)]
    company = sum((one.took for one in counted if not one.notional), Sums())
    assert sum(line.ledger.company.requests for line in told.lines) == company.requests
    assert plain(sum((Decimal(line.ledger.company.usd) for line in told.lines), Decimal(0))) == plain(company.usd)
    assert sum(line.ledger.notional.requests for line in told.lines) == sum(one.notional for one in counted)
    assert all(line.verdict is Verdict.AGREES for line in told.lines)


@given(days(), st.sampled_from(Book), st.data())
def test_one_that_is_taken_away_is_the_one_that_is_named(
    records: list[Record], book: Book, data: st.DataObject
) -> None:
    needed = must(records, book)
    if not needed:
        return
    gone = data.draw(st.sampled_from(needed))
    rows = [row(one) for one in had(records, Book.LITELLM) if book is Book.TRACES or one is not gone]
    traces = [trace(one) for one in records if book is Book.LITELLM or one is not gone]
    assert found(report(records, rows, traces)) == [(book, Kind.MISSING, gone.trace)]


@given(days(), st.integers(1, 10**9), st.booleans(), st.data())
def test_one_whose_cost_was_changed_is_named_and_rounding_is_not(
    records: list[Record], billionths: int, up: bool, data: st.DataObject
) -> None:
    needed = [one for one in must(records, Book.LITELLM) if not one.notional]
    if not needed:
        return
    changed = data.draw(st.sampled_from(needed))
    by = ROUNDING_USD * billionths * (1 if up else -1)
    rows = [
        row(one, took=replace(one.took, usd=one.took.usd + by)) if one is changed else row(one)
        for one in had(records, Book.LITELLM)
    ]
    expected_finding = [] if billionths == 1 else [(Book.LITELLM, Kind.DIFFERENT, changed.trace)]
    assert found(report(records, rows)) == expected_finding


@given(days(), st.sampled_from(SUBJECTS), st.integers(0, 86_399))
def test_one_that_was_put_in_is_named(records: list[Record], name: str, second: int) -> None:
    put_in = record(99, sub=f"sub-of-{name}", name=name, time=DAY.begins + timedelta(seconds=second))
    rows = [row(one) for one in [*had(records, Book.LITELLM), put_in]]
    assert found(report(records, rows)) == [(Book.LITELLM, Kind.FOREIGN, put_in.trace)]
