"""Books against each other, without any of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from infra.reconcile.books import Book, Day, State, Sums
from infra.reconcile.reconciling import COMPARED, Seen, reconciled
from infra.reconcile.report import MOST, Amounts, Kind, Look, Verdict
from tests.unit.reconcile.booked import DAY, NOON, TOOK, found, line, only, record, report, row, trace

ONE, TWO = record(1), record(2, sub="sub-of-bob", name="bob")
AFTER = timedelta(minutes=1)


class TestAgreement:
    def test_the_same_in_all_books(self) -> None:
        told = report([ONE, TWO, record(3)])
        assert told.findings == ()
        assert [(one.subject, one.verdict) for one in told.lines] == [
            ("alice", Verdict.AGREES),
            ("bob", Verdict.AGREES),
        ]
        alice = told.lines[0]
        same = Amounts(requests=2, input_tokens=14, output_tokens=6, usd="0.000132")
        assert alice.litellm is not None
        assert alice.traces is not None
        assert alice.ledger.company == alice.litellm.company == alice.traces.company == same
        assert (alice.difference_requests, alice.difference_usd, alice.sub) == (0, "0", "sub-of-alice")

    def test_binary_fractions_are_no_difference(self) -> None:
        near = row(ONE, took=replace(TOOK, usd=Decimal(str(7 * 3e-6 + 3 * 1.5e-5)) + Decimal("1e-12")))
        assert report([ONE], [near]).findings == ()

    def test_nobody_asked_anything(self) -> None:
        told = report([])
        assert (told.lines, told.findings) == ((), ())

    @pytest.mark.parametrize(
        ("changes", "cause"),
        [
            ({"status": 503, "reason": "upstream_error", "took": Sums(requests=1)}, "not answered"),
            ({"reason": "count_tokens", "took": Sums(requests=1)}, "only counted"),
            ({"reason": "usage_estimated"}, "broken off"),
            ({"state": State.ABORTED, "status": None}, "end never told"),
            ({"ended": DAY.now - timedelta(seconds=30)}, "just ended"),
        ],
    )
    def test_what_litellm_need_not_have(self, changes: dict[str, Any], cause: str) -> None:
        told = report([replace(ONE, **changes)], rows=[])
        assert told.findings == ()
        litellm = line(told).litellm
        assert litellm is not None
        assert (line(told).verdict, litellm.explained) == (Verdict.AGREES, {cause: 1})
        assert (line(told).ledger.company.requests, line(told).difference_requests) == (1, -1)

    def test_litellm_may_have_seen_another_part_of_what_was_broken_off(self) -> None:
        cut = replace(ONE, reason="broke_off")
        told = report([cut], [row(cut, took=replace(TOOK, output_tokens=9, usd=Decimal("0.000156")))])
        assert told.findings == ()
        assert line(told).difference_usd == "0.00009"
        litellm = line(told).litellm
        assert litellm is not None
        assert litellm.explained == {"broken off": 1}

    def test_a_refusal_is_in_no_sum_and_may_have_a_trace(self) -> None:
        refused = record(9, state=State.REFUSED, status=400, reason="guard_blocked", took=Sums(requests=1))
        told = report([ONE, refused], [row(ONE)])
        assert told.findings == ()
        assert line(told).traces is not None
        assert line(told).traces.company.requests == 1  # type: ignore[union-attr]  # asked one line above
        assert line(told).traces.explained == {"refused": 1}  # type: ignore[union-attr]  # the same
        assert report([ONE, refused], [row(ONE)], [trace(ONE)]).findings == ()

    def test_what_is_under_way_is_in_no_sum(self) -> None:
        open_one = record(9, state=State.ADMITTED, ended=None, status=None, took=Sums(requests=1))
        for rows in ([row(ONE)], [row(ONE), row(open_one)]):
            told = report([ONE, open_one], rows)
            assert told.findings == ()
            assert line(told).ledger.company.requests == 1
            assert line(told).difference_requests == 0


class TestNotional:
    """What callers' own accounts pay for."""

    OWN = record(5, notional=True)

    @pytest.mark.parametrize("usd", ["0", "0.000066", "9"])
    def test_it_is_kept_apart_and_nobody_s_usd(self, usd: str) -> None:
        told = report([ONE, self.OWN], [row(ONE), row(self.OWN, took=replace(TOOK, usd=Decimal(usd)))])
        assert told.findings == ()
        ours = line(told)
        assert (ours.ledger.company.usd, ours.ledger.notional.usd) == ("0.000066", "0.000066")
        assert ours.litellm is not None
        assert (ours.litellm.company.usd, ours.litellm.notional.usd) == ("0.000066", usd)
        assert ours.difference_usd == "0"

    def test_its_tokens_are_compared(self) -> None:
        told = report([self.OWN], [row(self.OWN, took=replace(TOOK, input_tokens=8))])
        assert (only(told).kind, only(told).ledger) == (Kind.DIFFERENT, "settled: 7 in, 3 out, 0.000066 USD, notional")

    def test_one_that_litellm_lacks_is_missed(self) -> None:
        assert found(report([self.OWN], [])) == [(Book.LITELLM, Kind.MISSING, self.OWN.trace)]


