"""The audit chain on a real PostgreSQL: every record with its event, in one unbroken order, whatever happens."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from runtime import receipt
from runtime.assertion import Assertion
from runtime.chain import Draft, Event, Head, Problem, Report, Signer, parse, read, verify
from runtime.contract import Kind
from runtime.custodian import writer as writing
from runtime.custodian.database import Database
from runtime.custodian.writer import BrokenChainError, Writer
from runtime.store import Ed25519Key
from tests.unit.runtime.recorded import ASKED

SIGNER, NEW, FOREIGN = (Signer(Ed25519Key().make({})) for _ in range(3))
OLD_SCHEMA = """
CREATE TABLE record (
    trace text PRIMARY KEY, state text NOT NULL, sub text NOT NULL, name text NOT NULL, kind text NOT NULL,
    department text NOT NULL, role text NOT NULL, policy text NOT NULL, credential text NOT NULL,
    demo boolean NOT NULL, dialect text NOT NULL, model text NOT NULL, status int, input_tokens bigint,
    output_tokens bigint, cost_usd numeric, guards jsonb NOT NULL DEFAULT '{}', reason text,
    prompt_digest text, admitted timestamptz NOT NULL DEFAULT now(), ended timestamptz);
INSERT INTO record (trace, state, sub, name, kind, department, role, policy, credential, demo, dialect, model)
    VALUES ('old', 'admitted', 's', 'alice', 'person', 'research', 'engineer', 'p', 'oidc', false, 'openai', 'small');
"""


@pytest.fixture
async def database(database_settings: dict[str, str]) -> AsyncIterator[Database]:
    opened = await opening(database_settings)
    yield opened
    await opened.close()


async def opening(settings: dict[str, str], *signers: Signer) -> Database:
    """A database as a custodian opens it at its start, with its key and the one before."""
    database = Database(settings, Writer(*(signers or (SIGNER,))))
    try:
        await database.open()
    except BaseException:
        await database.close()
        raise
    return database


def about(trace: str | None = None) -> Assertion:
    return Assertion(
        sub="sub-of-alice",
        name="alice",
        kind=Kind.PERSON,
        department="research",
        role="engineer",
        policy="p" * 64,
        trace=trace or secrets.token_hex(16),
        credential="oidc",
        demo=True,
    )


PAID = {"provider_calls": 1, "cache_read_tokens": 0, "cache_write_tokens": 0}


def ending(**changes: Any) -> dict[str, Any]:
    guards = {"verdict": "masked", "findings": {"card": 2}}
    return {"status": 200, "input_tokens": 7, "output_tokens": 3, "guards": guards, "reason": None, **PAID, **changes}


async def admitted(database: Database) -> str:
    entry = about()
    await database.admit(entry, ASKED)
    return entry.trace


async def refused(database: Database) -> str:
    entry = about()
    await database.refuse(entry, {"dialect": "openai", "model": "small", "status": 400, "reason": "guard_blocked"})
    return entry.trace


async def events(database: Database) -> list[Event]:
    return await database.chain(1, 10_000)


async def looked(database: Database, *keys: Signer, anchor: Head | None = None) -> Report:
    lines = [event.line() for event in await events(database)]
    return verify(read(lines), {key.public for key in keys or (SIGNER,)}, anchor=anchor)


async def kinds(database: Database) -> list[str]:
    return [event.kind for event in await events(database)]


async def tampered(database: Database, statement: str, *values: Any) -> None:
    """What the table's owner can do."""
    async with database.pool.acquire() as connection, connection.transaction():
        await connection.execute("ALTER TABLE chain DISABLE TRIGGER USER")
        await connection.execute(statement, *values)
        await connection.execute("ALTER TABLE chain ENABLE TRIGGER USER")


