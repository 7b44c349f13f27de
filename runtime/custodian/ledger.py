"""The ledger: what subjects have spent, what is reserved for requests under way, and what their budgets were raised by.

Every function runs on the connection of the single writer's transaction, so that no two requests are given the same
money. Amounts are USD, exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg

from runtime.chain import Draft
from runtime.contract import Budget, BudgetRaise, Estimate, Price, plain

SCHEMA = """
CREATE TABLE IF NOT EXISTS spending (
    sub text NOT NULL, period text NOT NULL, begins date NOT NULL, usd numeric NOT NULL,
    PRIMARY KEY (sub, period, begins));
CREATE TABLE IF NOT EXISTS budget_raise (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sub text NOT NULL, name text NOT NULL,
    usd numeric NOT NULL CHECK (usd > 0), why text NOT NULL, begins timestamptz NOT NULL DEFAULT now(),
    ends timestamptz NOT NULL);
CREATE INDEX IF NOT EXISTS budget_raise_of ON budget_raise (sub, ends);
ALTER TABLE record ADD COLUMN IF NOT EXISTS reserved_usd numeric, ADD COLUMN IF NOT EXISTS overshoot_usd numeric;
CREATE INDEX IF NOT EXISTS record_open ON record (sub) INCLUDE (reserved_usd) WHERE state = 'admitted';
"""
PERIODS = ("day", "week", "month")
"""What a budget may be for; all are counted, so that it can be changed."""
PERCENT = (50, 80, 100)
"""Parts of a budget at which an event tells that it runs out."""
STANDING = """
SELECT (SELECT coalesce(sum(usd), 0) FROM spending WHERE sub = $1 AND period = $2 AND begins = $3) AS spent,
       (SELECT coalesce(sum(reserved_usd), 0) FROM record WHERE sub = $1 AND state = 'admitted') AS reserved,
       (SELECT coalesce(sum(usd), 0) FROM budget_raise WHERE sub = $1 AND ends > now()) AS raised
"""
ENTRIES = """
SELECT trace, state, sub, name, coalesce(payer, 'company') AS payer, status, reason, admitted AS time, ended,
       coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens,
       coalesce(cost_usd, 0) AS cost_usd
FROM record WHERE (admitted, trace) > ($1, $2) AND admitted < $3 ORDER BY admitted, trace LIMIT $4
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a request could cost, and the budget that it would come out of."""

    usd: Decimal
    budget: Budget


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a subject stands in the running period of a budget."""

    budget: Budget
    spent: Decimal
    reserved: Decimal = Decimal(0)
    raised: Decimal = Decimal(0)

    @property
    def limit(self) -> Decimal:
        """What may be spent in this period."""
        return self.budget.usd + self.raised

    @property
    def used_up(self) -> bool:
        """Whether nothing is left, even when all requests under way should cost nothing."""
        return self.spent >= self.limit

    def allows(self, usd: Decimal) -> bool:
        """Whether a request that could cost ``usd`` may go out beside those under way."""
        return self.spent + self.reserved + usd <= self.limit

    def would_allow(self, usd: Decimal) -> bool:
        """Whether it could if none were under way."""
        return self.spent + usd <= self.limit

    def overshoot(self) -> Decimal:
        """What was spent beyond the limit."""
        return max(self.spent - self.limit, Decimal(0))


def claim(price: Price, estimate: Estimate, budget: Budget) -> Claim:
    """What a request could cost at most, as far as its budget reserves for it."""
    most = budget.reserve_output_tokens
    outputs = min(most, most if estimate.output_tokens is None else estimate.output_tokens) * estimate.answers
    return Claim(usd=price.most(estimate.input_tokens, outputs), budget=budget)


def period_begin(period: str, today: date | None = None) -> date:
    """First day (UTC) of the budget period that ``today`` is in; weeks begin on Monday (ISO 8601)."""
    day = today or datetime.now(UTC).date()
    if period == "day":
        return day
    from_monday = date.fromordinal(day.toordinal() - day.weekday())
    return from_monday if period == "week" else day.replace(day=1)


async def standing(connection: Any, sub: str, budget: Budget) -> Standing:
    """How ``sub`` stands now. ``connection``: asyncpg's, or a pool of them."""
    row = await connection.fetchrow(STANDING, sub, budget.period, period_begin(budget.period))
    return Standing(budget=budget, **dict(row))


