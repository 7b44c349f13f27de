"""The single writer: what is recorded, and its event of the audit chain, in one transaction and in one order.

Who records waits until the transaction that holds it is committed. What waits at the same moment is committed together,
so that under load the cost of a commit is shared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from runtime.chain import BEGUN, KEY_CHANGED, KEY_CONFIRMED, START, Draft, Event, Head, Signer, signed

SCHEMA = """
CREATE TABLE IF NOT EXISTS chain (
    seq bigint PRIMARY KEY, time text NOT NULL, kind text NOT NULL, body text NOT NULL, previous text NOT NULL,
    key text NOT NULL, hash text NOT NULL, signature text NOT NULL, trace text);
CREATE INDEX IF NOT EXISTS chain_trace ON chain (trace);
REVOKE ALL ON chain FROM PUBLIC;
CREATE OR REPLACE FUNCTION chain_only_grows() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit chain only grows'; END $$;
CREATE OR REPLACE TRIGGER chain_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON chain
    FOR EACH STATEMENT EXECUTE FUNCTION chain_only_grows();
"""
"""The trigger is a second fence, against mistakes: the table's owner can drop it, and the hashes are what tells."""
COLUMNS = ("seq", "time", "kind", "body", "previous", "key", "hash", "signature")
MOST = 64
"""Writes in one transaction, at most."""
PATIENCE_S = 10.0
"""How long a write waits for its commit; one that was given up before its turn is not written."""
_INSERT = f"INSERT INTO chain ({', '.join(COLUMNS)}, trace) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"  # noqa: S608
_LAST = f"SELECT {', '.join(COLUMNS)} FROM chain ORDER BY seq DESC LIMIT 1"  # noqa: S608

Result = TypeVar("Result")
Work = Callable[[asyncpg.Connection], Awaitable[tuple[Result, Sequence[Draft]]]]
"""Writes over the connection it is given; returns the caller's result and the events of what it wrote.

It runs in a transaction together with others: it raises only for what nobody could expect."""


class BrokenChainError(OSError):
    """The stored chain does not end as this custodian left it. Nothing is recorded until somebody has looked."""


@dataclass
class _Waiting:
    work: Work[Any]
    future: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Writer:
    """``retired`` is the key before ``signer``: it signs nothing but the change to the new one."""

    def __init__(self, signer: Signer, retired: Signer | None = None) -> None:
        self._signer = signer
        self._retired = retired or signer
        self._head: Head = START
        self._sure = False
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def begin(self, connection: asyncpg.Connection) -> None:
        """Make the table, and the first event or that of a new key; the caller holds a lock and a transaction.

        Raises:
            BrokenChainError: the last event is none of this custodian's keys.
        """
        await connection.execute(SCHEMA)
        row = await connection.fetchrow(_LAST)
        if row is None:
            earlier = await connection.fetchval("SELECT count(*) FROM record")
            await self._append(connection, START, [(self._signer, Draft(BEGUN, {"earlier_records": earlier}))])
        elif self._own(row).key != self._signer.public:
            change = Draft(KEY_CHANGED, {"public_key": self._signer.public})
            steps = [(self._retired, change), (self._signer, Draft(KEY_CONFIRMED))]
            await self._append(connection, event_of(row).head, steps)

    def start(self, pool: asyncpg.Pool) -> None:
        """Begin to write what :meth:`write` is given."""
        self._task = asyncio.create_task(self._run(pool))

    async def stop(self) -> None:
        """End; whatever still waits is told that it was not written."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        while not self._queue.empty():
            _fail([self._queue.get_nowait()], ConnectionError("the records are closed"))

    async def write(self, work: Work[Result]) -> Result:
        """Do ``work`` and append its events; returns after both are committed.

        Raises:
            OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError: it was not, or that is not known.
        """
        if self._task is None or self._task.done():
            raise ConnectionError("the database is not open")
        waiting = _Waiting(work)
        self._queue.put_nowait(waiting)
        async with asyncio.timeout(PATIENCE_S):
            result: Result = await waiting.future
        return result

    async def _run(self, pool: asyncpg.Pool) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < MOST and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            wanted = [each for each in batch if not each.future.done()]
            try:
                if wanted:
                    await self._committed(pool, wanted)
            finally:
                _fail(batch, ConnectionError("the records are closed"))

    async def _committed(self, pool: asyncpg.Pool, batch: list[_Waiting], again: int = 2) -> None:
        """Write a batch; what the server refuses is tried one by one, so that nobody pays for another's mistake."""
        try:
            results = await self._in_one(pool, batch)
        except asyncpg.PostgresError as error:
            alone = len(batch) == 1
            if _gone(error) or (alone and not (again and _overtaken(error))):
                _fail(batch, error)
                return
            for each in batch:
                await self._committed(pool, [each], again - alone)
        except Exception as error:
            _fail(batch, error)
        else:
            for each, result in zip(batch, results, strict=True):
                if not each.future.done():
                    each.future.set_result(result)

    async def _in_one(self, pool: asyncpg.Pool, batch: list[_Waiting]) -> list[Any]:
        sure, self._sure = self._sure, False
        async with pool.acquire() as connection, connection.transaction():
            head = self._head if sure else await self._looked_up(connection)
            done = [await each.work(connection) for each in batch]
            drafts = [(self._signer, draft) for _, made in done for draft in made]
            head = await self._append(connection, head, drafts)
        self._head, self._sure = head, True
        return [result for result, _ in done]

    async def _looked_up(self, connection: asyncpg.Connection) -> Head:
        """The stored head, after a start, a failure or another writer. It never lies behind what was written."""
        await connection.execute("LOCK TABLE chain IN SHARE ROW EXCLUSIVE MODE")
        row = await connection.fetchrow(_LAST)
        if row is None or row["seq"] < self._head.seq:
            raise BrokenChainError("the end of the audit chain was taken away")
        event = self._own(row)
        if event.key != self._signer.public or (event.seq == self._head.seq and event.hash != self._head.hash):
            raise BrokenChainError("the audit chain ends with another event than was written")
        return event.head

    def _own(self, row: Mapping[str, Any]) -> Event:
        event = event_of(row)
        keys = (self._signer.public, self._retired.public)
        if event.key not in keys or event.digest() != event.hash or not signed(event):
            raise BrokenChainError("the last event of the audit chain is not signed with this custodian's key")
        return event

    async def _append(self, connection: asyncpg.Connection, head: Head, drafts: Sequence[tuple[Signer, Draft]]) -> Head:
        rows = []
        for signer, draft in drafts:
            event = signer.append(head, draft)
            head = event.head
            rows.append((*(getattr(event, name) for name in COLUMNS), draft.body.get("trace")))
        if rows:
            await connection.executemany(_INSERT, rows)
        return head


def event_of(row: Mapping[str, Any]) -> Event:
    """A stored event, as it is; whether it is right is another question."""
    return Event(**{name: row[name] for name in COLUMNS})


def _gone(error: asyncpg.PostgresError) -> bool:
    """Whether it is the server that fails, and not this one write."""
    return isinstance(error, asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError)


def _overtaken(error: asyncpg.PostgresError) -> bool:
    """Whether another writer (a second custodian, while one replaces the other) came in between."""
    if isinstance(error, asyncpg.UniqueViolationError):
        return bool(error.constraint_name == "chain_pkey")
    return isinstance(error, asyncpg.DeadlockDetectedError)


def _fail(batch: Sequence[_Waiting], error: BaseException) -> None:
    for each in batch:
        if not each.future.done():
            each.future.set_exception(error)
