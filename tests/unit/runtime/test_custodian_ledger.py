"""The custodian's tables on a real PostgreSQL: money is counted once and exactly, records go one way."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.chain import Signer
from runtime.contract import Budget, Price, Tokens
from runtime.custodian import database as module
from runtime.custodian import virtual_keys
from runtime.custodian.database import Database
from runtime.custodian.hashed import digest
from runtime.custodian.ledger import period_begin
from runtime.custodian.subject import Subject
from runtime.custodian.virtual_keys import Terms
from runtime.custodian.writer import Writer
from runtime.store import Ed25519Key
from tests.unit.runtime.recorded import ALICE, ASKED, about, admitted, ending, spent

SIGNER = Signer(Ed25519Key().make({}))


@pytest.fixture
async def database(database_settings: dict[str, str]) -> AsyncIterator[Database]:
    opened = Database(database_settings, Writer(SIGNER))
    await opened.open()
    yield opened
    await opened.close()


class TestRecords:
    async def test_from_admitted_to_settled(self, database: Database) -> None:
        trace = await admitted(database)
        first = await database.record(trace)
        assert first is not None
        assert (first["state"], first["name"], first["kind"], first["demo"]) == ("admitted", "alice", "person", True)
        assert first["ended"] is None
        assert await database.settle(
            trace, ending(guards={"verdict": "masked", "findings": {"card": 2}}), Decimal("0.25")
        )
        record = await database.record(trace)
        assert record is not None
        assert record["state"] == "settled"
        assert (record["input_tokens"], record["output_tokens"], record["cost_usd"]) == (7, 3, "0.25")
        assert record["guards"] == {"verdict": "masked", "findings": {"card": 2}}
        assert datetime.fromisoformat(record["ended"]) >= datetime.fromisoformat(record["time"])

    async def test_a_trace_is_admitted_once(self, database: Database) -> None:
        entry = about()
        await database.admit(entry, ASKED)
        with pytest.raises(asyncpg.UniqueViolationError):
            await database.admit(entry, ASKED)

    async def test_a_refused_request_cannot_be_admitted_or_settled_with_the_same_assertion(
        self, database: Database
    ) -> None:
        entry = about()
        what = {"dialect": "anthropic", "model": "small", "status": 400, "reason": "guard_blocked"}
        await database.refuse(entry, what)
        with pytest.raises(asyncpg.UniqueViolationError):
            await database.admit(entry, ASKED)
        assert not await database.settle(entry.trace, ending(), Decimal(1))
        record = await database.record(entry.trace)
        assert record is not None
        assert (record["state"], record["status"], record["cost_usd"]) == ("refused", 400, "0")

    async def test_a_settled_record_is_not_overwritten_by_a_refusal(self, database: Database) -> None:
        entry = about()
        await database.admit(entry, ASKED)
        await database.settle(entry.trace, ending(), Decimal(1))
        await database.refuse(entry, {"dialect": "openai", "model": "small", "status": 429})
        record = await database.record(entry.trace)
        assert record is not None
        assert record["state"] == "settled"

    async def test_what_was_never_admitted_cannot_be_settled(self, database: Database) -> None:
        assert not await database.settle(secrets.token_hex(16), ending(), Decimal(1))
        assert await spent(database) == 0

    async def test_the_reaper_takes_only_what_is_old_and_open(self, database: Database) -> None:
        old, young, done = [await admitted(database) for _ in range(3)]
        await database.settle(done, ending(), Decimal(1))
        await database.pool.execute("UPDATE record SET admitted = now() - interval '1 hour' WHERE trace <> $1", young)
        assert await database.reap(timedelta(minutes=15)) == 1
        states = {row["trace"]: row["state"] for row in await database.records(10)}
        assert states == {old: "aborted", young: "admitted", done: "settled"}

    async def test_an_answer_that_ends_after_the_reaper_came_is_still_paid(self, database: Database) -> None:
        trace = await admitted(database)
        await database.reap(timedelta(seconds=-1))
        assert await database.settle(trace, ending(), Decimal(2))
        assert await spent(database) == 2

    async def test_the_newest_come_first(self, database: Database) -> None:
        traces = [await admitted(database) for _ in range(5)]
        assert [row["trace"] for row in await database.records(3)] == traces[:1:-1]

    async def test_no_column_could_hold_content(self, database: Database) -> None:
        rows = await database.pool.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'record'"
        )
        assert not {row["column_name"] for row in rows} & {"prompt", "messages", "input", "output", "answer", "text"}


class TestMoney:
    async def test_twice_settled_is_paid_once(self, database: Database) -> None:
        trace = await admitted(database)
        results = await asyncio.gather(*(database.settle(trace, ending(), Decimal("0.1")) for _ in range(12)))
        assert sorted(results) == [False] * 11 + [True]
        assert await spent(database) == Decimal("0.1")

    async def test_many_at_once_add_up(self, database: Database) -> None:
        traces = [await admitted(database) for _ in range(40)]
        await asyncio.gather(*(database.settle(trace, ending(), Decimal("0.000001")) for trace in traces))
        assert await spent(database) == Decimal("0.00004")

    async def test_every_subject_pays_its_own(self, database: Database) -> None:
        bob = dataclasses.replace(ALICE, sub="sub-of-bob", name="bob")
        await database.settle(await admitted(database), ending(), Decimal(1))
        await database.settle(await admitted(database, bob), ending(), Decimal(2))
        assert await spent(database) == 1
        assert await spent(database, bob.sub) == 2
        assert await spent(database, "nobody") == 0

    @pytest.mark.parametrize("period", ["day", "week", "month"])
    async def test_every_period_is_counted_so_a_budget_may_change_its_period(
        self, database: Database, period: Any
    ) -> None:
        await database.settle(await admitted(database), ending(), Decimal(1))
        assert await spent(database, budget=Budget(usd=Decimal(5), period=period)) == 1

    async def test_last_periods_money_is_not_this_ones(self, database: Database) -> None:
        await database.settle(await admitted(database), ending(), Decimal(1))
        await database.pool.execute("UPDATE spending SET begins = begins - 40")
        assert await spent(database) == 0

    async def test_the_smallest_price_is_not_rounded_away(self, database: Database) -> None:
        """One token at the smallest price there is costs 1e-12 USD; a million of them must be seen."""
        cost = Price(input=Decimal("0.000001"), output=Decimal(0)).cost(Tokens(input=1))
        assert cost == Decimal("1e-12")
        for _ in range(3):
            await database.settle(await admitted(database), ending(), cost)
        assert await spent(database) == 3 * cost
        assert (await database.records(1))[0]["cost_usd"] == "0.000000000001"

    async def test_huge_counts_are_counted(self, database: Database) -> None:
        trace = await admitted(database)
        assert await database.settle(trace, ending(input_tokens=3_000_000_000), Decimal("123456789.5"))
        record = await database.record(trace)
        assert record is not None
        assert record["input_tokens"] == 3_000_000_000


@given(day=st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_periods_begin_where_they_should(day: date) -> None:
    assert period_begin("day", day) == day
    week, month = period_begin("week", day), period_begin("month", day)
    assert week.weekday() == 0
    assert timedelta(0) <= day - week < timedelta(7)
    assert (month.day, month.month, month.year) == (1, day.month, day.year)


class TestVirtualKeys:
    async def test_found_by_its_digest(self, database: Database) -> None:
        await database.add_key(digest("sk-praxis-one"), ALICE, Terms())
        found = await database.key_subject(digest("sk-praxis-one"))
        assert found == dataclasses.replace(ALICE, credential="virtual-key")
        assert await database.key_subject(digest("sk-praxis-two")) is None

    async def test_expired_or_revoked_is_no_key(self, database: Database) -> None:
        await database.add_key(digest("a"), ALICE, Terms(days=-1))
        await database.add_key(digest("b"), ALICE, Terms())
        await database.pool.execute("UPDATE virtual_key SET revoked = now() WHERE hash = $1", digest("b"))
        assert await database.key_subject(digest("a")) is None
        assert await database.key_subject(digest("b")) is None

    async def test_is_known_for_a_while_and_no_longer_once_revoked(self, database: Database) -> None:
        await database.add_key(digest("a"), ALICE, Terms())
        assert await database.key_subject(digest("a"))
        await database.pool.execute("UPDATE virtual_key SET name = 'x'")
        assert await database.key_subject(digest("a")) == dataclasses.replace(ALICE, credential="virtual-key")
        assert await database.revoke_keys("x", None) == 1
        assert await database.key_subject(digest("a")) is None

    async def test_what_was_asked_before_a_revocation_is_not_known_after_it(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await database.add_key(digest("a"), ALICE, Terms())
        ask = virtual_keys.subject_of

        async def slowly(connection: Any, key: bytes) -> Subject | None:
            found = await ask(connection, key)
            await database.revoke_keys(ALICE.name, None)
            return found

        monkeypatch.setattr(virtual_keys, "subject_of", slowly)
        assert await database.key_subject(digest("a"))
        monkeypatch.setattr(virtual_keys, "subject_of", ask)
        assert await database.key_subject(digest("a")) is None

    async def test_the_key_itself_is_nowhere(self, database: Database) -> None:
        key = "sk-praxis-" + secrets.token_urlsafe(32)
        await database.add_key(digest(key), ALICE, Terms())
        rows = await database.pool.fetch("SELECT virtual_key::text AS whole FROM virtual_key")
        assert not any(key in row["whole"] or key[10:30] in row["whole"] for row in rows)


async def test_two_starting_at_once_make_one_schema(database_settings: dict[str, str]) -> None:
    several = [Database(database_settings, Writer(SIGNER)) for _ in range(4)]
    await asyncio.gather(*(each.open() for each in several))
    await asyncio.gather(*(each.ping() for each in several))
    await asyncio.gather(*(each.close() for each in several))


async def test_before_it_is_open_it_says_so(database_settings: dict[str, str]) -> None:
    with pytest.raises(ConnectionError):
        await Database(database_settings, Writer(SIGNER)).ping()


async def test_it_waits_for_a_server_that_starts_later(database_settings: dict[str, str], tmp_path: Path) -> None:
    later = Database({**database_settings, "host": str(tmp_path)}, Writer(SIGNER))
    opening = asyncio.create_task(later.open(patience_s=20))
    await asyncio.sleep(0.7)
    assert not opening.done()
    socket = ".s.PGSQL.5432"
    (tmp_path / socket).symlink_to(Path(database_settings["host"]) / socket)
    await opening
    await later.ping()
    await later.close()


async def test_a_server_that_never_comes_is_said(database_settings: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="no database after 0 s"):
        await Database({**database_settings, "host": str(tmp_path)}, Writer(SIGNER)).open(patience_s=0)


async def test_utc_whatever_the_servers_zone(database: Database) -> None:
    await database.pool.execute("SET timezone TO 'Pacific/Kiritimati'")
    await database.settle(await admitted(database), ending(), Decimal(1))
    begins = await database.pool.fetchval("SELECT begins FROM spending WHERE period = 'day'")
    assert begins == datetime.now(UTC).date()


async def test_a_password_that_is_just_being_changed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[str] = []

    async def connect(**settings: Any) -> str:
        tries.append(settings["password"]())
        if len(tries) < 3:
            raise asyncpg.InvalidPasswordError("password authentication failed")
        return "connected"

    monkeypatch.setattr(asyncpg, "connect", connect)
    values = iter(["old", "old", "new"])
    assert await module._let_in(password=lambda: next(values)) == "connected"
    assert tries == ["old", "old", "new"]


async def test_a_wrong_password_is_said_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused() -> None:
        raise asyncpg.InvalidPasswordError("password authentication failed")

    monkeypatch.setattr(asyncpg, "connect", refused)
    monkeypatch.setattr(module, "PASSWORD_PATIENCE_S", 0.1)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await module._let_in()
