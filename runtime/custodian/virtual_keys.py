"""Virtual keys: whose each is, until when, and that it is revoked. Of a key only its hash is kept."""

from __future__ import annotations

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
"""


async def add(connection: asyncpg.Connection, digest: bytes, subject: Subject, lifetime_s: int) -> Draft:
    """Store the hash of a new key; returns the event of it."""
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=lifetime_s)
    await connection.execute(
        "INSERT INTO virtual_key (hash, sub, name, kind, role, department, demo, expires)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        digest,
        subject.sub,
        subject.name,
        subject.kind.value,
        subject.role,
        subject.department,
        subject.demo,
        expires,
    )
    return Draft("key-made", {"sub": subject.sub, "key": called(digest), "expires": expires.isoformat()})


async def subject_of(connection: Any, digest: bytes) -> Subject | None:
    """Whose key this is, if it is good now. ``connection``: asyncpg's, or a pool of them."""
    row = await connection.fetchrow(
        "SELECT sub, name, kind, role, department, demo FROM virtual_key"
        " WHERE hash = $1 AND revoked IS NULL AND expires > now()",
        digest,
    )
    if row is None:
        return None
    return Subject(**{**dict(row), "kind": Kind(row["kind"]), "credential": "virtual-key"})


async def good(connection: Any, name: str | None = None) -> list[dict[str, Any]]:
    """Every key that is good now, or those of one subject, as JSON-ready values."""
    rows = await connection.fetch(
        f"SELECT {CALLED} AS key, name, created, expires FROM virtual_key"  # noqa: S608
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