class TestEvents:
    async def test_every_write_has_its_event(self, database: Database) -> None:
        first = await admitted(database)
        await database.settle(first, ending(model="small"), Decimal("0.250"))
        second = await refused(database)
        third = await admitted(database)
        assert await database.reap(timedelta(seconds=-1)) == 1
        assert await kinds(database) == ["begun", "admitted", "settled", "refused", "admitted", "aborted"]
        bodies = [json.loads(event.body) for event in await events(database)]
        assert [body.get("trace") for body in bodies] == [None, first, first, second, third, third]
        assert bodies[1]["prompt_digest"] == "d" * 64
        assert (bodies[2]["cost_usd"], bodies[2]["guards"]["findings"]) == ("0.25", {"card": 2})
        assert (await looked(database)).findings == ()

    async def test_no_name_of_a_person_is_in_it(self, database: Database) -> None:
        await database.settle(await admitted(database), ending(), Decimal(1))
        await refused(database)
        assert not any("alice" in event.body.replace("sub-of-alice", "") for event in await events(database))

    async def test_what_is_not_written_has_no_event(self, database: Database) -> None:
        entry = about()
        await database.admit(entry, ASKED)
        with pytest.raises(asyncpg.UniqueViolationError):
            await database.admit(entry, ASKED)
        await database.refuse(entry, {"dialect": "openai", "model": "small", "status": 400})
        assert not await database.settle(secrets.token_hex(16), ending(), Decimal(1))
        assert await database.settle(entry.trace, ending(), Decimal(1))
        assert not await database.settle(entry.trace, ending(), Decimal(1))
        assert await database.reap(timedelta(seconds=-1)) == 0
        assert await kinds(database) == ["begun", "admitted", "settled"]

    async def test_a_record_without_its_event_is_not_written(self, database: Database) -> None:
        await database.pool.execute("ALTER TABLE chain ADD CHECK (kind <> 'settled') NOT VALID")
        trace = await admitted(database)
        with pytest.raises(asyncpg.CheckViolationError):
            await database.settle(trace, ending(), Decimal(1))
        record = await database.record(trace)
        assert record is not None
        assert record["state"] == "admitted"
        assert await database.pool.fetchval("SELECT count(*) FROM spending") == 0

    async def test_it_is_read_in_pages(self, database: Database) -> None:
        for _ in range(4):
            await admitted(database)
        whole = await events(database)
        assert [await database.chain(first, 2) for first in (1, 3, 5, 6)] == [whole[:2], whole[2:4], whole[4:], []]
        assert await database.head() == (whole[-1].head, SIGNER.public)


class TestManyAtOnce:
    async def test_one_unbroken_chain_and_no_lost_event(self, database: Database) -> None:
        traces = await asyncio.gather(*(admitted(database) for _ in range(50)))
        counted = await asyncio.gather(*(database.settle(trace, ending(), Decimal("0.1")) for trace in traces * 2))
        assert sum(counted) == 50
        report = await looked(database)
        assert (report.events, report.findings) == (101, ())
        seen = [(event.kind, json.loads(event.body).get("trace")) for event in (await events(database))[1:]]
        assert sorted(seen) == sorted((kind, trace) for kind in ("admitted", "settled") for trace in traces)

    async def test_they_share_transactions(self, database: Database) -> None:
        """As many as wait are committed together: that is what makes one writer cheap."""
        before = await database.pool.fetchval("SELECT pg_current_xact_id()::text::bigint")
        await asyncio.gather(*(admitted(database) for _ in range(writing.MOST)))
        after = await database.pool.fetchval("SELECT pg_current_xact_id()::text::bigint")
        assert after - before - 1 <= 3

    async def test_nobody_pays_for_another_ones_mistake(self, database: Database) -> None:
        bad = {"dialect": "openai", "model": "small", "status": 400, "reason": "a\0b"}
        results = await asyncio.gather(
            *(admitted(database) for _ in range(10)),
            database.refuse(about(), bad),
            *(admitted(database) for _ in range(10)),
            return_exceptions=True,
        )
        assert [number for number, result in enumerate(results) if isinstance(result, Exception)] == [10]
        assert isinstance(results[10], asyncpg.PostgresError)
        assert await kinds(database) == ["begun", *["admitted"] * 20]
        assert (await looked(database)).findings == ()

    async def test_two_custodians_while_one_replaces_the_other(self, database_settings: dict[str, str]) -> None:
        both = [await opening(database_settings) for _ in range(2)]
        traces = await asyncio.gather(*(admitted(each) for each in both * 25))
        await asyncio.gather(*(both[n % 2].settle(trace, ending(), Decimal(1)) for n, trace in enumerate(traces)))
        report = await looked(both[0])
        assert (report.events, report.findings) == (101, ())
        for each in both:
            await each.close()

    async def test_one_who_gave_up_is_not_written_for(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writing, "PATIENCE_S", 0.3)
        blocker = await asyncpg.connect(**database._settings)
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE chain")
            first = asyncio.create_task(admitted(database))
            await asyncio.sleep(0.1)
            late = [asyncio.create_task(admitted(database)) for _ in range(5)]
            outcomes = await asyncio.gather(first, *late, return_exceptions=True)
        assert all(isinstance(each, TimeoutError) for each in outcomes)
        await blocker.close()
        monkeypatch.setattr(writing, "PATIENCE_S", 10.0)
        await admitted(database)
        assert len(await kinds(database)) == 3, "the one whose turn had come, and the new one"
        assert (await looked(database)).findings == ()


