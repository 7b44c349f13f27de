"""Telling the custodian what happens to a request."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from runtime.dialect import Refusal
from runtime.with_secrets import Delivered

TIMEOUT_S = 5.0
AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Pauses before an ending that was not taken is told again: what was spent must not be lost with one restart."""


class NotRecordedError(Exception):
    """The custodian did not take a record: the request must not go on. ``final``: it never will."""

    def __init__(self, why: str, *, final: bool) -> None:
        super().__init__(why)
        self.final = final


class NotAdmittedError(Exception):
    """The custodian refuses this request: no credential goes with it, or no budget. The refusal is for the caller."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Records:
    """A client of the custodian's record API."""

    def __init__(self, url: str, token: Delivered, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            timeout=TIMEOUT_S,
            trust_env=False,
            transport=transport,
        )
        self._token = token
        self._late: set[asyncio.Task[None]] = set()

    async def admit(self, body: dict[str, Any]) -> str | None:
        """Record that a request is about to go out; the ticket that opens the egress, if it has to go through there.

        Raises:
            NotRecordedError: it was not written.
            NotAdmittedError: it was not written because this request may not go out.
        """
        answer = await self._post("admitted", body)
        ticket = answer.json().get("ticket")
        return ticket if isinstance(ticket, str) else None

    async def tell(self, what: str, body: dict[str, Any]) -> None:
        """Write a record: ``refused`` or ``settled``.

        Raises:
            NotRecordedError: it was not written.
        """
        await self._post(what, body)

    async def _post(self, what: str, body: dict[str, Any]) -> httpx.Response:
        try:
            for token in self._token.accepted():  # the custodian may be given a new one a moment later
                headers = {"Authorization": f"Bearer {token}"}
                answer = await self._http.post(f"/records/{what}", json=body, headers=headers)
                if answer.status_code != httpx.codes.UNAUTHORIZED:
                    break
        except httpx.HTTPError as error:
            raise NotRecordedError(type(error).__name__, final=False) from None
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise NotAdmittedError(Refusal(**answer.json()))
        if answer.is_error:
            raise NotRecordedError(f"HTTP {answer.status_code}", final=answer.status_code in (400, 403, 409))
        return answer

    async def settle(self, body: dict[str, Any]) -> None:
        """Write how a request ended: now if possible, else as soon as the custodian is back."""
        try:
            await self.tell("settled", body)
        except NotRecordedError as error:
            if not error.final:
                task = asyncio.create_task(self._settle_late(body))
                self._late.add(task)
                task.add_done_callback(self._late.discard)

    async def _settle_late(self, body: dict[str, Any]) -> None:
        for pause in AGAIN_S:
            await asyncio.sleep(pause)
            try:
                await self.tell("settled", body)
            except NotRecordedError as error:
                if error.final:
                    return
            else:
                return
