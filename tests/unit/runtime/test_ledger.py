"""The ledger on a real PostgreSQL: no two requests are given the same money."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import receipt
from runtime.chain import Signer
from runtime.contract import Budget, BudgetRaise, Estimate, Price, Tokens
from runtime.custodian import ledger
from runtime.custodian.database import KNOWN_S, Database, Request
from runtime.custodian.ledger import Claim, Standing, claim
from runtime.custodian.writer import Writer
from runtime.store import Ed25519Key
from tests.unit.runtime.recorded import ALICE, about, admitted, asking, ending, spent

SIGNER = Signer(Ed25519Key().make({}))
TEN = Budget(usd=Decimal(10), period="day", soft_usd=Decimal(6))
OWN = Request(dialect="anthropic", model="claude")
DEAR = Price(input=Decimal(3), output=Decimal(15), cache_read=Decimal("0.3"), cache_write=Decimal("3.75"))


@pytest.fixture
async def database(database_settings: dict[str, str]) -> AsyncIterator[Database]:
    opened = Database(database_settings, Writer(SIGNER))
    await opened.open()
    yield opened
    await opened.close()


async def told(database: Database, kind: str) -> list[dict[str, Any]]:
    """Bodies of the chain's events of a kind."""
    return [json.loads(event.body) for event in await database.chain(1, 1000) if event.kind == kind]


class TestReserving:
    async def test_fifty_at_once_with_money_for_ten(self, database: Database) -> None:
        async def ask() -> bool:
            return await database.admit(about(), asking("1", TEN)) is None

        out = await asyncio.gather(*(ask() for _ in range(50)))
        assert sum(out) == 10
        now = await database.standing(ALICE.sub, TEN)
        assert now == Standing(budget=TEN, spent=Decimal(0), reserved=Decimal(10))
        assert now.would_allow(Decimal(1))

    async def test_what_is_not_used_is_given_back(self, database: Database) -> None:
        trace = await admitted(database, request=asking("9", TEN))
        assert await database.admit(about(), asking("2", TEN)) is not None
        await database.settle(trace, ending(), Decimal(1), TEN)
        assert await database.admit(about(), asking("9", TEN)) is None
        assert await spent(database, budget=TEN) == 1

    async def test_what_is_refused_leaves_no_record(self, database: Database) -> None:
        entry = about()
        over = await database.admit(entry, asking("10.01", TEN))
        assert over == Standing(budget=TEN, spent=Decimal(0))
        assert not over.would_allow(Decimal("10.01"))
        assert await database.record(entry.trace) is None
        assert not await told(database, "admitted")

    async def test_somebody_else_s_money_is_not_touched(self, database: Database) -> None:
        await admitted(database, request=asking("10", TEN))
        assert (await database.standing("sub-of-bob", TEN)).reserved == 0

    async def test_an_own_account_pays_and_no_budget_is_asked(self, database: Database) -> None:
        await admitted(database, request=asking("10", TEN))
        trace = await admitted(database, request=OWN)
        await database.settle(trace, ending(), Decimal(40), TEN)
        record = await database.record(trace)
        assert record is not None
        assert (record["payer"], record["cost_usd"], record["reserved_usd"]) == ("user", "40", None)
        assert await spent(database, budget=TEN) == 0
        assert receipt.check(record, {SIGNER.public}) == []


class TestAborted:
    async def test_nobody_knows_what_it_cost_so_what_was_reserved_is_charged(self, database: Database) -> None:
        trace = await admitted(database, request=asking("4", TEN))
        await database.reap(timedelta(seconds=-1))
        now = await database.standing(ALICE.sub, TEN)
        assert now == Standing(budget=TEN, spent=Decimal(4))
        record = await database.record(trace)
        assert record is not None
        assert (record["state"], record["cost_usd"]) == ("aborted", "4")
        assert receipt.check(record, {SIGNER.public}) == []

    async def test_an_end_that_is_told_late_puts_it_right(self, database: Database) -> None:
        trace = await admitted(database, request=asking("4", TEN))
        await database.reap(timedelta(seconds=-1))
        await database.settle(trace, ending(), Decimal("0.5"), TEN)
        assert await spent(database, budget=TEN) == Decimal("0.5")

    async def test_an_own_account_is_charged_with_nothing(self, database: Database) -> None:
        await admitted(database, request=OWN)
        await database.reap(timedelta(seconds=-1))
        assert await spent(database, budget=TEN) == 0