class TestRestarts:
    async def test_the_chain_goes_on(self, database_settings: dict[str, str]) -> None:
        for _ in range(3):
            database = await opening(database_settings)
            await admitted(database)
            await database.close()
        database = await opening(database_settings)
        assert await kinds(database) == ["begun", "admitted", "admitted", "admitted"]
        assert (await looked(database)).findings == ()
        await database.close()

    async def test_a_connection_that_breaks_costs_what_was_under_way_and_no_more(self, database: Database) -> None:
        await admitted(database)
        stop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = $1"
        killer = await asyncpg.connect(**database._settings)
        tasks = [asyncio.create_task(admitted(database)) for _ in range(100)]
        await asyncio.sleep(0.005)
        await killer.execute(stop, database._settings["database"])
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        written = {each for each in outcomes if isinstance(each, str)}
        await admitted(database)
        await killer.close()
        assert (await looked(database)).findings == ()
        traces = {json.loads(event.body).get("trace") for event in await events(database)}
        assert written <= traces, "who was told 'written' is in the chain"

    async def test_an_old_stack_keeps_its_data_and_begins_a_chain(self, database_settings: dict[str, str]) -> None:
        connection = await asyncpg.connect(**database_settings)
        await connection.execute(OLD_SCHEMA)
        await connection.close()
        database = await opening(database_settings)
        (first,) = await events(database)
        assert (first.kind, json.loads(first.body)) == ("begun", {"earlier_records": 1})
        assert await database.settle("old", ending(), Decimal(1))
        assert await kinds(database) == ["begun", "settled"]
        record = await database.record("old")
        assert record is not None
        assert (record["state"], record["name"]) == ("settled", "alice")
        assert any("not in the chain" in each for each in receipt.check(record, {SIGNER.public}))
        await database.close()

    async def test_closed_means_not_written(self, database_settings: dict[str, str]) -> None:
        database = await opening(database_settings)
        await database.close()
        with pytest.raises(ConnectionError):
            await admitted(database)


class TestKeys:
    async def test_a_new_key_is_named_by_the_old_one(self, database_settings: dict[str, str]) -> None:
        database = await opening(database_settings)
        await admitted(database)
        await database.close()
        for _ in range(2):
            database = await opening(database_settings, NEW, SIGNER)
            await admitted(database)
            await database.close()
        database = await opening(database_settings, NEW, SIGNER)
        assert await kinds(database) == ["begun", "admitted", "key-changed", "key-confirmed", "admitted", "admitted"]
        for known in (SIGNER, NEW):
            assert (await looked(database, known)).findings == ()
        await database.close()

    async def test_a_new_key_that_the_old_one_does_not_name_is_refused(self, database_settings: dict[str, str]) -> None:
        await (await opening(database_settings)).close()
        for keys in ((NEW,), (NEW, FOREIGN)):
            with pytest.raises(BrokenChainError):
                await opening(database_settings, *keys)
        database = await opening(database_settings)
        assert await kinds(database) == ["begun"]
        await database.close()

    async def test_a_custodian_with_the_old_key_stops(self, database_settings: dict[str, str]) -> None:
        old = await opening(database_settings)
        new = await opening(database_settings, NEW, SIGNER)
        await admitted(new)
        with pytest.raises(BrokenChainError):
            await admitted(old)
        assert (await looked(new, NEW)).findings == ()
        await old.close()
        await new.close()


