"""Posting over connections that stay open. Every request is told of twice, so the client has to be a quick one:
aiohttp, which LiteLLM brings along."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp

DNS_TTL_S = 2
"""Who is asked may have another address after a restart."""


class Posting:
    """Connections for one purpose. ``timeout_s``: for one answer."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer; a redirection is one.

        Raises:
            OSError: there is no answer; ``TimeoutError``: none in time.
        """
        if self._session is None:  # made here: it belongs to the loop that runs now
            connector = aiohttp.TCPConnector(ttl_dns_cache=DNS_TTL_S)
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientError as error:
            raise ConnectionError(type(error).__name__) from None
