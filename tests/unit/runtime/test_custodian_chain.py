"""The audit chain on a real PostgreSQL: every record with its event, in one unbroken order, whatever happens."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import asyncpg
import pytest

from runtime import receipt
from runtime.custodian import writer as writing
from runtime.custodian.database import Database
from runtime.custodian.writer import BrokenChainError
from tests.unit.runtime.chained import (
    FOREIGN,
    NEW,
    SIGNER,
    about,
    admitted,
    ending,
    events,
    kinds,
    looked,
    opening,
    refused,
)
from tests.unit.runtime.recorded import ASKED

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