class TestTampering:
    @pytest.mark.parametrize(
        "statement", ["UPDATE chain SET kind = 'x'", "DELETE FROM chain WHERE seq > 1", "TRUNCATE chain"]
    )
    async def test_the_second_fence(self, database: Database, statement: str) -> None:
        await admitted(database)
        with pytest.raises(asyncpg.RaiseError, match="only grows"):
            await database.pool.execute(statement)
        assert (await looked(database)).findings == ()

    async def test_the_custodian_needs_no_more_than_to_own_its_database(
        self, database_settings: dict[str, str]
    ) -> None:
        """As images/postgres makes it: a role without any other right, and the fence stands before it too."""
        admin, role = await asyncpg.connect(**database_settings), f"owner_{secrets.token_hex(4)}"
        await admin.execute(f"CREATE ROLE {role} LOGIN")
        await admin.execute(f"ALTER DATABASE {database_settings['database']} OWNER TO {role}")
        database = await opening({**database_settings, "user": role})
        await admitted(database)
        with pytest.raises(asyncpg.RaiseError):
            await database.pool.execute("DELETE FROM chain")
        assert (await looked(database)).findings == ()
        await database.close()
        await admin.execute(f"REASSIGN OWNED BY {role} TO custodian; DROP OWNED BY {role}; DROP ROLE {role}")
        await admin.close()

    async def test_nobody_else_has_a_right_to_it(self, database: Database) -> None:
        await database.pool.execute("DROP ROLE IF EXISTS chain_stranger")
        await database.pool.execute("CREATE ROLE chain_stranger")
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
            assert not await database.pool.fetchval(
                "SELECT has_table_privilege('chain_stranger', 'chain', $1)", right
            ), right
        await database.pool.execute("DROP ROLE chain_stranger")

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("kind", "refused"),
            ("time", "yesterday"),
            ("body", '{"trace":"other"}'),
            ("body", "} no json"),
            ("body", "{}\n"),
            ("previous", ""),
            ("key", FOREIGN.public),
            ("hash", "0" * 64),
            ("signature", "g"),
        ],
    )
    async def test_a_changed_column_is_found(self, database: Database, column: str, value: str) -> None:
        for _ in range(3):
            await admitted(database)
        await tampered(database, f"UPDATE chain SET {column} = $1 WHERE seq = 3", value)  # noqa: S608
        report = await looked(database)
        assert report.findings[0].seq == 3
        await admitted(database)
        assert (await looked(database)).events == 5

    async def test_a_tail_cut_under_a_running_custodian_leaves_a_gap(self, database: Database) -> None:
        for _ in range(4):
            await admitted(database)
        await tampered(database, "DELETE FROM chain WHERE seq > 3")
        await admitted(database)
        assert [(each.seq, each.problem) for each in (await looked(database)).findings] == [(4, Problem.MISSING)]

    async def test_a_tail_cut_is_noticed_when_the_custodian_looks_again(self, database: Database) -> None:
        for _ in range(4):
            await admitted(database)
        await tampered(database, "DELETE FROM chain WHERE seq > 3")
        with pytest.raises(asyncpg.PostgresError):
            await database.refuse(about(), {"dialect": "openai", "model": "a\0b", "status": 400})
        with pytest.raises(BrokenChainError):
            await admitted(database)
        await tampered(database, "DELETE FROM chain")
        with pytest.raises(BrokenChainError):
            await admitted(database)

    async def test_a_rolled_back_database_is_found_by_a_head_that_was_seen(
        self, database_settings: dict[str, str]
    ) -> None:
        database = await opening(database_settings)
        for _ in range(4):
            await admitted(database)
        head, _ = await database.head()
        await tampered(database, "DELETE FROM chain WHERE seq > 2")
        await database.close()
        database = await opening(database_settings)
        assert (await looked(database)).findings == ()
        found = (await looked(database, anchor=head)).findings
        assert [each.problem for each in found] == [Problem.TRUNCATED]
        await database.close()

    async def test_a_forged_chain_is_not_gone_on_with(self, database_settings: dict[str, str]) -> None:
        """Else the custodian would put its own signature behind a forged past."""
        database = await opening(database_settings)
        named = FOREIGN.append(Head(0, "0" * 64), Draft("key-changed", {"public_key": SIGNER.public}))
        await tampered(
            database, "UPDATE chain SET key = $1, hash = $2, signature = $3", named.key, named.hash, named.signature
        )
        await database.close()
        with pytest.raises(BrokenChainError):
            await opening(database_settings)

    async def test_a_cut_chain_has_a_head_too(self, database: Database) -> None:
        await tampered(database, "DELETE FROM chain")
        assert await database.head() == (Head(0, "0" * 64), "")


