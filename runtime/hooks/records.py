"""Telling the custodian what happens to a request."""

from __future__ import annotations

from typing import Any

import httpx

TIMEOUT_S = 5.0


class NotRecordedError(Exception):
    """The custodian did not take a record: the request must not go on."""


class Records:
    """A client of the custodian's record API."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S, trust_env=False
        )

    async def tell(self, what: str, body: dict[str, Any]) -> None:
        """Write a record: ``admitted``, ``refused`` or ``settled``.

        Raises:
            NotRecordedError: it was not written.
        """
        try:
            answer = await self._http.post(f"/records/{what}", json=body)
        except httpx.HTTPError as error:
            raise NotRecordedError(type(error).__name__) from None
        if answer.is_error:
            raise NotRecordedError(f"HTTP {answer.status_code}")
