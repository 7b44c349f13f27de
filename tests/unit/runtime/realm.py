"""A realm as the custodian sees it: a key set over HTTP, tokens signed with its keys, and the stack's policies."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from runtime.contract import Policies

ISSUER = "http://id.localhost:8080/realms/praxis"
REALM_URL = "http://keycloak:8080/realms/praxis"
JWKS_URL = f"{REALM_URL}/protocol/openid-connect/certs"
TOKEN_URL = f"{REALM_URL}/protocol/openid-connect/token"
CLIENT, CLIENT_SECRET = "praxis-custodian", "client-canary"
AUDIENCE = "praxis-gateway"
DEMO_CLIENT = "praxis-demo-cli"
AUDITOR = "praxis-auditor"

POLICIES = Policies.model_validate(
    {
        "stack": "test",
        "environment": "demo",
        "models": {"small": {"input": "1", "output": "2"}, "tiny": {"input": "0.000001", "output": "0"}},
        "roles": {
            "engineer": {"models": ["small", "tiny"], "budget": {"usd": "5", "period": "month"}},
            "analyst": {"models": ["small"], "budget": {"usd": "1", "period": "day"}},
        },
        "departments": {"research": {}, "finance": {"guards": {"phone": "mask"}}},
        "subjects": {"carol": {"budget": {"usd": "0.000001", "period": "month"}}},
    }
)


# Made once: an RSA key takes a tenth of a second.
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS256"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig", "alg": "ES256"})
ENCRYPTION = RSAKey.generate_key(2048, {"kid": "enc-1", "use": "enc", "alg": "RSA-OAEP"})


class Realm:
    """Signs tokens with its keys and publishes them, and tells of its accounts.

    ``down`` makes it answer 503; ``asked`` counts fetches of the keys. Every account is there and enabled unless
    ``accounts`` says otherwise (None: deleted); ``clients`` is the same for agents' clients, whose accounts'
    ids are those of :func:`agent` unless ``service_accounts`` has another. ``given``: account -> roles and groups; what
    a token was signed for is given.
    """

    def __init__(self) -> None:
        self.rsa, self.ec, self.encryption = RSA, EC, ENCRYPTION
        self.published: list[RSAKey | ECKey] = [self.rsa, self.ec, self.encryption]
        self.odd: list[dict[str, str]] = []
        self.down = False
        self.asked = 0
        self.accounts: dict[str, dict[str, Any] | None] = {}
        self.clients: dict[str, dict[str, Any] | None] = {}
        self.service_accounts: dict[str, str] = {}
        self.given: dict[str, tuple[list[str], list[str]]] = {}
        self.events: list[dict[str, Any]] = []
        self.looked_at: list[str] = []
        self.signed_in = 0

    def http(self) -> httpx.AsyncClient:
        """A client for which the realm is the whole world."""
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def happens(self, path: str, operation: str = "UPDATE", time_ms: int | None = None) -> None:
        """An administrator did something."""
        newest = max((event["time"] for event in self.events), default=0)
        when = max(int(time.time() * 1000), newest + 1) if time_ms is None else time_ms
        self.events.insert(0, {"time": when, "resourcePath": path, "operationType": operation})

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            return httpx.Response(503)
        if str(request.url) == TOKEN_URL:
            self.signed_in += 1
            said = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
            assert request.headers["authorization"] == f"Basic {said}"
            assert CLIENT_SECRET.encode() not in request.content
            return httpx.Response(200, json={"access_token": "of-the-custodian", "expires_in": 600})
        if request.url.path.startswith("/admin/realms/praxis/"):
            assert request.headers["authorization"] == "Bearer of-the-custodian"
            return self._admin(request.url.path.removeprefix("/admin/realms/praxis"), request.url.params)
        assert str(request.url) == JWKS_URL
        self.asked += 1
        return httpx.Response(200, json={"keys": [*self.odd, *(key.as_dict(private=False) for key in self.published)]})

    def _admin(self, path: str, query: httpx.QueryParams) -> httpx.Response:
        if path == "/admin-events":
            since, first, most = (int(query.get(name, "0")) for name in ("dateFrom", "first", "max"))
            fresh = [event for event in self.events if event["time"] >= since]
            return httpx.Response(200, json=fresh[first : first + most])
        _, sub, held = f"{path}//".split("/", 4)[1:4]
        if held in ("role-mappings", "groups"):
            return httpx.Response(200, json=[{"name": name} for name in self._given(sub, held)])
        self.looked_at.append(path)
        if path == "/clients":
            name = query["clientId"]
            client = self.clients.get(name, {})
            found = [] if client is None else [{"id": f"id-of-{name}", "enabled": True, **client}]
            return httpx.Response(200, json=found)
        if path.endswith("/service-account-user"):
            name = sub.removeprefix("id-of-")
            own = f"sub-of-{name.removeprefix('agent-')}"
            return httpx.Response(200, json={"id": self.service_accounts.get(name, own)})
        account = self.accounts.get(path.removeprefix("/users/"), {})
        return httpx.Response(404) if account is None else httpx.Response(200, json={"enabled": True, **account})

    def _given(self, sub: str, held: str) -> list[str]:
        roles, groups = self.given.get(sub, ([], []))
        return roles if held == "role-mappings" else groups

    def sign(self, claims: dict[str, Any], key: RSAKey | ECKey | None = None, **header: Any) -> str:
        """A token over exactly these claims."""
        if isinstance(claims.get("roles"), list) and isinstance(claims.get("department"), list):
            self.given.setdefault(str(claims.get("sub")), (claims["roles"], claims["department"]))
        signer = key or self.rsa
        algorithm = str(signer.alg)
        return jwt.encode({"alg": algorithm, "kid": signer.kid, **header}, claims, signer, algorithms=[algorithm])


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token of alice's says; ``None`` leaves a claim out."""
    now = int(time.time())
    base = {
        "iss": ISSUER,
        "aud": [AUDIENCE, "account"],
        "sub": "7f1f0d2e-0000-4000-8000-0000000a11ce",
        "exp": now + 300,
        "iat": now,
        "typ": "Bearer",
        "azp": "praxis-cli",
        "preferred_username": "alice",
        "roles": ["offline_access", "engineer"],
        "department": ["research"],
    }
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def agent(name: str, roles: Sequence[str] = ("analyst",), department: str = "finance") -> dict[str, Any]:
    """What a good token of an agent's says."""
    client = f"agent-{name}"
    return claims(
        sub=f"sub-of-{name}",
        azp=client,
        preferred_username=f"service-account-{client}",
        roles=list(roles),
        department=[department],
    )
