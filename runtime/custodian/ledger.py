"""The records and the money: what was admitted, how it ended, and who has spent how much.

A record is committed as *admitted* before anything goes upstream and ends as *settled*, *refused* or, when nobody
came back in time, *aborted*. It holds counts and keyed digests (HMAC), never content.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import asyncpg
from pydantic import Field, StringConstraints

from runtime.assertion import Assertion
from runtime.contract import Budget, GuardCategory, Model, Policies

Trace = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]
Text = Annotated[str, StringConstraints(max_length=200)]


class Verdict(Model):
    """What the guards made of a request: how many findings of each category, and what was done."""

    verdict: Literal["clean", "masked", "blocked"]
    findings: dict[GuardCategory, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)


class Admission(Model):
    """What the hooks ask to have recorded before a request goes upstream.

    ``input_sha256`` is over what goes upstream; the ledger stores it only as an HMAC. ``refused`` says why the request
    does not go upstream at all: then this is its whole record.
    """

    assertion: str
    dialect: Literal["openai", "anthropic"]
    model: Text
    stream: bool
    guards: Verdict
    input_sha256: Sha256
    refused: Text | None = None
    status: Annotated[int, Field(ge=100, le=599)] | None = None


class Settlement(Model):
    """How an admitted request ended."""

    trace: Trace
    status: Annotated[int, Field(ge=100, le=599)]
    reason: Text | None = None
    input_tokens: Count = 0
    output_tokens: Count = 0
    output_sha256: Sha256 | None = None


class ConflictError(Exception):
    """The record is not in a state in which it can take this."""


def period_start(budget: Budget, today: datetime.date) -> datetime.date:
    """First day of the current period, UTC: today, this week's Monday, or the first of the month."""
    match budget.period:
        case "day":
            return today
        case "week":
            return today - datetime.timedelta(days=today.weekday())
        case "month":
            return today.replace(day=1)


class Ledger:
    """Records and spending in the custodian's database."""

    def __init__(self, pool: asyncpg.Pool, policies: Policies, *, seed: str) -> None:
        self._pool = pool
        self._policies = policies
        self._digest_key = hmac.digest(seed.encode(), b"content digests of records", "sha256")

    async def spent(self, sub: str, budget: Budget) -> Decimal:
        """USD that a subject has spent in the current period of ``budget``."""
        today = datetime.datetime.now(datetime.UTC).date()
        value = await self._pool.fetchval(
            "SELECT coalesce(sum(usd), 0) FROM spend WHERE sub = $1 AND day >= $2", sub, period_start(budget, today)
        )
        return Decimal(value)

    async def admit(self, who: Assertion, what: Admission) -> None:
        """Record a request before it goes upstream (or that it does not).

        Raises:
            ConflictError: there is already a record of this trace: an assertion is good for one request.
        """
        refused = what.refused is not None
        try:
            await self._pool.execute(
                "INSERT INTO records (trace, state, ended, sub, name, kind, role, department, policy, credential, demo,"
                " dialect, model, stream, guards, status, reason, input_digest)"
                " VALUES ($1, $2, CASE WHEN $2 = 'refused' THEN now() END, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,"
                " $13, $14, $15, $16, $17)",
                who.trace,
                "refused" if refused else "admitted",
                who.sub,
                who.name,
                who.kind.value,
                who.role,
                who.department,
                who.policy,
                who.credential,
                who.demo,
                what.dialect,
                what.model,
                what.stream,
                what.guards.model_dump_json(),
                what.status,
                what.refused,
                self._digest(what.input_sha256),
            )
        except asyncpg.UniqueViolationError:
            raise ConflictError("this trace already has a record") from None

    async def settle(self, what: Settlement) -> None:
        """End a record and book what it cost, in one transaction. Settling twice books once.

        A record that was given up as aborted is settled all the same: what was spent was spent.

        Raises:
            ConflictError: no such record was admitted.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT state, sub, model FROM records WHERE trace = $1 FOR UPDATE", what.trace
            )
            if row is None or row["state"] == "refused":
                raise ConflictError("no such record was admitted")
            if row["state"] == "settled":
                return
            price = self._policies.models.get(row["model"])
            if price is None and what.input_tokens + what.output_tokens > 0:
                raise ConflictError("tokens of a model that has no price")
            cost = Decimal(0) if price is None else price.cost(what.input_tokens, what.output_tokens)
            await connection.execute(
                "UPDATE records SET state = 'settled', ended = now(), status = $2, reason = $3, input_tokens = $4,"
                " output_tokens = $5, cost_usd = $6, output_digest = $7 WHERE trace = $1",
                what.trace,
                what.status,
                what.reason,
                what.input_tokens,
                what.output_tokens,
                cost,
                None if what.output_sha256 is None else self._digest(what.output_sha256),
            )
            await connection.execute(
                "INSERT INTO spend (sub, day, usd, requests) VALUES ($1, (now() AT TIME ZONE 'UTC')::date, $2, 1)"
                " ON CONFLICT (sub, day) DO UPDATE SET usd = spend.usd + $2, requests = spend.requests + 1",
                row["sub"],
                cost,
            )

    async def refuse(self, who: Assertion, *, status: int, reason: str, dialect: str) -> None:
        """Record that a known subject was refused before its request got as far as the gateway."""
        await self._pool.execute(
            "INSERT INTO records (trace, state, ended, sub, name, kind, role, department, policy, credential, demo,"
            " dialect, status, reason) VALUES ($1, 'refused', now(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            who.trace,
            who.sub,
            who.name,
            who.kind.value,
            who.role,
            who.department,
            who.policy,
            who.credential,
            who.demo,
            dialect,
            status,
            reason,
        )

    async def abort_older_than(self, seconds: int) -> int:
        """Give up records that nobody settled in time; how many."""
        done: str = await self._pool.execute(
            "UPDATE records SET state = 'aborted', ended = now(), reason = 'never settled'"
            " WHERE state = 'admitted' AND time < now() - make_interval(secs => $1)",
            float(seconds),
        )
        return int(done.rpartition(" ")[2])

    async def record(self, trace: str) -> dict[str, Any] | None:
        """The record of a trace as JSON-ready values; money is text, exact."""
        row = await self._pool.fetchrow("SELECT * FROM records WHERE trace = $1", trace)
        return None if row is None else _plain(row)

    async def records(self, limit: int) -> list[dict[str, Any]]:
        """The newest records, newest first."""
        rows = await self._pool.fetch("SELECT * FROM records ORDER BY time DESC LIMIT $1", limit)
        return [_plain(row) for row in rows]

    def _digest(self, sha256: str) -> str:
        return hmac.new(self._digest_key, bytes.fromhex(sha256), hashlib.sha256).hexdigest()


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    def value(item: Any) -> Any:
        if isinstance(item, Decimal):
            return format(item, "f")
        return item.isoformat() if isinstance(item, datetime.datetime) else item

    return {**{key: value(item) for key, item in row.items()}, "guards": json.loads(row["guards"])}
