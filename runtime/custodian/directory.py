"""Who may still come in, as Keycloak knows it now. A token says what was true when it was issued, a virtual key less.

A subject is asked for once, when it first comes; from then on Keycloak's admin events say when to ask again. So a
request costs nothing, and whoever is disabled, deleted or signed out by an administrator is out within seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import httpx

from runtime.contract import Kind
from runtime.custodian.remembering import remember
from runtime.custodian.subject import Subject, UnauthenticatedError, UnavailableError
from runtime.custodian.tokens import AGENT_CLIENT
from runtime.with_secrets import Delivered

POLL_S = 1.5
OVERLAP_MS = 15_000
"""Of the events that are asked for again: one may become visible after another that happened later."""
PAGE = 100
KEEP_S = 3600.0
"""How long what is known goes on being good while Keycloak does not answer."""
REMEMBERED = 10_000
HELD = ("groups", "roles", "roles-by-id")
"""Where Keycloak's API has what accounts are given."""
DELETED = "deleted"
RENEW_BEFORE_S = 20.0
TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Account:
    """What Keycloak says of one subject. ``not_before``: sign-ins before this time (seconds since 1970) are void."""

    agent: str | None
    """Name of the agent whose account it is."""
    why_not: str = ""
    """Why it may not come in; empty when it may."""
    not_before: int = 0
    roles: frozenset[str] = frozenset()
    """Names of its realm roles, those that come with others too."""
    groups: frozenset[str] = frozenset()
    """Names of its groups."""
    asked: int = 0
    """When Keycloak said so (seconds since 1970)."""


Told = Callable[[str, str], Awaitable[None]]
"""Is told of each subject that is out, or in again: its id, and why (empty: it is in again). Raises
``UnavailableError`` when it cannot take that now: it is told again."""


class Keycloak:
    """Keycloak's admin API, with the custodian's own client, whose service account may look and change nothing."""

    def __init__(self, realm_url: str, client: str, secret: Delivered, http: httpx.AsyncClient) -> None:
        self._token_url = f"{realm_url}/protocol/openid-connect/token"
        parts = urlsplit(realm_url)
        self._admin_url = parts._replace(path=f"/admin{parts.path}").geturl()
        self._client = client
        self._secret = secret
        self._http = http
        self._token = ""
        self._good_until = 0.0

    async def get(self, path: str, **query: str | int) -> Any:
        """What the realm's admin API answers; None for 404.

        Raises:
            UnavailableError: it does not answer, or refuses.
        """
        try:
            for again in (True, False):
                headers = {"Authorization": f"Bearer {await self._access()}"}
                answer = await self._http.get(
                    f"{self._admin_url}{path}", params=query, headers=headers, timeout=TIMEOUT_S
                )
                if answer.status_code != HTTPStatus.UNAUTHORIZED or not again:
                    break
                self._good_until = 0.0  # its session was ended on the server's side
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return None
            return answer.raise_for_status().json()
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise UnavailableError(f"the identity provider does not answer ({type(error).__name__})") from None

    async def _access(self) -> str:
        if time.monotonic() < self._good_until:
            return self._token
        for secret in self._secret.accepted():
            # In the header (RFC 6749, 2.3.1): what a form holds, Keycloak writes down at debug level.
            form, proof = {"grant_type": "client_credentials"}, (self._client, secret)
            answer = await self._http.post(self._token_url, data=form, auth=proof, timeout=TIMEOUT_S)
            if answer.status_code != HTTPStatus.UNAUTHORIZED:
                break
        told = answer.raise_for_status().json()
        self._token = str(told["access_token"])
        self._good_until = time.monotonic() + float(told["expires_in"]) - RENEW_BEFORE_S
        return self._token


