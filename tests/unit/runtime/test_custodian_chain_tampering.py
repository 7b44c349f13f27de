"""The audit chain on a real PostgreSQL: what somebody does to it shows, and a receipt proves its record."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from runtime import receipt
from runtime.chain import Draft, Head, Problem, parse
from runtime.custodian.database import Database
from runtime.custodian.writer import BrokenChainError
from tests.unit.runtime.chained import (
    FOREIGN,
    SIGNER,
    about,
    admitted,
    ending,
    looked,
    opening,
    refused,
    tampered,
)


@pytest.fixture
async def database(database_settings: dict[str, str]) -> AsyncIterator[Database]:
    opened = await opening(database_settings)
    yield opened
    await opened.close()


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
            pytest.param("key", FOREIGN.public, id="key-foreign"),  # another in every process
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
