"""Virtual keys: whose each is, for what, until when, and that it is revoked. Of a key only its hash is kept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from runtime.chain import Draft
from runtime.contract import Kind
from runtime.custodian.hashed import CALLED, called
from runtime.custodian.subject import Subject

# Role and department are those that it was made with; what counts is what its subject has now.
SCHEMA = """
CREATE TABLE IF NOT EXISTS virtual_key (
    hash bytea PRIMARY KEY, sub text NOT NULL, name text NOT NULL, kind text NOT NULL, role text NOT NULL,
    department text NOT NULL, demo boolean NOT NULL, created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL, revoked timestamptz);
ALTER TABLE virtual_key ADD COLUMN IF NOT EXISTS models text[] NOT NULL DEFAULT '{}';
"""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """``models``: the only ones that it is for; none: all that its subject may use. ``days``: how long it is good."""

    models: tuple[str, ...] = ()
    days: int = 30


async def add(connection: asyncpg.Connection, digest: bytes, subject: Subject, terms: Terms) -> Draft:
    """Store the hash of a new key; returns the event of it."""
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=terms.days)
    await connection.execute(
        "INSERT INTO virtual_key (hash, sub, name, kind, role, department, demo, expires, models)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        digest,
        subject.sub,
        subject.name,
        subject.kind.value,
        subject.role,
        subject.department,
        subject.demo,
        expires,
        terms.models,
    )
    told = {"sub": subject.sub, "key": called(digest), "expires": expires.isoformat()}
    return Draft("key-made", {**told, "models": list(terms.models)} if terms.models else told)


async def subject_of(connection: Any, digest: bytes) -> Subject | None:
    """Whose key this is, if it is good now. ``connection``: asyncpg's, or a pool of them."""
    row = await connection.fetchrow(
        "SELECT sub, name, kind, role, department, demo, models FROM virtual_key"
        " WHERE hash = $1 AND revoked IS NULL AND expires > now()",
        digest,
    )
    if row is None:
        return None
    given = {"kind": Kind(row["kind"]), "models": tuple(row["models"]), "credential": "virtual-key"}
    return Subject(**{**dict(row), **given})


async def good(connection: Any, name: str | None = None) -> list[dict[str, Any]]:
    """Every key that is good now, or those of one subject, as JSON-ready values."""
    rows = await connection.fetch(
        f"SELECT {CALLED} AS key, name, models, created, expires FROM virtual_key"  # noqa: S608
        " WHERE revoked IS NULL AND expires > now() AND ($1::text IS NULL OR name = $1) ORDER BY name, created",
        name,
    )
    return [{**dict(row), **{name: row[name].isoformat() for name in ("created", "expires")}} for row in rows]


async def revoke(connection: asyncpg.Connection, name: str, key: str | None) -> list[Draft]:
    """End the use of a subject's keys, or of the one that is called ``key``; returns the event of each."""
    rows = await connection.fetch(
        "UPDATE virtual_key SET revoked = now() WHERE name = $1 AND revoked IS NULL AND expires > now()"  # noqa: S608
        f" AND ($2::text IS NULL OR {CALLED} = $2) RETURNING sub, {CALLED} AS key",
        name,
        key,
    )
    return [Draft("key-revoked", {"sub": row["sub"], "key": row["key"]}) for row in rows]
