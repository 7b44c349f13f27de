"""Records: what is kept of each request, from when it is admitted or refused to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from runtime.assertion import MAY_LACK, Assertion
from runtime.contract import plain

SCHEMA = """
CREATE TABLE IF NOT EXISTS record (
    trace text PRIMARY KEY, state text NOT NULL, sub text NOT NULL, name text NOT NULL, kind text NOT NULL,
    department text NOT NULL, role text NOT NULL, policy text NOT NULL, credential text NOT NULL,
    demo boolean NOT NULL, dialect text NOT NULL, model text NOT NULL, status int, input_tokens bigint,
    output_tokens bigint, cost_usd numeric, guards jsonb NOT NULL DEFAULT '{}', reason text,
    prompt_digest text, admitted timestamptz NOT NULL DEFAULT now(), ended timestamptz);
ALTER TABLE record ADD COLUMN IF NOT EXISTS provider_calls int, ADD COLUMN IF NOT EXISTS payer text,
    ADD COLUMN IF NOT EXISTS cache_read_tokens bigint, ADD COLUMN IF NOT EXISTS cache_write_tokens bigint,
    ADD COLUMN IF NOT EXISTS actor text;
CREATE INDEX IF NOT EXISTS record_admitted ON record (admitted);
"""


COLUMNS = "trace, sub, name, kind, department, role, policy, credential, demo, actor"
"""The columns that :func:`columns` gives the values of."""


def identity(about: Assertion) -> dict[str, Any]:
    """Who asks and under what, as the chain has it: without the name, and the scope and the agent that acts for
    somebody only where there is one."""
    told = asdict(about)
    del told["name"]
    return {name: value for name, value in told.items() if value or name not in MAY_LACK}


def columns(about: Assertion) -> tuple[Any, ...]:
    """Who asks and under what, as values of :data:`COLUMNS`."""
    return (
        about.trace,
        about.sub,
        about.name,
        about.kind.value,
        about.department,
        about.role,
        about.policy,
        about.credential,
        about.demo,
        about.actor or None,
    )


async def one(connection: Any, trace: str) -> dict[str, Any] | None:
    """The record of a trace, as JSON-ready values. ``connection``: asyncpg's, or a pool of them."""
    row = await connection.fetchrow("SELECT * FROM record WHERE trace = $1", trace)
    return None if row is None else _told(row)


async def newest(connection: Any, limit: int) -> list[dict[str, Any]]:
    """The newest records, as JSON-ready values."""
    rows = await connection.fetch("SELECT * FROM record ORDER BY admitted DESC LIMIT $1", limit)
    return [_told(row) for row in rows]


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    told = dict(row)
    told["guards"] = json.loads(told["guards"])
    told["time"] = told.pop("admitted")
    for key in ("time", "ended"):
        told[key] = told[key].isoformat() if told[key] is not None else None
    for key in ("cost_usd", "reserved_usd", "overshoot_usd"):
        told[key] = None if told[key] is None else plain(told[key])
    return told
