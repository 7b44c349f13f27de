"""The custodian's own database: its schema, made at start, and the pool."""

from __future__ import annotations

import asyncio
import time

import asyncpg

from runtime.custodian.settings import Secrets, Settings

_LOCK = 0x70726178  # "prax": one custodian at a time makes the schema

SCHEMA = """
CREATE TABLE IF NOT EXISTS subjects (
    sub text PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('person', 'agent')),
    role text NOT NULL,
    department text NOT NULL,
    issued_at bigint NOT NULL  -- of the token that said so: an older one does not overwrite a newer
);
CREATE TABLE IF NOT EXISTS virtual_keys (
    hash bytea PRIMARY KEY,  -- SHA-256: the key itself has 256 random bits and is never stored
    sub text NOT NULL REFERENCES subjects ON DELETE CASCADE,
    demo boolean NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL,
    revoked timestamptz
);
CREATE INDEX IF NOT EXISTS virtual_keys_sub ON virtual_keys (sub);
CREATE TABLE IF NOT EXISTS records (
    trace text PRIMARY KEY CHECK (trace ~ '^[0-9a-f]{32}$'),
    state text NOT NULL CHECK (state IN ('admitted', 'settled', 'refused', 'aborted')),
    time timestamptz NOT NULL DEFAULT now(),
    ended timestamptz,
    sub text NOT NULL,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('person', 'agent')),
    role text NOT NULL,
    department text NOT NULL,
    policy text NOT NULL,
    credential text NOT NULL,
    demo boolean NOT NULL,
    dialect text,
    model text,
    stream boolean,
    guards jsonb NOT NULL DEFAULT '{}',
    status integer,
    reason text,
    input_digest text,
    output_digest text,
    input_tokens bigint NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
    output_tokens bigint NOT NULL DEFAULT 0 CHECK (output_tokens >= 0),
    cost_usd numeric NOT NULL DEFAULT 0 CHECK (cost_usd >= 0)
);
CREATE INDEX IF NOT EXISTS records_time ON records (time DESC);
CREATE INDEX IF NOT EXISTS records_open ON records (time) WHERE state = 'admitted';
CREATE TABLE IF NOT EXISTS spend (
    sub text NOT NULL,
    day date NOT NULL,
    usd numeric NOT NULL CHECK (usd >= 0),
    requests bigint NOT NULL,
    PRIMARY KEY (sub, day)
);
"""


async def connect(settings: Settings, secrets: Secrets, *, timeout_s: float = 60) -> asyncpg.Pool:
    """A pool over a database whose schema is in place.

    Raises:
        ConnectionError: the database does not let us in within ``timeout_s``.
    """
    until = time.monotonic() + timeout_s
    while True:
        try:
            pool = await asyncpg.create_pool(
                host=settings.database_host,
                port=settings.database_port,
                user="custodian",
                database="custodian",
                password=secrets.database_password,
                min_size=1,
                max_size=5,
                command_timeout=5,
                timeout=5,
                server_settings={"timezone": "UTC", "application_name": "praxis-custodian"},
            )
            break
        except (OSError, asyncpg.PostgresError, TimeoutError) as error:
            if time.monotonic() > until:
                raise ConnectionError(f"no database after {timeout_s:.0f} s: {type(error).__name__}") from None
            await asyncio.sleep(1)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.execute(SCHEMA)
    return pool
