"""Telling the custodian what happens to a request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from runtime.dialect import Refusal
from runtime.hooks.posting import Posting
from runtime.with_secrets import Delivered

TIMEOUT_S = 5.0
AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Pauses before an ending that was not taken is told again: what was spent must not be lost with one restart."""
FINAL = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT})
"""Answers that stay the same however often it is told."""

Post = Callable[[str, bytes, str], Awaitable[tuple[int, bytes]]]
"""Sends a body to a path, with a bearer token; returns status and body of the answer. Raises ``OSError`` when there is
none, ``TimeoutError`` when there is none in time."""


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


class Connections:
    """A :data:`Post` to the custodian. ``url``: where it is."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._post = Posting(TIMEOUT_S)

    async def __call__(self, path: str, body: bytes, token: str) -> tuple[int, bytes]:
        """See :data:`Post`."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await self._post(self._url + path, body, headers)


class Records:
    """A client of the custodian's record API."""

    def __init__(self, post: Post, token: Delivered) -> None:
        self._send = post
        self._token = token
        self._late: set[asyncio.Task[None]] = set()

    async def admit(self, body: dict[str, Any]) -> str | None:
        """Record that a request is about to go out; the ticket that opens the egress, if it has to go through there.

        Raises:
            NotRecordedError: it was not written.
            NotAdmittedError: it was not written because this request may not go out.
        """
        ticket = (await self._post("admitted", body)).get("ticket")
        return ticket if isinstance(ticket, str) else None

    async def tell(self, what: str, body: dict[str, Any]) -> None:
        """Write a record: ``refused`` or ``settled``.

        Raises:
            NotRecordedError: it was not written.
        """
        await self._post(what, body)

    async def ended(self) -> frozenset[str]:
        """Ids of the subjects whose access has ended.

        Raises:
            NotRecordedError: the custodian does not say.
        """
        return frozenset(map(str, (await self._post("ended", {})).get("subjects", [])))

    async def _post(self, what: str, body: dict[str, Any]) -> dict[str, Any]:
        content = json.dumps(body).encode()
        try:
            for token in self._token.accepted():  # the custodian may be given a new one a moment later
                status, answer = await self._send(f"/records/{what}", content, token)
                if status != HTTPStatus.UNAUTHORIZED:
                    break
        except OSError as error:  # TimeoutError is one
            raise NotRecordedError(type(error).__name__, final=False) from None
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise NotAdmittedError(Refusal(**json.loads(answer)))
        if status >= HTTPStatus.BAD_REQUEST:
            raise NotRecordedError(f"HTTP {status}", final=status in FINAL)
        told: dict[str, Any] = json.loads(answer)
        return told

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