class TestReceipts:
    async def told(self, database: Database, trace: str) -> dict[str, Any]:
        record = await database.record(trace)
        assert record is not None
        found: dict[str, Any] = json.loads(json.dumps(record))
        return found

    async def test_of_every_state(self, database: Database) -> None:
        settled, late, aborted, open_ = [await admitted(database) for _ in range(4)]
        await database.settle(settled, ending(model="small"), Decimal("0.000001"))
        await database.pool.execute("UPDATE record SET admitted = now() - interval '1 hour' WHERE trace <> $1", open_)
        await database.reap(timedelta(minutes=15))
        await database.settle(late, ending(reason="broke_off"), Decimal(0))
        states = {settled: "settled", late: "settled", aborted: "aborted", open_: "admitted"}
        for trace, state in {**states, await refused(database): "refused"}.items():
            record = await self.told(database, trace)
            assert record["state"] == state
            assert receipt.check(record, {SIGNER.public}) == []

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE record SET sub = 'sub-of-bob'",
            "UPDATE record SET cost_usd = 0",
            "UPDATE record SET input_tokens = NULL",
            "UPDATE record SET model = 'large'",
            "UPDATE record SET guards = '{}'",
            "UPDATE record SET state = 'admitted'",
            "UPDATE record SET prompt_digest = ''",
            "UPDATE record SET demo = false",
            "UPDATE record SET reason = 'because'",
        ],
    )
    async def test_a_changed_record_is_told(self, database: Database, statement: str) -> None:
        trace = await admitted(database)
        await database.settle(trace, ending(), Decimal(1))
        await database.pool.execute(statement)
        assert receipt.check(await self.told(database, trace), {SIGNER.public}) != []

    async def test_forged_foreign_borrowed_and_missing_events(self, database: Database) -> None:
        trace, other = await admitted(database), await admitted(database)
        record, keys = await self.told(database, trace), {SIGNER.public}
        (line,) = record["chain"]
        body = json.loads(parse(line).body)
        forged = FOREIGN.append(Head(1, "0" * 64), Draft("admitted", body)).line()
        for lines in (
            [],
            None,
            [5],
            ["nonsense"],
            [forged],
            [line.replace('"demo":true', '"demo":false')],
            [line.replace('"kind":"admitted"', '"kind":"refused"')],
            (await self.told(database, other))["chain"],
        ):
            assert receipt.check({**record, "chain": lines}, keys) != [], lines
        assert receipt.check(record, {FOREIGN.public}) != []
        assert receipt.check({key: value for key, value in record.items() if key != "role"}, keys) != []