class TestDisagreement:
    def test_what_a_book_lacks_is_named(self) -> None:
        told = report([ONE, TWO], [row(TWO)])
        assert found(told) == [(Book.LITELLM, Kind.MISSING, ONE.trace)]
        assert (only(told).subject, only(told).ledger) == ("alice", "settled: 7 in, 3 out, 0.000066 USD")
        assert [one.verdict for one in told.lines] == [Verdict.DIFFERS, Verdict.AGREES]
        assert found(report([ONE, TWO], traces=[trace(ONE)])) == [(Book.TRACES, Kind.MISSING, TWO.trace)]

    def test_what_the_ledger_lacks_is_named(self) -> None:
        told = report([ONE], [row(ONE), row(TWO)], [trace(ONE), trace(TWO)])
        assert found(told) == [(Book.LITELLM, Kind.FOREIGN, TWO.trace), (Book.TRACES, Kind.FOREIGN, TWO.trace)]
        assert [(one.subject, one.sub, one.verdict) for one in told.lines] == [
            ("alice", "sub-of-alice", Verdict.AGREES),
            ("bob", None, Verdict.DIFFERS),
            ("sub-of-bob", None, Verdict.DIFFERS),
        ], "the ledger knows nobody of that id or name"

    @pytest.mark.parametrize(
        "took",
        [
            replace(TOOK, usd=Decimal("0.000067")),
            replace(TOOK, usd=Decimal("0.0000660011")),
            replace(TOOK, input_tokens=8),
            replace(TOOK, output_tokens=2),
        ],
    )
    @pytest.mark.parametrize("book", list(Book))
    def test_other_amounts(self, took: Sums, book: Book) -> None:
        changed = row(ONE, took=took) if book is Book.LITELLM else trace(ONE, took=took)
        told = report([ONE], [changed]) if book is Book.LITELLM else report([ONE], traces=[changed])
        assert found(told) == [(book, Kind.DIFFERENT, ONE.trace)]
        assert only(told).other != only(told).ledger

    def test_a_refused_request_that_was_paid_for_all_the_same(self) -> None:
        refused = replace(ONE, state=State.REFUSED, status=429, reason="budget_exceeded", took=Sums(requests=1))
        told = report([refused], [row(refused, took=TOOK)])
        assert found(told) == [(Book.LITELLM, Kind.FOREIGN, ONE.trace)]
        assert only(told).ledger == "refused (budget_exceeded)"
        assert line(told).difference_usd == "0.000066"

    def test_a_failure_that_litellm_was_charged_for(self) -> None:
        failed = replace(ONE, status=503, reason="gateway_failed", took=Sums(requests=1))
        assert found(report([failed], [row(failed, took=TOOK)])) == [(Book.LITELLM, Kind.DIFFERENT, ONE.trace)]

    def test_rows_of_one_request_are_added_up(self) -> None:
        half = row(ONE, took=replace(TOOK, input_tokens=7, output_tokens=0, usd=Decimal("0.000021")))
        rest = replace(half, id="again", took=Sums(requests=1, output_tokens=3, usd=Decimal("0.000045")))
        told = report([ONE], [half, rest])
        assert (told.findings, line(told).difference_requests) == ((), 0)
        assert found(report([ONE], [row(ONE), row(ONE, id="again")])) == [(Book.LITELLM, Kind.DIFFERENT, ONE.trace)]

    def test_what_a_trace_does_not_tell_is_not_compared(self) -> None:
        silent = trace(ONE, took=Sums(requests=1), told=frozenset())
        assert report([ONE], traces=[silent]).findings == ()
        dear = trace(ONE, took=replace(TOOK, input_tokens=0, output_tokens=0, usd=Decimal(1)), told=frozenset({"usd"}))
        told = only(report([ONE], traces=[dear]))
        assert told.other == "tokens not told, 1 USD"

    def test_at_most_twenty_and_a_count_of_the_rest(self) -> None:
        told = report([record(number) for number in range(MOST + 5)], rows=[])
        assert (len(told.findings), told.more) == (MOST, 5)


