"""Keycloak's access tokens, verified here: signature, issuer, audience, time. Nobody is asked per request."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from runtime.contract import Kind, Policies
from runtime.custodian.hashed import digest
from runtime.custodian.remembering import remember
from runtime.custodian.subject import ForbiddenError, Subject, UnauthenticatedError, UnavailableError, placed

ALGORITHMS = ["RS256", "ES256"]
"""What a realm may sign with. Never a symmetric one: the public key must not be usable as a secret (RFC 8725, 3.1)."""
MAX_TOKEN_BYTES = 8192
LEEWAY_S = 10
REFRESH_S = 300.0
RETRY_S = 5.0
KEEP_S = 3600.0
"""How long known keys serve while the realm does not answer: one that was withdrawn meanwhile must not stay good."""
REMEMBERED = 10_000
_BAD = "the token is not valid"
_SERVICE_ACCOUNT = "service-account-"
"""How Keycloak names the user behind a client."""
AGENT_CLIENT = "agent-"
"""How this stack names the client of an agent."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a token must say."""

    issuer: str
    audience: str
    demo_client: str
    auditor_role: str
    """The realm role of those who may look at other people's traces."""


class Keys:
    """The realm's public keys: fetched, kept, and fetched again when a token names one that is not known."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self._keys: KeySet | None = None
        self._fetched = self._tried = -REFRESH_S
        self._lock = asyncio.Lock()

    async def get(self, kid: str) -> KeySet:
        """Keys among which ``kid`` is, if the realm has it (an empty ``kid``: any keys).

        Raises:
            UnavailableError: Keycloak does not answer, and there are none yet or they are too old.
        """
        if self._stale(kid):
            async with self._lock:
                if self._stale(kid):
                    await self._fetch()
        if self._keys is None or time.monotonic() - self._fetched > KEEP_S:
            raise UnavailableError("the identity provider does not answer")
        return self._keys

    def _stale(self, kid: str) -> bool:
        now = time.monotonic()
        if now - self._tried < RETRY_S:
            return False
        known = self._keys is not None and (not kid or any(key.kid == kid for key in self._keys.keys))
        return not known or now - self._fetched > REFRESH_S

    async def _fetch(self) -> None:
        self._tried = time.monotonic()
        try:
            answer = await self._http.get(self._url, timeout=5)
            answer.raise_for_status()
            self._keys = signing_keys(answer.json())
            self._fetched = self._tried
        except (httpx.HTTPError, ValueError, KeyError, JoseError):
            return  # known keys go on being good for a while; get() says when they are not


def signing_keys(document: Mapping[str, Any]) -> KeySet:
    """The keys of a JWKS (RFC 7517) that sign. One of an unknown kind is left out: it must not cost us the others.

    Raises:
        ValueError: none is left.
    """
    keys: list[Key] = []
    for each in document["keys"]:
        if each.get("use", "sig") == "sig":
            with suppress(JoseError, ValueError, KeyError):
                keys += KeySet.import_key_set({"keys": [each]}).keys
    if not keys:
        raise ValueError("no signing key")
    return KeySet(keys)


class Verifier:
    """From a token to its subject. A token once verified is remembered until it ends."""

    def __init__(self, rules: Rules, keys: Keys, policies: Policies) -> None:
        self._rules = rules
        self._keys = keys
        self._policies = policies
        self._known: OrderedDict[bytes, tuple[float, Subject]] = OrderedDict()

    async def ready(self) -> None:
        """Raises ``UnavailableError`` while the realm's keys are not known."""
        await self._keys.get("")

    async def subject(self, token: str) -> Subject:
        """The subject of ``token``.

        Raises:
            UnauthenticatedError: not a good token of this realm for this gateway.
            ForbiddenError: no role or department that this stack knows.
            UnavailableError: the keys cannot be fetched.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError("the token is too large")
        kept = digest(token)
        known = self._known.get(kept)
        if known is not None and known[0] > time.time():
            self._known.move_to_end(kept)
            return known[1]
        claims = await self._claims(token)
        subject = self.read(claims)
        remember(self._known, kept, (float(claims["exp"]), subject), REMEMBERED)
        return subject

    async def _claims(self, token: str) -> Mapping[str, Any]:
        try:
            header = jws.extract_compact(token.encode()).headers()
            if header.get("alg") not in ALGORITHMS or not isinstance(header.get("kid"), str):
                raise UnauthenticatedError(_BAD)
            keys = await self._keys.get(header["kid"])
            claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
            registry = jwt.JWTClaimsRegistry(
                leeway=LEEWAY_S,
                iss={"essential": True, "value": self._rules.issuer},
                aud={"essential": True, "value": self._rules.audience},
                exp={"essential": True},
                sub={"essential": True},
            )
            registry.validate(claims)
        except (JoseError, ValueError, TypeError, KeyError, UnicodeError):
            raise UnauthenticatedError(_BAD) from None
        if claims.get("typ") != "Bearer":  # an ID or refresh token is no access token
            raise UnauthenticatedError(_BAD)
        return claims

    def read(self, claims: Mapping[str, Any]) -> Subject:
        """The subject that verified ``claims`` are about.

        Raises:
            ForbiddenError: no role or department that this stack knows.
        """
        azp, username = str(claims.get("azp", "")), str(claims.get("preferred_username", ""))
        agent = username.startswith(_SERVICE_ACCOUNT)
        if agent and (username != f"{_SERVICE_ACCOUNT}{azp}" or not azp.startswith(AGENT_CLIENT)):
            # Neither another client's account nor a person who chose such a user name is an agent. Nor does an agent
            # act for another.
            raise ForbiddenError(f"'{username}' is no agent of this gateway")
        # Nobody signs in by an agent's client: a person's token that was issued to one was exchanged for another
        # (RFC 8693), and the agent acts for that person.
        actor = azp.removeprefix(AGENT_CLIENT) if azp.startswith(AGENT_CLIENT) and not agent else ""
        roles = _texts(claims.get("roles"))
        role, department = placed(self._policies, username, roles, _texts(claims.get("department")))
        return Subject(
            sub=str(claims["sub"]),
            name=azp.removeprefix(AGENT_CLIENT) if agent else username,
            kind=Kind.AGENT if agent else Kind.PERSON,
            role=role,
            department=department,
            credential="oidc",
            # What an agent was given in exchange may come from a demonstration's sign-in: it does not say.
            demo=bool(self._rules.demo_client) and (azp == self._rules.demo_client or bool(actor)),
            email=str(claims["email"]) if claims.get("email") and claims.get("email_verified") is True else None,
            auditor=self._rules.auditor_role in roles,
            actor=actor,
            issued=_seconds(claims.get("iat")),
        )


def _seconds(value: object) -> int:
    """A time that is missing lies before every other."""
    return value if isinstance(value, int) else 0


def _texts(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