class Directory:
    """What is known of the subjects that have come, kept true by :meth:`look`, every ``POLL_S`` seconds."""

    def __init__(self, keycloak: Keycloak, told: Told) -> None:
        self._keycloak = keycloak
        self._told = told
        self._known: OrderedDict[str, Account] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}
        self._seen: set[tuple[int, str, str]] = set()
        self._newest = 0
        self._untold: dict[str, str] = {}
        self._agents: dict[str, str] = {}
        """Name of an agent that acts for others -> Keycloak's id of it."""
        self._looked = -KEEP_S

    def out(self) -> list[str]:
        """Ids of the known subjects that may not come in: what they have under way is to be ended."""
        return [sub for sub, account in self._known.items() if account.why_not]

    async def check(self, subject: Subject) -> Account:
        """Let ``subject`` come in, and say what Keycloak knows of it.

        Raises:
            UnauthenticatedError: it was disabled or deleted, or its sign-in was ended by an administrator.
            UnavailableError: Keycloak does not answer, and nothing is known or it is too old.
        """
        account = await self._account(subject.sub, subject.name if subject.kind is Kind.AGENT else None)
        if account.why_not:
            raise UnauthenticatedError(f"the account is {account.why_not}")
        if subject.issued is not None and subject.issued < account.not_before:
            raise UnauthenticatedError("the sign-in was ended: sign in again")
        return account

    async def agent(self, name: str) -> str:
        """Let the agent ``name`` act for somebody, and give Keycloak's id of it.

        Raises:
            UnauthenticatedError: it was disabled or deleted.
            UnavailableError: as :meth:`check`.
        """
        sub = self._agents.get(name)
        if sub is None or (await self._account(sub, name)).why_not == DELETED:
            sub = await self._agent_named(name)  # it may be there anew, with another id
        if why_not := (await self._account(sub, name)).why_not:
            raise UnauthenticatedError(f"the agent's account is {why_not}")
        self._agents[name] = sub
        return sub

    async def _agent_named(self, name: str) -> str:
        clients = await self._keycloak.get("/clients", clientId=AGENT_CLIENT + name) or []
        user = await self._keycloak.get(f"/clients/{clients[0]['id']}/service-account-user") if clients else None
        if user is None:
            raise UnauthenticatedError(f"the agent's account is {DELETED}")
        return str(user["id"])

    async def _account(self, sub: str, agent: str | None) -> Account:
        """What is known of a subject, which is asked for when it comes for the first time. ``agent``: its name, if it
        is one."""
        account = self._known.get(sub)
        if account is None:
            lock = self._locks.setdefault(sub, asyncio.Lock())
            try:
                async with lock:
                    account = self._known.get(sub) or await self._ask(sub, agent)
            finally:
                if not lock.locked():
                    self._locks.pop(sub, None)
        elif time.monotonic() - self._looked > KEEP_S:
            raise UnavailableError("the identity provider does not answer")
        self._known.move_to_end(sub)
        return account

    async def ask_again(self, sub: str) -> None:
        """What is known of a subject that has come may have changed without an event: a sign-in through a company's own
        directory changes roles and groups, and no administrator did.

        Raises:
            UnavailableError: Keycloak does not answer.
        """
        before = self._known.get(sub)
        await self._ask(sub, before.agent if before else None)

    async def look(self) -> None:
        """Ask again for every known subject that an event since the last look is about. While Keycloak does not
        answer, what was not seen waits there.

        Raises:
            UnavailableError: Keycloak does not answer, or nobody could be told; the next look comes back to it.
        """
        began = time.monotonic()
        if not self._newest:
            # What came before is in no doubt: every subject is asked for when it first comes.
            newest = await self._keycloak.get("/admin-events", max=1) or []
            self._newest = max((int(event["time"]) for event in newest), default=1)
        fresh = [event async for event in self._events() if _name(event) not in self._seen]
        for sub in dict.fromkeys(sub for event in fresh for sub in self._about(event)):
            before = self._known.get(sub)
            if before is not None:
                after = await self._ask(sub, before.agent)
                if after.why_not != before.why_not:
                    self._untold[sub] = after.why_not
        # Only now: an event whose subject could not be asked for comes again.
        self._newest = max([self._newest, *(int(event["time"]) for event in fresh)])
        seen = self._seen.union(map(_name, fresh))
        self._seen = {name for name in seen if name[0] >= self._newest - OVERLAP_MS}
        self._looked = began
        for sub, why_not in list(self._untold.items()):
            await self._told(sub, why_not)
            del self._untold[sub]

    async def _events(self) -> Any:
        first = 0
        while True:
            page = await self._keycloak.get(
                "/admin-events", dateFrom=max(self._newest - OVERLAP_MS, 0), first=first, max=PAGE
            )
            for event in page or []:
                yield event
            if len(page or []) < PAGE:
                return
            first += PAGE

    def _about(self, event: Mapping[str, Any]) -> Iterator[str]:
        """Known subjects that an event may be about."""
        kind, _, rest = str(event.get("resourcePath") or "").partition("/")
        if kind == "users" and rest:
            yield rest.partition("/")[0]
        elif kind == "users" or (kind in HELD and event.get("operationType") == "DELETE"):
            yield from list(self._known)  # many at once: an import, or what each of them may have had
        elif kind == "clients":
            # It names Keycloak's id of the client, which a deleted one has no longer; agents are few.
            yield from [sub for sub, account in self._known.items() if account.agent]

    async def _ask(self, sub: str, agent: str | None) -> Account:
        asked, user = int(time.time()), await self._keycloak.get(f"/users/{sub}")
        why_not = DELETED if user is None else "" if user.get("enabled") else "disabled"
        if agent and not why_not:
            clients = await self._keycloak.get("/clients", clientId=AGENT_CLIENT + agent) or []
            why_not = DELETED if not clients else "" if clients[0].get("enabled") else "disabled"
        not_before, roles, groups = int((user or {}).get("notBefore") or 0), list[Any](), list[Any]()
        if not why_not:
            roles = await self._keycloak.get(f"/users/{sub}/role-mappings/realm/composite") or []
            groups = await self._keycloak.get(f"/users/{sub}/groups") or []
        account = Account(
            agent=agent,
            why_not=why_not,
            not_before=not_before,
            roles=frozenset(str(each["name"]) for each in roles),
            groups=frozenset(str(each["name"]) for each in groups),
            asked=asked,
        )
        remember(self._known, sub, account, REMEMBERED)
        return account


def _name(event: Mapping[str, Any]) -> tuple[int, str, str]:
    return int(event["time"]), str(event.get("resourcePath")), str(event.get("operationType"))
