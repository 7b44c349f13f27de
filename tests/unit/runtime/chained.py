"""A custodian's database with its chain, and what tests do with them."""

from __future__ import annotations

import secrets
from typing import Any

from runtime.assertion import Assertion
from runtime.chain import Event, Head, Report, Signer, read, verify
from runtime.contract import Kind
from runtime.custodian.database import Database
from runtime.custodian.writer import Writer
from runtime.store import Ed25519Key
from tests.unit.runtime.recorded import ASKED

SIGNER, NEW, FOREIGN = (Signer(Ed25519Key().make({})) for _ in range(3))


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
