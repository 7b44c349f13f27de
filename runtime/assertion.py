"""The signed word of the custodian about a request: who asks, under which policy, in which trace. Lives one minute.

A JWT (RFC 7519) signed with Ed25519 (RFC 8037). Only the custodian has the private key.
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import OKPKey

from runtime.contract import Kind

ISSUER = "praxis-custodian"
AUDIENCE = "praxis-gateway"
LIFETIME_S = 60
HEADER = "x-praxis-assertion"
_ALGORITHM = "Ed25519"
MAY_LACK = frozenset({"scope", "actor", "actor_sub"})
"""What an assertion of an earlier release does not say, and the chain only where there is something to say."""


def _encoded(part: bytes) -> bytes:
    return urlsafe_b64encode(part).rstrip(b"=")


_compact = json.JSONEncoder(separators=(",", ":")).encode
_PROTECTED = _encoded(_compact({"alg": _ALGORITHM, "typ": "JWT"}).encode())


class InvalidAssertionError(Exception):
    """Not an assertion of the custodian, or one that is over."""


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """``policy`` is the digest of the effective policy; ``credential`` says how the caller proved who it is."""

    sub: str
    name: str
    kind: Kind
    department: str
    role: str
    policy: str
    trace: str
    credential: str
    demo: bool
    scope: str = ""
    """Models that the credential is for, separated by spaces; empty: all that the policy allows."""
    actor: str = ""
    """Name of the agent that acts for the subject; empty: nobody does."""
    actor_sub: str = ""
    """Keycloak's id of that agent."""


@lru_cache(maxsize=16)
def key(pem: str) -> OKPKey:
    """The private or public key in ``pem``."""
    return OKPKey.import_key(pem)


def sign(assertion: Assertion, with_key: OKPKey, now: float | None = None) -> str:
    """The assertion as a compact JWT. Raises :class:`TypeError` when the key is not a private one for Ed25519."""
    issued = int(time.time() if now is None else now)
    claims = {**vars(assertion), "iss": ISSUER, "aud": AUDIENCE, "iat": issued, "exp": issued + LIFETIME_S}
    private = with_key.private_key
    if not isinstance(private, Ed25519PrivateKey):
        raise TypeError("not a private key for Ed25519")
    # A compact JWS (RFC 7515, section 7.1) by hand: the library's looks at what we know to be right took half as long
    # as the signature, and this is on the way of every request. It is the library that verifies.
    signed = _PROTECTED + b"." + _encoded(_compact(claims).encode())
    return (signed + b"." + _encoded(private.sign(signed))).decode()


def verify(token: str, *keys: OKPKey, leeway_s: int = 5) -> Assertion:
    """The assertion in ``token``.

    Args:
        keys: the custodian's key; after a change of it, the one before as well.
        leeway_s: how long after its end it is still taken (clocks; records that come late).

    Raises:
        InvalidAssertionError: forged, over, or not an assertion.
    """
    registry = jwt.JWTClaimsRegistry(
        leeway=leeway_s,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )
    try:
        claims = _claims(token, keys)
        registry.validate(claims)
        fields = {
            name: claims[name] for name in Assertion.__dataclass_fields__ if name in claims or name not in MAY_LACK
        }
        if not all(isinstance(value, bool if name == "demo" else str) for name, value in fields.items()):
            raise TypeError("a claim of another type")
        return Assertion(**{**fields, "kind": Kind(fields["kind"])})
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise InvalidAssertionError(f"no valid assertion: {type(error).__name__}") from None


def _claims(token: str, keys: Iterable[OKPKey]) -> dict[str, Any]:
    """What one of ``keys`` has signed."""
    for each in keys:
        with suppress(BadSignatureError):
            return jwt.decode(token, each, algorithms=[_ALGORITHM]).claims
    raise BadSignatureError
