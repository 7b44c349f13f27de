"""The custodian's own tables: virtual keys, records, spending, the audit chain. It is the only writer.

What happens to a record is written together with its event of the chain (:mod:`runtime.custodian.writer`). An event
holds what the record says, but for the name of a person: that can be erased, and the chain holds.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from runtime.assertion import Assertion
from runtime.chain import START, Draft, Event, Head
from runtime.contract import Budget, BudgetRaise, plain
from runtime.custodian import ledger, records, virtual_keys
from runtime.custodian.ledger import Claim, Standing
from runtime.custodian.remembering import Lately
from runtime.custodian.subject import Subject
from runtime.custodian.writer import COLUMNS, Result, Work, Writer, event_of
from runtime.receipt import CHAIN

AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What a database that is away raises; ``TimeoutError`` is an ``OSError``."""
_LOCK = 7226
KNOWN_S = 2.0
"""How long the way in goes by what it knows of a key or of what was spent. What this process writes it knows at once;
the rest (a second custodian that takes over, an hour that ends) may be told so much later. Nothing goes out by it:
:meth:`Database.admit` looks at the database itself."""
KNOWN = 10_000
PASSWORD_PATIENCE_S = 3.0
"""Between the delivery of a new password and its taking effect in the server lies less."""
_EVENTS = f"SELECT {', '.join(COLUMNS)} FROM chain"  # noqa: S608
COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for. ``claim``: what it could cost the company; ``None`` when the caller's own account pays."""

    dialect: str
    model: str
    prompt_digest: str = ""
    claim: Claim | None = None

    @property
    def payer(self) -> str:
        """Whose money the provider takes."""
        return "user" if self.claim is None else "company"