async def charge(connection: asyncpg.Connection, sub: str, usd: Decimal) -> None:
    """Add to what ``sub`` has spent in every running period; a negative amount takes back."""
    await connection.execute(
        "INSERT INTO spending (sub, period, begins, usd)"
        " SELECT $1, period, begins, $4 FROM unnest($2::text[], $3::date[]) AS running (period, begins)"
        " ON CONFLICT (sub, period, begins) DO UPDATE SET usd = spending.usd + excluded.usd",
        sub,
        PERIODS,
        [period_begin(period) for period in PERIODS],
        usd,
    )


def warnings(sub: str, before: Decimal, now: Standing) -> Iterator[Draft]:
    """An event for each mark that a subject's spending has passed since it was ``before``."""
    marks = {f"{percent}%": now.limit * percent / 100 for percent in PERCENT}
    if now.budget.soft_usd is not None:
        marks["soft"] = now.budget.soft_usd
    for mark, usd in sorted(marks.items(), key=lambda one: one[1]):
        if before < usd <= now.spent:
            yield Draft(
                "budget-warning",
                {
                    "sub": sub,
                    "mark": mark,
                    "period": now.budget.period,
                    "begins": period_begin(now.budget.period).isoformat(),
                    "spent_usd": plain(now.spent),
                    "limit_usd": plain(now.limit),
                },
            )


async def raise_budget(connection: asyncpg.Connection, asked: BudgetRaise, ends: datetime) -> Draft:
    """Let a subject spend more until ``ends``; returns the event of it."""
    values = (asked.sub, asked.name, asked.usd, ends, asked.why)
    await connection.execute(
        "INSERT INTO budget_raise (sub, name, usd, ends, why) VALUES ($1, $2, $3, $4, $5)", *values
    )
    told = {"sub": asked.sub, "usd": plain(asked.usd), "ends": ends.isoformat(), "why": asked.why}
    return Draft("budget-raised", told)


async def raises(connection: Any) -> list[dict[str, Any]]:
    """All raises of the last year, those that are over among them, as JSON-ready values."""
    rows = await connection.fetch(
        "SELECT sub, name, usd, why, begins, ends FROM budget_raise WHERE ends > now() - interval '1 year'"
        " ORDER BY ends, id"
    )
    return [
        {
            **{"sub": row["sub"], "name": row["name"], "usd": plain(row["usd"]), "why": row["why"]},
            **{name: row[name].isoformat() for name in ("begins", "ends")},
        }
        for row in rows
    ]


async def entries(connection: Any, begins: datetime, after: str, until: datetime, limit: int) -> list[dict[str, Any]]:
    """Records by the time of their admission, as JSON-ready values: from ``begins`` (there, after the trace ``after``)
    to before ``until``, at most ``limit``. What nobody said to be the caller's own is the company's to pay."""
    rows = await connection.fetch(ENTRIES, begins, after, until, limit)
    times = ("time", "ended")
    return [
        dict(row)
        | {name: None if row[name] is None else row[name].isoformat() for name in times}
        | {"cost_usd": plain(row["cost_usd"])}
        for row in rows
    ]


async def spending(connection: Any) -> list[dict[str, Any]]:
    """What every subject has spent in the running periods, as JSON-ready values."""
    rows = await connection.fetch(
        "SELECT s.sub, s.period, s.usd, coalesce(r.usd, 0) AS reserved, n.name FROM spending s"
        " LEFT JOIN (SELECT sub, sum(reserved_usd) AS usd FROM record WHERE state = 'admitted' GROUP BY sub) r"
        "   ON r.sub = s.sub"
        " LEFT JOIN LATERAL (SELECT name FROM record WHERE sub = s.sub ORDER BY admitted DESC LIMIT 1) n ON true"
        " WHERE (s.period, s.begins) IN (SELECT * FROM unnest($1::text[], $2::date[])) ORDER BY n.name, s.period",
        PERIODS,
        [period_begin(period) for period in PERIODS],
    )
    return [
        {
            **{"sub": row["sub"], "name": row["name"], "period": row["period"]},
            **{"spent_usd": plain(row["usd"]), "reserved_usd": plain(row["reserved"])},
        }
        for row in rows
    ]
