"""What the audit chain costs: one record with its event, as a multiple of one plain INSERT of the same record.

``python -m tests.bench.bench_chain [--number 2000] [--host FOLDER] [--json FILE]`` from the repository's root. Without
``--host`` (the folder of a PostgreSQL server's socket; its user ``custodian`` may make databases) it starts a server of
its own, which syncs to the disk as a real one does. Ends with status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import time
from decimal import Decimal
from pathlib import Path

import asyncpg

from runtime.assertion import Assertion
from runtime.chain import START, Draft, Signer, verify
from runtime.contract import Budget, Kind
from runtime.custodian.database import Database, Request
from runtime.custodian.ledger import Claim
from runtime.custodian.writer import Writer
from runtime.store import Ed25519Key
from tests.bench.calling import calls
from tests.bench.report import Figure, tell
from tests.postgres import NoServerError, server

SIGNER = Signer(Ed25519Key().make({}))
PLAIN = (
    "INSERT INTO plain (trace, state, sub, name, kind, department, role, policy, credential, demo, dialect, model,"
    " prompt_digest) VALUES ($1, 'admitted', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
)
MANY = 32
BUDGET = Budget(usd=Decimal(1_000_000))
ASKED = Request(
    dialect="openai", model="small", prompt_digest="d" * 64, claim=Claim(usd=Decimal("0.01"), budget=BUDGET)
)


def about() -> Assertion:
    """A request of its own."""
    return Assertion(
        sub="3f0c7f0e-9d1c-4c83-b6a1-0f5f5e0f9d11",
        name="alice",
        kind=Kind.PERSON,
        department="research",
        role="engineer",
        policy="p" * 64,
        trace=secrets.token_hex(16),
        credential="oidc",
        demo=False,
    )


async def ratios(database: Database, number: int) -> list[Figure]:
    """Both ways by turns, so that what else runs on the machine meets both."""

    async def plain() -> None:
        one = about()
        values = (one.trace, one.sub, one.name, one.kind.value, one.department, one.role, one.policy, one.credential)
        await database.pool.execute(PLAIN, *values, one.demo, "openai", "small", "d" * 64)

    async def chained() -> None:
        await database.admit(about(), ASKED)

    figures = []
    for at_once, goal in ((1, 3.0), (MANY, 2.5)):
        spent = {plain: 0.0, chained: 0.0}
        for call in (plain, chained):
            await calls(call, number // 20, at_once)  # caches, connections
        for _ in range(10):
            for call in spent:
                spent[call] += (await calls(call, number // 10, at_once)).seconds / number
        figures += [
            Figure(name=f"plain INSERT, {at_once} at once", value=spent[plain] * 1000, unit="ms"),
            Figure(name=f"record and event, {at_once} at once", value=spent[chained] * 1000, unit="ms"),
            Figure(name=f"ratio, {at_once} at once", value=spent[chained] / spent[plain], unit="x", goal=goal),
        ]
    return figures


async def verified(database: Database) -> Figure:
    """What it takes to verify what was written; it must be in order."""
    events = await database.chain(1, 1_000_000)
    begin = time.process_time()
    report = verify(events, {SIGNER.public}, anchor=None)
    if report.findings:
        raise RuntimeError(f"the chain is broken: {report.findings[0]}")
    return Figure(name="verify 100,000 events", value=(time.process_time() - begin) / len(events) * 100_000, unit="s")


def signing(number: int) -> Figure:
    """Processor time of one event."""
    begin, head = time.process_time(), START
    for each in range(number):
        head = SIGNER.append(head, Draft("admitted", {"trace": f"{each:032x}", "model": "small"})).head
    return Figure(name="make and sign an event", value=(time.process_time() - begin) / number * 1e6, unit="µs")


async def measure(host: Path, number: int) -> list[Figure]:
    """All figures, in a database of its own."""
    name = f"bench_{os.getpid()}"
    admin = await asyncpg.connect(host=str(host), user="custodian", database="postgres")
    await admin.execute(f"CREATE DATABASE {name}")
    database = Database({"host": str(host), "user": "custodian", "database": name}, Writer(SIGNER))
    try:
        await database.open()
        await database.pool.execute("CREATE TABLE plain (LIKE record INCLUDING ALL)")
        return [signing(number), *await ratios(database, number), await verified(database)]
    finally:
        await database.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=2000)
    parser.add_argument("--host", type=Path, default=None, metavar="FOLDER")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    if chosen.host is not None:
        return tell("Audit chain", asyncio.run(measure(chosen.host, chosen.number)), chosen.json)
    try:
        with server(durable=True) as host:
            return tell("Audit chain", asyncio.run(measure(host, chosen.number)), chosen.json)
    except NoServerError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    sys.exit(main())
