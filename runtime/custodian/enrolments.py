"""Enrolments: the id in a client's base URL says who asks, so that the client needs no other setting.

Whoever sees the URL has the id, so it is a weak bearer. It opens nothing by itself: the request carries a token of the
caller's own account too, which pays, and the enrolment is bound to that account; or a credential of the gateway's,
which decides, and the enrolment is the same subject's. Of an id only its hash is kept, and of an account too.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from runtime.chain import Draft
from runtime.clients import Client
from runtime.contract import Kind
from runtime.custodian.database import Database
from runtime.custodian.hashed import CALLED, called, digest
from runtime.custodian.owners import Owner, Owners
from runtime.custodian.subject import ForbiddenError, Subject, UnauthenticatedError
from runtime.wire import ENROLMENT, ENROLMENT_PREFIX

SCHEMA = """
CREATE TABLE IF NOT EXISTS enrolment (
    hash bytea PRIMARY KEY, sub text NOT NULL, name text NOT NULL, kind text NOT NULL, role text NOT NULL,
    department text NOT NULL, demo boolean NOT NULL, email text, client text NOT NULL, device text NOT NULL,
    account bytea, created timestamptz NOT NULL DEFAULT now(), expires timestamptz NOT NULL, revoked timestamptz,
    last_used timestamptz);
"""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
_PREFIX = re.compile(f"({ENROLMENT_PREFIX})(?:/|$)")
_GOOD = "revoked IS NULL AND expires > now()"
_BAD = "the enrolment in the base URL is not valid, or nothing valid stands beside it"


def id_in(uri: str) -> str | None:
    """The id in the path of a request as it came to the edge; ``None`` when it came without one.

    Raises:
        UnauthenticatedError: the path begins like one with an id and has none.
    """
    path = uri.partition("?")[0]
    if not path.startswith("/e/"):
        return None
    found = _PREFIX.match(path)
    if found is None:
        raise UnauthenticatedError(_BAD)
    return found[1].removeprefix("/e/")


@dataclass(frozen=True, kw_only=True)
class Enrolment:
    """One that is good now. ``account``: hash of the account that it is bound to, once it has been used with one."""

    hash: bytes
    subject: Subject
    email: str | None
    account: bytes | None


class Enrolments:
    """Those of the database. Methods may raise ``OSError`` or ``asyncpg.PostgresError``, as its own do."""

    def __init__(self, database: Database, owners: Owners) -> None:
        self._database = database
        self._owners = owners

    async def make(self, subject: Subject, client: Client, device: str, days: int) -> str:
        """A new enrolment; returns its id, of which only the hash is kept."""
        made = secrets.token_urlsafe(32)
        expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
        kept = digest(made)

        async def work(connection: asyncpg.Connection) -> tuple[None, list[Draft]]:
            await connection.execute(
                "INSERT INTO enrolment (hash, sub, name, kind, role, department, demo, email, client, device, expires)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                kept,
                subject.sub,
                subject.name,
                subject.kind.value,
                subject.role,
                subject.department,
                subject.demo,
                subject.email,
                client.value,
                device,
                expires,
            )
            told = {
                "sub": subject.sub,
                "enrolment": called(kept),
                "client": client.value,
                "expires": expires.isoformat(),
            }
            return None, [Draft("enrolment-made", told)]

        await self._database.write(work)
        return made

    async def of(self, headers: Mapping[str, str]) -> Enrolment | None:
        """The enrolment that a request came by; ``None`` when it came without one.

        Args:
            headers: as the edge hands them on, names in lower case.

        Raises:
            UnauthenticatedError: it is not good.
            ForbiddenError: its id came in the clear from elsewhere.
        """
        given = id_in(headers.get("x-forwarded-uri", ""))
        if given is None:
            return None
        host = headers.get("x-forwarded-host", "")
        if headers.get("x-forwarded-proto") != "https" and re.sub(r":[0-9]+$", "", host) not in LOOPBACK:
            raise ForbiddenError("an enrolment is taken over https only: its id stands in the URL")
        row = await self._database.pool.fetchrow(
            "SELECT hash, email, account, sub, name, kind, role, department, demo,"  # noqa: S608
            " coalesce(last_used < now() - interval '1 minute', true) AS used_again"
            f" FROM enrolment WHERE hash = $1 AND {_GOOD}",
            digest(given),
        )
        if row is None:
            raise UnauthenticatedError(_BAD)
        if row["used_again"]:  # to the minute: a request is no write
            await self._database.pool.execute("UPDATE enrolment SET last_used = now() WHERE hash = $1", row["hash"])
        about = {name: row[name] for name in ("sub", "name", "role", "department", "demo", "email")}
        return Enrolment(
            hash=row["hash"],
            subject=Subject(**about, kind=Kind(row["kind"]), credential=ENROLMENT),
            email=row["email"],
            account=row["account"],
        )

    async def check_owner(self, enrolment: Enrolment, token: str) -> None:
        """Whether the account that ``token`` belongs to is that of the enrolment; the first one to come becomes it.

        Where the subject's e-mail address is known, the first one must have the same.

        Raises:
            UnauthenticatedError, ForbiddenError, UnavailableError: as they say.
        """
        owner = await self._owners.of(token)
        account = digest(owner.account)
        bound = enrolment.account or await self._bind(enrolment, owner, account)
        if bound != account:
            raise ForbiddenError("this sign-in at Anthropic is another account's than the enrolment's")

    async def _bind(self, enrolment: Enrolment, owner: Owner, account: bytes) -> bytes:
        if enrolment.email is not None and enrolment.email.casefold() != owner.email.casefold():
            raise ForbiddenError("this sign-in at Anthropic has another e-mail address than the enrolment's person")

        async def work(connection: asyncpg.Connection) -> tuple[bytes, list[Draft]]:
            bound = await connection.fetchval(
                "UPDATE enrolment SET account = $2 WHERE hash = $1 AND account IS NULL RETURNING account",
                enrolment.hash,
                account,
            )
            if bound is not None:
                told = {"sub": enrolment.subject.sub, "enrolment": called(enrolment.hash)}
                return bound, [Draft("enrolment-bound", told)]
            first = await connection.fetchval("SELECT account FROM enrolment WHERE hash = $1", enrolment.hash)
            return first, []

        return await self._database.write(work)

    async def good(self, name: str | None = None) -> list[dict[str, Any]]:
        """Every enrolment that is good now, or those of one subject, as JSON-ready values."""
        rows = await self._database.pool.fetch(
            f"SELECT {CALLED} AS enrolment, name, client, device, account IS NOT NULL AS bound, created, expires,"  # noqa: S608
            f" last_used FROM enrolment WHERE {_GOOD} AND ($1::text IS NULL OR name = $1) ORDER BY name, created",
            name,
        )
        times = ("created", "expires", "last_used")
        return [{**dict(row), **{name: row[name] and row[name].isoformat() for name in times}} for row in rows]

    async def revoke(self, name: str, which: str | None) -> int:
        """End the use of a subject's enrolments, or of the one that is called ``which``; returns of how many."""

        async def work(connection: asyncpg.Connection) -> tuple[int, list[Draft]]:
            rows = await connection.fetch(
                f"UPDATE enrolment SET revoked = now() WHERE name = $1 AND {_GOOD}"  # noqa: S608
                f" AND ($2::text IS NULL OR {CALLED} = $2) RETURNING sub, {CALLED} AS called",
                name,
                which,
            )
            drafts = [Draft("enrolment-revoked", {"sub": row["sub"], "enrolment": row["called"]}) for row in rows]
            return len(drafts), drafts

        return await self._database.write(work)
