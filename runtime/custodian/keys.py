"""Virtual keys: long-lived credentials that a subject makes for its own tools. Only their hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

import asyncpg

from runtime.contract import Kind
from runtime.custodian.subjects import Identity

PREFIX = "sk-praxis-"
_LENGTH = len(PREFIX) + 43  # 32 random bytes as URL-safe base64


@dataclass(frozen=True, kw_only=True)
class KeyHolder:
    """Whose key it is, and whether it was made with a demonstration's sign-in."""

    identity: Identity
    demo: bool


def looks_like_key(credential: str) -> bool:
    """Whether a credential claims to be a virtual key."""
    return credential.startswith(PREFIX)


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


class VirtualKeys:
    """Makes virtual keys and finds their holders."""

    def __init__(self, pool: asyncpg.Pool, *, days: int) -> None:
        self._pool = pool
        self.lifetime_s = days * 86_400

    async def remember(self, identity: Identity, issued_at: int) -> None:
        """Note what a verified token said about a subject, so that its keys follow a change of role or department.

        Args:
            issued_at: when the token was issued (``iat``); an older one than noted before changes nothing.
        """
        await self._pool.execute(
            "INSERT INTO subjects (sub, name, kind, role, department, issued_at) VALUES ($1, $2, $3, $4, $5, $6) "
            "ON CONFLICT (sub) DO UPDATE SET name = $2, kind = $3, role = $4, department = $5, issued_at = $6 "
            "WHERE subjects.issued_at < $6",
            identity.sub,
            identity.name,
            identity.kind.value,
            identity.role,
            identity.department,
            issued_at,
        )

    async def make(self, identity: Identity, *, demo: bool) -> str:
        """A new key of a remembered subject. This is the only time that it can be seen."""
        key = PREFIX + secrets.token_urlsafe(32)
        await self._pool.execute(
            "INSERT INTO virtual_keys (hash, sub, demo, expires) "
            "VALUES ($1, $2, $3, now() + make_interval(secs => $4))",
            _hash(key),
            identity.sub,
            demo,
            float(self.lifetime_s),
        )
        return key

    async def find(self, key: str) -> KeyHolder | None:
        """The holder of a key that is neither expired nor revoked."""
        if len(key) != _LENGTH:
            return None
        row = await self._pool.fetchrow(
            "SELECT s.sub, s.name, s.kind, s.role, s.department, k.demo FROM virtual_keys k JOIN subjects s USING (sub)"
            " WHERE k.hash = $1 AND k.expires > now() AND k.revoked IS NULL",
            _hash(key),
        )
        if row is None:
            return None
        identity = Identity(
            sub=row["sub"],
            name=row["name"],
            kind=Kind(row["kind"]),
            role=row["role"],
            department=row["department"],
        )
        return KeyHolder(identity=identity, demo=row["demo"])
