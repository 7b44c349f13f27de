"""The custodian with everything around it: a realm that signs, a LiteLLM that takes accounts, an egress."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import respx
from joserfc.jwk import OKPKey
from starlette.applications import Starlette

from runtime.assertion import Assertion, verify
from runtime.chain import Signer
from runtime.contract import Policies
from runtime.custodian.app import build
from runtime.custodian.egress import Egress
from runtime.custodian.egress_api import application
from runtime.custodian.settings import Settings
from runtime.providers import Upstream, Upstreams
from runtime.store import Ed25519Key
from runtime.with_secrets import Delivered
from tests.unit.runtime.realm import (
    AUDIENCE,
    AUDITOR,
    CLIENT,
    CLIENT_SECRET,
    DEMO_CLIENT,
    ISSUER,
    POLICIES,
    REALM_URL,
    Realm,
    claims,
)

LITELLM = "http://litellm:4000"
EGRESS = "http://egress:8200"
MASTER = "sk-master-canary"
ADMIN = {"Authorization": "Bearer admin-canary"}
HOOKS = {"Authorization": "Bearer record-canary"}
PROVIDER_KEYS = {"anthropic-api-key": "sk-ant-api03-canary"}
UPSTREAMS = Upstreams(
    upstreams={
        "anthropic": Upstream(secret="anthropic-api-key", header="x-api-key", models=("claude",)),
        "anthropic-2": Upstream(secret=None, header="x-api-key", models=("claude-own",), user_tokens=True),
    }
)
SIGNING = OKPKey.generate_key("Ed25519")
CHAIN = Signer(Ed25519Key().make({}))


class FakeLiteLLM:
    """LiteLLM's admin API as far as the custodian uses it, with what it was told."""

    def __init__(self) -> None:
        self.teams = set(POLICIES.departments)
        """They are declared; the custodian makes none."""
        self.users: dict[str, list[str]] = {}
        """With the teams that each is a member of."""
        self.keys: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.narrow: set[str] = set()
        """Teams that allow less than a key of another."""
        self.down = False
        self.master_key = MASTER

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        if request.headers["authorization"] != f"Bearer {self.master_key}":
            return httpx.Response(401, json={})
        path, query = request.url.path, request.url.params
        body = json.loads(request.content or b"{}")
        self.asked.append(path)
        return (self._keys if path.startswith("/key/") else self._users)(path, query, body)

    def _users(self, path: str, query: httpx.QueryParams, body: dict[str, Any]) -> httpx.Response:
        match path:
            case "/user/info":
                teams = self.users.get(user := query["user_id"])
                told = {"user_info": {"user_id": user, "teams": teams}}
                return httpx.Response(404 if teams is None else 200, json=told)
            case "/user/new":
                self.users[body["user_id"]] = body["teams"]
            case "/team/member_add":
                self.users[body["member"]["user_id"]].append(body["team_id"])
            case _:
                raise AssertionError(path)
        return httpx.Response(200, json={})

    def _keys(self, path: str, query: httpx.QueryParams, body: dict[str, Any]) -> httpx.Response:
        match path:
            case "/key/update" | "/key/generate" if body["team_id"] not in self.teams:
                return httpx.Response(400, json={"error": {"message": "Unable to find team object in database."}})
            case "/key/update" if body["key"] not in self.keys:
                return httpx.Response(404, json={})
            case "/key/update" if not self._may_move(body):
                return httpx.Response(403, json={"error": {"message": "User is not a member of the team"}})
            case "/key/update":
                self.keys[body["key"]] |= body
            case "/key/generate":
                assert body["key"] not in self.keys
                assert body["key_alias"] not in [each.get("key_alias") for each in self.keys.values()]
                self.keys[body["key"]] = body
            case "/key/info":
                (info,) = (each for key, each in self.keys.items() if hashed(key) == query["key"])
                return httpx.Response(200, json={"info": {"spend": info.get("spend", 0)}})
            case "/key/delete":
                self.keys = {key: each for key, each in self.keys.items() if hashed(key) not in body["keys"]}
            case _:
                raise AssertionError(path)
        return httpx.Response(200, json={})

    def _may_move(self, body: dict[str, Any]) -> bool:
        """Whether a key may be, or is already, the team's that it is to be."""
        team, member = body["team_id"], body["team_id"] in self.users[body["user_id"]]
        return self.keys[body["key"]]["team_id"] == team or (member and team not in self.narrow)


class FakeAnthropic:
    """Anthropic's answer to whose a token is, behind an egress that asks the custodian as the real one does."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self.accounts: dict[str, tuple[str, str]] = {}
        """Token -> id and e-mail address of its account."""
        self.status = 200
        self.down = False
        self.asked = 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.down:
            raise httpx.ConnectError("down")
        assert not {"authorization", "x-api-key"} & set(request.headers), "the token is put on behind us"
        put_on = self._egress.decide(request.method, request.url.raw_path.decode(), request.headers)
        if self.status != 200:
            return httpx.Response(self.status, json={"type": "error"})
        found = self.accounts.get(put_on["authorization"].removeprefix("Bearer "))
        if found is None:
            return httpx.Response(401, json={"type": "error"})
        return httpx.Response(200, json={"account": {"uuid": found[0], "email": found[1]}, "organization": {}})


def hashed(key: str) -> str:
    """What LiteLLM keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