class TestLately:
    async def test_what_is_settled_or_raised_is_known_at_once(self, database: Database) -> None:
        assert not (await database.standing_lately(ALICE.sub, TEN)).used_up
        await database.settle(await admitted(database), ending(), Decimal(10), TEN)
        assert (await database.standing_lately(ALICE.sub, TEN)).used_up
        await database.raise_budget(more(ALICE.sub), datetime.now(UTC) + timedelta(hours=1))
        assert (await database.standing_lately(ALICE.sub, TEN)).limit == 15

    async def test_what_others_write_is_known_a_little_later(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (await database.standing_lately(ALICE.sub, TEN)).spent == 0
        async with database.pool.acquire() as connection:
            await ledger.charge(connection, ALICE.sub, Decimal(10))
        assert (await database.standing_lately(ALICE.sub, TEN)).spent == 0
        now = time.monotonic()
        monkeypatch.setattr(database._standings, "_clock", lambda: now + KNOWN_S + 1)
        assert (await database.standing_lately(ALICE.sub, TEN)).used_up

    async def test_another_budget_is_looked_up(self, database: Database) -> None:
        await database.settle(await admitted(database), ending(), Decimal(10), TEN)
        assert (await database.standing_lately(ALICE.sub, TEN)).used_up
        hundred = TEN.model_copy(update={"usd": Decimal(100)})
        assert not (await database.standing_lately(ALICE.sub, hundred)).used_up


class TestEntries:
    """A span of time's records, as the operator is told them."""

    async def test_a_reservation_stands_for_what_was_never_told_and_an_own_account_s_cost_is_marked(
        self, database: Database
    ) -> None:
        given_up, own, open_own = [await admitted(database, request=one) for one in (asking("4", TEN), OWN, OWN)]
        await database.settle(own, ending(), Decimal(40), TEN)
        await database.reap(timedelta(seconds=-1))
        now = datetime.now(UTC)
        told = await database.entries(now - timedelta(hours=1), "", now + timedelta(hours=1), 10)
        assert [(one["trace"], one["state"], one["payer"], one["cost_usd"]) for one in told] == [
            (given_up, "aborted", "company", "4"),
            (own, "settled", "user", "40"),
            (open_own, "aborted", "user", "0"),
        ]
        assert (told[0]["input_tokens"], told[1]["input_tokens"], told[1]["output_tokens"]) == (0, 7, 3)


class TestTelling:
    async def test_every_mark_is_told_once_and_in_order(self, database: Database) -> None:
        for usd in ("4", "2.5", "0.1", "1.5", "1.9"):
            await database.settle(await admitted(database, request=asking("0", TEN)), ending(), Decimal(usd), TEN)
        warned = await told(database, "budget-warning")
        assert [one["mark"] for one in warned] == ["50%", "soft", "80%", "100%"]
        assert {(one["sub"], one["limit_usd"], one["period"]) for one in warned} == {(ALICE.sub, "10", "day")}

    async def test_what_goes_beyond_the_limit_is_told_by_its_amount(self, database: Database) -> None:
        first, second = await admitted(database), await admitted(database)
        await database.settle(first, ending(), Decimal("9.5"), TEN)
        await database.settle(second, ending(), Decimal("0.75"), TEN)
        record = await database.record(second)
        assert record is not None
        assert record["overshoot_usd"] == "0.25"
        assert receipt.check(record, {SIGNER.public}) == []
        assert [one.get("overshoot_usd") for one in await told(database, "settled")] == [None, "0.25"]


def more(sub: str) -> BudgetRaise:
    return BudgetRaise(sub=sub, name="alice", usd=Decimal(5), seconds=3600, why="quarter's end")


class TestRaising:
    async def test_a_raise_holds_for_its_time(self, database: Database) -> None:
        await database.settle(await admitted(database), ending(), Decimal(10), TEN)
        assert (await database.standing(ALICE.sub, TEN)).used_up
        ends = datetime.now(UTC) + timedelta(hours=1)
        await database.raise_budget(more(ALICE.sub), ends)
        now = await database.standing(ALICE.sub, TEN)
        assert now == Standing(budget=TEN, spent=Decimal(10), raised=Decimal(5))
        assert not now.used_up
        assert await database.admit(about(), asking("5", TEN)) is None
        assert (await told(database, "budget-raised"))[0]["why"] == "quarter's end"
        await database.pool.execute("UPDATE budget_raise SET ends = now()")
        assert (await database.standing(ALICE.sub, TEN)).limit == 10

    async def test_it_is_another_s_business(self, database: Database) -> None:
        await database.raise_budget(more("sub-of-bob"), datetime.now(UTC) + timedelta(hours=1))
        assert (await database.standing(ALICE.sub, TEN)).raised == 0


class TestClaim:
    @pytest.mark.parametrize(
        ("estimate", "usd"),
        [
            (Estimate(input_tokens=1_000_000, output_tokens=0), "3.75"),  # all of it might go into the cache
            (Estimate(input_tokens=0, output_tokens=100), "0.0015"),
            (Estimate(input_tokens=0, output_tokens=100, answers=3), "0.0045"),
            (Estimate(input_tokens=0, output_tokens=10_000_000), "0.06144"),  # 4,096 tokens
            (Estimate(input_tokens=0), "0.06144"),
        ],
    )
    def test_the_smaller_of_max_tokens_and_the_role_s_measure(self, estimate: Estimate, usd: str) -> None:
        assert claim(DEAR, estimate, TEN) == Claim(usd=Decimal(usd), budget=TEN)

    @given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
    def test_no_request_within_its_estimate_costs_more(self, plain: int, read: int, output: int) -> None:
        budget = TEN.model_copy(update={"reserve_output_tokens": 10**7})
        most = claim(DEAR, Estimate(input_tokens=plain + read, output_tokens=output), budget).usd
        assert DEAR.cost(Tokens(input=plain + read, output=output, cache_read=read)) <= most
        assert DEAR.cost(Tokens(input=plain + read, output=output, cache_write=read)) <= most