class Database:
    """Connected by :meth:`open`; every method may raise ``OSError`` or ``asyncpg.PostgresError``."""

    def __init__(self, settings: Mapping[str, Any], writer: Writer, schema: str = "") -> None:
        """``schema``: of tables that others write through :meth:`write`."""
        self._schema = records.SCHEMA + ledger.SCHEMA + virtual_keys.SCHEMA + schema
        self._settings = dict(settings)
        self._writer = writer
        self._pool: asyncpg.Pool | None = None
        self._holders = _holders()
        self._standings: Lately[str, Standing] = Lately(KNOWN_S, KNOWN)

    async def open(self, patience_s: float = 60) -> None:
        """Connect and bring the tables into being; after a reboot the server may come up later than we do.

        Raises:
            ConnectionError: the server did not let us in within ``patience_s``.
            BrokenChainError: the stored chain does not end as this custodian left it.
        """
        until = time.monotonic() + patience_s
        while self._pool is None:
            try:
                self._pool = await self._connected()
            except (OSError, asyncpg.PostgresError, TimeoutError) as error:
                if time.monotonic() > until:
                    raise ConnectionError(f"no database after {patience_s:.0f} s: {type(error).__name__}") from None
                await asyncio.sleep(0.5)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(self._schema)
            await self._writer.begin(connection)
        self._writer.start(self._pool)

    async def _connected(self) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            **self._settings,
            min_size=1,
            max_size=4,
            command_timeout=5,
            timeout=5,
            max_inactive_connection_lifetime=60,
            reset=_nothing_to_reset,
            connect=_let_in,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._writer.stop()
        if self._pool is not None:
            await self._pool.close()

    @property
    def pool(self) -> asyncpg.Pool:
        """The connections.

        Raises:
            ConnectionError: not opened.
        """
        if self._pool is None:
            raise ConnectionError("the database is not open")
        return self._pool

    async def ping(self) -> None:
        """One round trip."""
        await self.pool.fetchval("SELECT 1")

    async def write(self, work: Work[Result]) -> Result:
        """Do ``work`` and write its events, in one step."""
        return await self._writer.write(work)

    async def add_key(self, digest: bytes, subject: Subject, terms: virtual_keys.Terms) -> None:
        """Store the hash of a new virtual key."""

        async def work(connection: asyncpg.Connection) -> tuple[None, list[Draft]]:
            return None, [await virtual_keys.add(connection, digest, subject, terms)]

        await self._writer.write(work)

    async def key_subject(self, digest: bytes) -> Subject | None:
        """Whose virtual key this is, if it is good now, or was up to :data:`KNOWN_S` ago and is not revoked."""
        holders = self._holders  # after a revocation it is another, and what was asked before goes nowhere
        known = holders.get(digest)
        if known is None:
            known = await virtual_keys.subject_of(self.pool, digest)
            if known is not None:
                holders.put(digest, known)
        return known

    async def keys(self, name: str | None = None) -> list[dict[str, Any]]:
        """The virtual keys that are good now; ``name``: of this subject alone."""
        return await virtual_keys.good(self.pool, name)

    async def revoke_keys(self, name: str, key: str | None) -> int:
        """End the use of a subject's virtual keys, or of one; returns of how many."""

        async def work(connection: asyncpg.Connection) -> tuple[int, list[Draft]]:
            drafts = await virtual_keys.revoke(connection, name, key)
            return len(drafts), drafts

        try:
            return await self._writer.write(work)
        finally:  # whose commit is not known may be revoked too
            self._holders = _holders()

    async def note_access(self, sub: str, why_not: str) -> None:
        """Put into the chain that a subject may come in no more, and why, or (empty) that it may again."""
        draft = Draft("access-ended", {"sub": sub, "why": why_not}) if why_not else Draft("access-given", {"sub": sub})

        async def work(_: asyncpg.Connection) -> tuple[None, list[Draft]]:
            return None, [draft]

        await self._writer.write(work)

    async def standing(self, sub: str, budget: Budget) -> Standing:
        """How ``sub`` stands in the running period."""
        return await ledger.standing(self.pool, sub, budget)

    async def standing_lately(self, sub: str, budget: Budget) -> Standing:
        """What ``sub`` has spent and its budget was raised by, as known up to :data:`KNOWN_S` ago; of what is reserved,
        nothing."""
        known = self._standings.get(sub)
        if known is None or known.budget != budget:
            known = await self.standing(sub, budget)
            self._standings.put(sub, known)
        return known

    async def admit(self, about: Assertion, request: Request) -> Standing | None:
        """Record that a request is about to go out, and reserve what it could cost.

        Returns ``None`` when it may; how its subject stands when that is more than is left, and nothing is recorded.
        A trace is admitted once: a second time is an error.
        """
        claim = request.claim
        reserved = None if claim is None else claim.usd
        body = {
            **records.identity(about),
            **{"dialect": request.dialect, "model": request.model, "prompt_digest": request.prompt_digest},
            **{"payer": request.payer, "reserved_usd": None if reserved is None else plain(reserved)},
        }

        async def work(connection: asyncpg.Connection) -> tuple[Standing | bool, list[Draft]]:
            if claim is not None:
                now = await ledger.standing(connection, about.sub, claim.budget)
                if not now.allows(claim.usd):
                    return now, []
            done = await connection.fetchval(
                f"INSERT INTO record ({records.COLUMNS}, state,"  # noqa: S608
                " dialect, model, prompt_digest, payer, reserved_usd)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'admitted', $11, $12, $13, $14, $15)"
                " ON CONFLICT (trace) DO NOTHING RETURNING true",
                *records.columns(about),
                request.dialect,
                request.model,
                request.prompt_digest,
                request.payer,
                reserved,
            )
            return bool(done), [Draft("admitted", body)] if done else []

        done = await self._writer.write(work)
        if isinstance(done, Standing):
            return done
        if not done:
            raise asyncpg.UniqueViolationError("this trace is recorded already")
        return None

    async def refuse(self, about: Assertion, what: Mapping[str, Any]) -> None:
        """Record a request that was refused before it went out."""
        guards = what.get("guards") or {}
        body = {
            **records.identity(about),
            **{name: what[name] for name in ("dialect", "model", "status")},
            **{"guards": guards, "reason": what.get("reason"), "input_tokens": 0, "output_tokens": 0, "cost_usd": "0"},
        }

        async def work(connection: asyncpg.Connection) -> tuple[bool, list[Draft]]:
            done = await connection.fetchval(
                f"INSERT INTO record ({records.COLUMNS}, state,"  # noqa: S608
                " dialect, model, status, guards, reason, input_tokens, output_tokens, cost_usd, ended)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'refused', $11, $12, $13, $14, $15, 0, 0, 0, now())"
                " ON CONFLICT (trace) DO NOTHING RETURNING true",
                *records.columns(about),
                what["dialect"],
                what["model"],
                what["status"],
                json.dumps(guards),
                what.get("reason"),
            )
            return bool(done), [Draft("refused", body)] if done else []

        await self._writer.write(work)

    async def settle(self, trace: str, what: Mapping[str, Any], cost: Decimal, budget: Budget | None = None) -> bool:
        """Record the end of an admitted request and add its cost to what its subject has spent, in one step.

        What the caller's own account pays for has a cost, and is in nobody's budget. ``budget``: the subject's, whose
        end is told of. Returns False when the trace is not admitted or is settled already: money is counted once.
        """
        guards = what.get("guards") or {}
        body = {
            **{name: what[name] for name in ("status", *COUNTS, "provider_calls")},
            **{"trace": trace, "cost_usd": plain(cost), "guards": guards, "reason": what.get("reason")},
            "priced_as": what.get("model"),
        }

        async def work(connection: asyncpg.Connection) -> tuple[tuple[str, Standing] | bool, list[Draft]]:
            row = await connection.fetchrow(
                "UPDATE record SET state = 'settled', status = $2, cost_usd = $3, guards = $4, reason = $5,"
                " provider_calls = $6, input_tokens = $7, output_tokens = $8, cache_read_tokens = $9,"
                " cache_write_tokens = $10, ended = now()"
                " FROM (SELECT cost_usd AS charged FROM record WHERE trace = $1) AS before"
                " WHERE trace = $1 AND state IN ('admitted', 'aborted') RETURNING sub, payer, charged",
                trace,
                what["status"],
                cost,
                json.dumps(guards),
                what.get("reason"),
                what["provider_calls"],
                *(what[name] for name in COUNTS),
            )
            if row is None:
                return False, []
            if row["payer"] == "user":
                return True, [Draft("settled", body)]
            before = None if budget is None else await ledger.standing(connection, row["sub"], budget)
            # What was given up before it ended has been charged with what was reserved for it.
            more = cost - (row["charged"] or Decimal(0))
            await ledger.charge(connection, row["sub"], more)
            if before is None:
                return True, [Draft("settled", body)]
            now = replace(before, spent=before.spent + more)
            over = now.overshoot() - before.overshoot()
            if over > 0:
                await connection.execute("UPDATE record SET overshoot_usd = $2 WHERE trace = $1", trace, over)
                body["overshoot_usd"] = plain(over)
            return (row["sub"], now), [Draft("settled", body), *ledger.warnings(row["sub"], before.spent, now)]

        done = await self._writer.write(work)
        if isinstance(done, tuple):
            self._standings.put(*done)
        return bool(done)

    async def reap(self, after: timedelta) -> int:
        """Mark as aborted what was admitted longer ago than ``after`` and never settled.

        Nobody knows what it has cost: it is charged with what was reserved for it, until its end is told after all.
        """

        async def work(connection: asyncpg.Connection) -> tuple[int, list[Draft]]:
            rows = await connection.fetch(
                "UPDATE record SET state = 'aborted', cost_usd = reserved_usd, ended = now()"
                " WHERE state = 'admitted' AND admitted < $1 RETURNING trace, sub, reserved_usd",
                datetime.now(UTC) - after,
            )
            drafts = []
            for row in rows:
                body = {"trace": row["trace"]}
                if row["reserved_usd"] is not None:
                    await ledger.charge(connection, row["sub"], row["reserved_usd"])
                    body["cost_usd"] = plain(row["reserved_usd"])
                drafts.append(Draft("aborted", body))
            return len(rows), drafts

        return await self._writer.write(work)

    async def raise_budget(self, asked: BudgetRaise, ends: datetime) -> None:
        """Let a subject spend more until ``ends``."""

        async def work(connection: asyncpg.Connection) -> tuple[None, list[Draft]]:
            return None, [await ledger.raise_budget(connection, asked, ends)]

        try:
            await self._writer.write(work)
        finally:
            self._standings.forget(asked.sub)

    async def money(self) -> dict[str, Any]:
        """What is spent and reserved in the running periods, and what budgets were raised by."""
        return {"spending": await ledger.spending(self.pool), "raises": await ledger.raises(self.pool)}

    async def entries(self, begins: datetime, after: str, until: datetime, limit: int) -> list[dict[str, Any]]:
        """Records of a span of time, page by page."""
        return await ledger.entries(self.pool, begins, after, until, limit)

    async def chain(self, first: int, limit: int) -> list[Event]:
        """Events from number ``first`` on."""
        rows = await self.pool.fetch(f"{_EVENTS} WHERE seq >= $1 ORDER BY seq LIMIT $2", first, limit)
        return [event_of(row) for row in rows]

    async def head(self) -> tuple[Head, str]:
        """Where the chain ends, and the key that signed its last event."""
        row = await self.pool.fetchrow(f"{_EVENTS} ORDER BY seq DESC LIMIT 1")
        return (START, "") if row is None else (event_of(row).head, row["key"])

    async def record(self, trace: str) -> dict[str, Any] | None:
        """One record, with its events of the chain as lines."""
        found = await records.one(self.pool, trace)
        if found is None:
            return None
        events = await self.pool.fetch(f"{_EVENTS} WHERE trace = $1 ORDER BY seq", trace)
        return {**found, CHAIN: [event_of(event).line() for event in events]}

    async def records(self, limit: int) -> list[dict[str, Any]]:
        """The newest records."""
        return await records.newest(self.pool, limit)


async def _let_in(*arguments: Any, **settings: Any) -> asyncpg.Connection:
    """A new connection; when its password is refused, again with what is delivered by then: it may just be changing."""
    until = time.monotonic() + PASSWORD_PATIENCE_S
    while True:
        try:
            return await asyncpg.connect(*arguments, **settings)
        except asyncpg.InvalidPasswordError:
            if time.monotonic() > until:
                raise
        await asyncio.sleep(0.1)


def _holders() -> Lately[bytes, Subject]:
    return Lately(KNOWN_S, KNOWN)


async def _nothing_to_reset(_: asyncpg.Connection) -> None:
    """Nobody changes a session here, so giving a connection back needs no round trip; an open transaction is undone."""
