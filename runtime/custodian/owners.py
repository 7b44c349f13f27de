"""Whose a token of Anthropic's is: asked of Anthropic, by way of the egress, and remembered for some minutes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ValidationError

from runtime.custodian.egress import Egress
from runtime.custodian.hashed import digest
from runtime.custodian.remembering import Lately
from runtime.custodian.subject import ForbiddenError, UnauthenticatedError, UnavailableError
from runtime.wire import PROFILE_PATH, TICKET_HEADER

REMEMBER_S = 300.0
REMEMBERED = 10_000
TIMEOUT_S = 10.0
AT_ONCE = 8
"""Questions under way: whoever makes tokens up does not make us ask without end."""


class _Account(BaseModel):
    uuid: str
    email: str


class _Profile(BaseModel):
    account: _Account


@dataclass(frozen=True, kw_only=True)
class Owner:
    """``account``: Anthropic's id of it."""

    account: str
    email: str


class Owners:
    """Asks with a ticket for one question; the token itself is put on at the egress. ``url``: the egress'."""

    def __init__(
        self, egress: Egress, http: httpx.AsyncClient, url: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._egress = egress
        self._http = http
        self._url = url
        self._known: Lately[bytes, Owner] = Lately(REMEMBER_S, REMEMBERED, clock)
        self._locks: dict[bytes, asyncio.Lock] = {}
        self._few = asyncio.Semaphore(AT_ONCE)

    async def of(self, token: str) -> Owner:
        """The owner of ``token``.

        Raises:
            UnauthenticatedError: Anthropic does not take it.
            ForbiddenError: it may not tell its owner.
            UnavailableError: Anthropic does not answer, or not as it is known to.
        """
        kept = digest(token)
        if found := self._known.get(kept):
            return found
        lock = self._locks.setdefault(kept, asyncio.Lock())
        try:
            async with lock, self._few:  # a client's first requests come all at once
                if found := self._known.get(kept):
                    return found
                owner = await self._ask(token)
                self._known.put(kept, owner)
                return owner
        finally:
            if not lock.locked():
                self._locks.pop(kept, None)

    async def _ask(self, token: str) -> Owner:
        headers = {TICKET_HEADER: self._egress.question(token), "content-type": "application/json"}
        try:
            answer = await self._http.get(self._url + PROFILE_PATH, headers=headers, timeout=TIMEOUT_S)
        except httpx.HTTPError as error:
            raise UnavailableError(f"Anthropic does not say whose the sign-in is ({type(error).__name__})") from None
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise UnauthenticatedError("Anthropic does not take this sign-in: sign in again")
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise ForbiddenError("this sign-in may not tell whose it is: sign in with the client itself, or use a key")
        try:
            profile = _Profile.model_validate_json(answer.raise_for_status().content)
        except (httpx.HTTPStatusError, ValidationError):
            raise UnavailableError(f"Anthropic does not say whose the sign-in is: HTTP {answer.status_code}") from None
        return Owner(account=profile.account.uuid, email=profile.account.email)
