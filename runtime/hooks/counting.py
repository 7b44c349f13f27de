"""Counting the tokens of a request. In Anthropic's dialect, where Anthropic serves the model, it counts: the request
goes there as it is.

LiteLLM would leave out parts of it, and the headers that say which beta it is for and which record it belongs to. For
other models, and in Gemini's dialect, the answer is what the ledger reserves.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from runtime.dialect import Dialect, Refusal, dialect_of
from runtime.hooks.estimate import estimate
from runtime.providers import CountingRoute, CountingRoutes
from runtime.wire import TICKET_HEADER

TIMEOUT_S = 30.0
PASSED = ("anthropic-version", "anthropic-beta", "user-agent", TICKET_HEADER)
"""Headers of the caller's and the gateway's that go along."""
QUERY = b"beta=true"
AWAY = Refusal(status=503, code="upstream_error", message="the provider does not answer")

Forward = Callable[[str, bytes, Mapping[str, str]], Awaitable[tuple[int, bytes]]]
"""Posts a body to a URL with headers; returns status and body of the answer. Raises ``OSError`` when there is none,
``TimeoutError`` when there is none in time."""


@dataclass(frozen=True, kw_only=True)
class Counting:
    """An ASGI application for ``/v1/messages/count_tokens`` and Gemini's ``countTokens``."""

    routes: CountingRoutes
    forward: Forward

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """ASGI entry; the body comes in one piece."""
        body = json.loads((await receive())["body"])
        in_gemini = dialect_of(scope["path"]) is Dialect.GEMINI
        route = None if in_gemini else self.routes.routes.get(body["model"])
        if route is None:
            name = "totalTokens" if in_gemini else "input_tokens"
            status, answer = 200, json.dumps({name: estimate(body).input_tokens}).encode()
        else:
            status, answer = await self._asked(route, scope, body)
        start = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": start})
        await send({"type": "http.response.body", "body": answer})

    async def _asked(
        self, route: CountingRoute, scope: Mapping[str, Any], body: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        given = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        headers = {"content-type": "application/json", **{name: given[name] for name in PASSED if name in given}}
        url = f"{route.url}?{QUERY.decode()}" if scope.get("query_string") == QUERY else route.url
        content = json.dumps({**body, "model": route.model}, ensure_ascii=False).encode()
        try:
            return await self.forward(url, content, headers)
        except OSError:  # TimeoutError is one
            return AWAY.status, AWAY.encoded(Dialect.ANTHROPIC)
