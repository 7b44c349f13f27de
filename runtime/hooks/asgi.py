"""ASGI, as far as the gate speaks it (asgi.readthedocs.io): its types, and a refusal as an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from runtime.dialect import Dialect, Refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def refuse(send: Send, refusal: Refusal, dialect: Dialect, trace: str) -> None:
    """Answer with a refusal, in the caller's dialect."""
    content = refusal.encoded(dialect)
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers(trace).items()]
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
