"""ASGI, as far as the gate speaks it (asgi.readthedocs.io): its types, and a refusal as an answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from runtime.dialect import TRACE_HEADER, Dialect, Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def refuse(send: Send, refusal: Refusal, dialect: Dialect, trace: str) -> None:
    """Answer with a refusal, in the caller's dialect."""
    content = refusal.encoded(dialect)
    await _whole(send, refusal.status, refusal.headers(trace), content)


async def tell(send: Send, body: Mapping[str, Any], trace: str) -> None:
    """Answer with a JSON document."""
    headers = {TRACE_HEADER: trace, "content-type": "application/json"}
    await _whole(send, 200, headers, json.dumps(body).encode())


async def _whole(send: Send, status: int, headers: Mapping[str, str], content: bytes) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": content})
