"""What is kept of a credential: its hash. What makes one has 256 random bits, so a fast hash is enough."""

from __future__ import annotations

import hashlib

CALLED = "encode(substring(hash FROM 1 FOR 6), 'hex')"
"""What a credential is called where it must not be told, in SQL over the column ``hash``; as :func:`called`."""


def digest(value: str) -> bytes:
    """SHA-256."""
    return hashlib.sha256(value.encode()).digest()


def called(kept: bytes) -> str:
    """What the credential with this hash is called: the hash's beginning."""
    return kept[:6].hex()