class TestWithoutTrace:
    """Rows of LiteLLM from before the gate told it the trace."""

    LOOSE = (row(ONE, trace=None, id="a"), row(record(3), trace=None, id="b"))

    def test_they_are_matched_by_their_sum(self) -> None:
        told = report([ONE, record(3)], list(self.LOOSE))
        assert told.findings == ()
        assert line(told).litellm is not None
        assert line(told).litellm.explained == {"matched by sum": 2}  # type: ignore[union-attr]  # asked above

    def test_else_both_sides_are_named(self) -> None:
        told = report([ONE], list(self.LOOSE))
        assert found(told) == [
            (Book.LITELLM, Kind.FOREIGN, None),
            (Book.LITELLM, Kind.FOREIGN, None),
            (Book.LITELLM, Kind.MISSING, ONE.trace),
        ]
        assert [one.row for one in told.findings] == ["a", "b", None]

    def test_another_s_do_not_stand_for_them(self) -> None:
        told = report([ONE], [row(ONE, trace=None, subject="sub-of-bob")])
        assert {one.subject for one in told.findings} == {"alice", "sub-of-bob"}

    def test_an_own_account_s_may_have_another_cost(self) -> None:
        own = replace(ONE, notional=True)
        free = row(own, trace=None, took=replace(TOOK, usd=Decimal(0)))
        assert report([own], [free]).findings == ()
        assert len(report([ONE], [free]).findings) == 2


class TestMidnight:
    """A request begins at three clocks; the ledger's says to which day it belongs."""

    @pytest.mark.parametrize("edge", [DAY.begins, DAY.ends])
    @pytest.mark.parametrize("beside", [timedelta(seconds=-1), timedelta(seconds=1)])
    def test_its_day_is_its_record_s(self, edge: datetime, beside: timedelta) -> None:
        late = record(4, time=edge + timedelta(milliseconds=1), ended=edge + AFTER)
        early = record(6, time=edge - timedelta(milliseconds=1), ended=edge + AFTER)
        rows = [row(one, time=edge + beside) for one in (late, early)]
        traces = [trace(one, time=edge + beside) for one in (late, early)]
        told = report([late, early], rows, traces)
        assert told.findings == ()
        assert line(told).ledger.company.requests == 1
        assert line(told).difference_requests == 0

    def test_another_day_s_strangers_are_another_day_s(self) -> None:
        outside = row(TWO, time=DAY.begins - timedelta(seconds=1))
        assert report([ONE], [row(ONE), outside, replace(outside, trace=None, id="b")]).findings == ()

    def test_it_reads_beyond_the_day(self) -> None:
        begins, ends = DAY.span
        assert (begins, ends) == (datetime(2026, 2, 28, 23, 50, tzinfo=UTC), datetime(2026, 3, 2, 0, 10, tzinfo=UTC))

    def test_today_goes_on(self) -> None:
        today = Day(date(2026, 3, 1), NOON)
        assert report([], day=today).unfinished
        assert not report([]).unfinished
        new = row(TWO, time=NOON - timedelta(seconds=5))
        assert report([], [new], [], day=today).findings == (), "it may have been admitted after the ledger was read"


class TestUnseen:
    def test_a_book_that_was_not_seen_is_no_book_that_agrees(self) -> None:
        away = Look(state="unseen", why="ConnectError: down")
        told = reconciled("t", DAY, [ONE], {Book.LITELLM: Seen(away), Book.TRACES: Seen(COMPARED, [trace(ONE)])})
        assert (told.litellm, told.traces) == (away, COMPARED)
        assert (line(told).litellm, line(told).difference_usd, line(told).verdict) == (None, None, Verdict.AGREES)
        told = reconciled("t", DAY, [ONE], {Book.LITELLM: Seen(away), Book.TRACES: Seen(away)})
        assert line(told).verdict is Verdict.NOT_COMPARED