class World:
    """The custodian with everything around it."""

    def __init__(
        self,
        app: Starlette,
        egress: Egress,
        realm: Realm,
        litellm: FakeLiteLLM,
        anthropic: FakeAnthropic,
        database: dict[str, str],
        secrets: Path,
    ) -> None:
        self.app = app
        self.realm = realm
        self.litellm = litellm
        self.anthropic = anthropic
        self.database = database
        self.secrets = secrets
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://custodian:8100")
        self.out = httpx.AsyncClient(
            transport=httpx.ASGITransport(application(egress)), base_url="https://custodian:8101"
        )

    async def auth(self, credential: str | None = None, *, uri: str = "/v1/chat/completions", **headers: str) -> Any:
        """What the edge asks; ``credential`` goes as a bearer."""
        given = {} if credential is None else {"authorization": f"Bearer {credential}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.get("/auth", headers={**given, **named, "x-forwarded-uri": uri})

    def token(self, **changes: Any) -> str:
        return self.realm.sign(claims(jti=secrets.token_hex(4), **changes))

    async def asserted(self, **changes: Any) -> tuple[str, Assertion]:
        """An assertion that the custodian gave out, and what is in it."""
        answer = await self.auth(self.token(**changes))
        assert answer.status_code == 200
        token = answer.headers["x-praxis-assertion"]
        return token, verify(token, SIGNING)

    async def tell(
        self, what: str, assertion: str, headers: dict[str, str] | None = None, **changes: Any
    ) -> httpx.Response:
        body = {"assertion": assertion, "dialect": "openai", "model": "small", **changes}
        if what == "admitted":
            body = {"estimate": {"input_tokens": 0, "output_tokens": 0}, **body}
        return await self.http.post(f"/records/{what}", json=body, headers=HOOKS if headers is None else headers)

    async def held(self, what: str) -> list[dict[str, Any]]:
        """What subjects hold that is good now: ``keys`` or ``enrolments``."""
        found: list[dict[str, Any]] = (await self.http.get(f"/{what}", headers=ADMIN)).json()[what]
        return found

    async def revoked(self, what: str, **which: Any) -> int:
        """Revoke some of it; how many there were."""
        answer = await self.http.post(f"/{what}/revoke", json=which, headers=ADMIN)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["revoked"])

    async def record(self, trace: str) -> dict[str, Any]:
        answer = await self.http.get(f"/records/{trace}", headers=ADMIN)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found


SECRETS = {
    "litellm-master-key": MASTER,
    "litellm-subject-seed": "seed-canary",
    "assertion-private-key": SIGNING.as_pem(private=True).decode(),
    "custodian-record-token": "record-canary",
    "custodian-admin-token": "admin-canary",
    "custodian-client-secret": CLIENT_SECRET,
}


def deliver(folder: Path, **values: str) -> None:
    """What the secrets agent does; ``admin_token`` is the file ``admin-token``."""
    for name, value in values.items():
        partial = folder / ".partial"
        partial.write_text(value)
        partial.rename(folder / name.replace("_", "-"))


def settings(database: dict[str, str], folder: Path, policies: Policies = POLICIES) -> Settings:
    return Settings(
        issuer=ISSUER,
        realm_url=REALM_URL,
        auditor_role=AUDITOR,
        public_url="http://localhost:8080",
        client=CLIENT,
        client_secret=Delivered("custodian-client-secret", folder),
        audience=AUDIENCE,
        demo_client=DEMO_CLIENT,
        litellm_url=LITELLM,
        egress_url=EGRESS,
        policies=policies,
        upstreams=UPSTREAMS,
        database=database,
        master_key=Delivered("litellm-master-key", folder),
        subject_seed=Delivered("litellm-subject-seed", folder),
        assertion_key=Delivered("assertion-private-key", folder),
        record_token=Delivered("custodian-record-token", folder),
        admin_token=Delivered("custodian-admin-token", folder),
        chain_key=CHAIN,
        retired_chain_key=CHAIN,
    )


@asynccontextmanager
async def running(database: dict[str, str], policies: Policies = POLICIES) -> AsyncIterator[World]:
    """A custodian that serves, over the database of these settings."""
    realm, litellm, egress = Realm(), FakeLiteLLM(), Egress(UPSTREAMS, PROVIDER_KEYS.get)
    with respx.mock(assert_all_called=False) as outside, TemporaryDirectory() as folder:
        deliver(Path(folder), **SECRETS)
        outside.route(host="keycloak").mock(side_effect=realm.answer)
        outside.route(host="litellm").mock(side_effect=litellm.answer)
        anthropic = FakeAnthropic(egress)
        outside.route(host="egress").mock(side_effect=anthropic.answer)
        app = build(settings(database, Path(folder), policies), egress)
        async with app.router.lifespan_context(app):
            yield World(app, egress, realm, litellm, anthropic, database, Path(folder))
