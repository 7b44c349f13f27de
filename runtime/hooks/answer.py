"""One request on its way, and its answer: counted, cut where it may not go on, reworded when it is an error."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from runtime.assertion import Assertion
from runtime.contract import Estimate
from runtime.dialect import TRACE_HEADER, Dialect, Refusal
from runtime.hooks import ended
from runtime.hooks.answers import reworded
from runtime.hooks.asgi import Message, Send, refuse
from runtime.hooks.ended import Ended
from runtime.hooks.exchange import Stream, read_answer
from runtime.hooks.gemini import Asked
from runtime.hooks.usage import Usage
from runtime.wire import ENROLMENT

TELLTALE = (TRACE_HEADER.encode(), b"x-litellm-", b"llm_provider-")
"""Beginnings of answer headers that do not go out: addresses, keys and prices of the inside."""
TOOL_NOT_ALLOWED = Refusal(
    status=403, code="tool_not_allowed", message="the answer calls a tool that your role does not allow"
)
OBJECTIONS = frozenset({ended.REFUSAL.code, TOOL_NOT_ALLOWED.code})
"""Reasons for which an answer is cut."""


class CutError(Exception):
    """The answer does not go on; whoever asked has been told."""


@dataclass
class Exchange:
    """One request on its way."""

    about: Assertion
    token: str
    dialect: Dialect
    began_ns: int
    guarded_ns: int = 0
    model: str = "-"
    session: str = ""
    prompt: str = ""
    guards: dict[str, Any] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    status: int = 200
    reason: str | None = None
    hide_usage: bool = False
    sent_bytes: int = 0
    estimate: Estimate | None = None
    counting: bool = False
    """Only the size of the request is asked for."""
    wanted: Asked | None = None
    """What its path asks for, where the path says it."""
    tools: frozenset[str] | None = None
    """Those that an answer may call; ``None`` for any."""

    def forbidden(self) -> Refusal | None:
        """Why the answer may not go on, as far as it has come: it calls a tool that its caller may not use."""
        if self.tools is None or self.tools.issuperset(self.usage.tools):
            return None
        return TOOL_NOT_ALLOWED

    def record(self) -> dict[str, Any]:
        """What the custodian is told."""
        return {
            "assertion": self.token,
            "dialect": self.dialect.value,
            "model": self.model,
            "status": self.status,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "cache_read_tokens": self.usage.cache_read_tokens,
            "cache_write_tokens": self.usage.cache_write_tokens,
            "guards": self.guards,
            "reason": self.reason,
            "counting": self.counting,
        }


class Desk(Protocol):
    """What an answer needs of the gate."""

    @property
    def ended(self) -> Ended:
        """Whose access has ended."""

    async def settle(self, exchange: Exchange) -> None:
        """Write the record of an exchange that has ended, and its spans."""


class Answer:
    """LiteLLM's answer to an admitted request on its way to the client."""

    def __init__(self, desk: Desk, exchange: Exchange, send: Send) -> None:
        self._desk = desk
        self._exchange = exchange
        self._send = send
        self._began = time.monotonic()
        self._settled = False
        self._start: Message = {}
        self._buffer: list[bytes] = []
        self._stream: Stream | None = None

    async def send(self, message: Message) -> None:
        """ASGI send. Raises ``CutError`` when the answer is not to go on."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._stream is not None:
            await self._pass(self._stream, message)
        else:
            self._buffer.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._finish()

    async def settle(self) -> None:
        """Write the record of the end, once."""
        if self._settled:
            return
        self._settled = True
        exchange = self._exchange
        broken = self._stream is not None and not self._stream.finished
        if exchange.counting:
            exchange.reason = exchange.reason or "count_tokens"
        elif exchange.status < 400 and exchange.usage.estimate(exchange.sent_bytes, broken=broken):
            exchange.reason = exchange.reason if exchange.reason in OBJECTIONS else "usage_estimated"
        await self._desk.settle(exchange)

    async def fail(self) -> None:
        """LiteLLM broke: say so, unless its answer has begun."""
        if self._start:
            self._exchange.reason = "broke_off"
            return
        refusal = Refusal(status=503, code="gateway_failed", message="the gateway failed; try again")
        self._exchange.status, self._exchange.reason = refusal.status, refusal.code
        await refuse(self._send, refusal, self._exchange.dialect, self._exchange.about.trace)

    def _objection(self) -> Refusal | None:
        """Why the answer may not go on."""
        if self._settled:
            return None
        about = self._exchange.about
        if self._desk.ended.since(self._began, about.sub, about.actor_sub):
            return ended.REFUSAL
        return self._exchange.forbidden()

    async def _cut(self, objection: Refusal) -> None:
        """End a stream, in words. What has passed is counted."""
        self._exchange.reason = objection.code
        await self.settle()
        event = objection.last_event(self._exchange.dialect, self._exchange.about.trace)
        await self._send({"type": "http.response.body", "body": event, "more_body": False})
        raise CutError

    async def _begin(self, message: Message) -> None:
        self._exchange.status = message["status"]
        headers = [(n, v) for n, v in message.get("headers", []) if not n.lower().startswith(TELLTALE)]
        self._start = {**message, "headers": [*headers, (TRACE_HEADER.encode(), self._exchange.about.trace.encode())]}
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        if message["status"] < 400 and kind.startswith(b"text/event-stream"):
            exchange = self._exchange
            self._stream = Stream(exchange.dialect, exchange.usage, exchange.hide_usage)
            await self._send(self._start)

    async def _pass(self, stream: Stream, message: Message) -> None:
        out = stream.feed(message.get("body", b""))
        if objection := self._objection():  # before what has just come goes on
            await self._cut(objection)
        last = not message.get("more_body")
        if last:
            out += stream.end()
        if last or stream.finished:
            await self.settle()
        if out or last:
            await self._send({"type": "http.response.body", "body": out, "more_body": not last})

    async def _finish(self) -> None:
        content, exchange = b"".join(self._buffer), self._exchange
        if exchange.status >= 400:
            own = exchange.about.credential == ENROLMENT
            refusal = reworded(exchange.status, content, own_account=own, asked_directly=exchange.counting)
            exchange.status, exchange.reason = refusal.status, refusal.code
            await self.settle()
            await refuse(self._send, refusal, exchange.dialect, exchange.about.trace)
            return
        read_answer(content, exchange.dialect, exchange.usage)
        if objection := self._objection():
            exchange.status, exchange.reason = objection.status, objection.code
        await self.settle()
        if objection:
            await refuse(self._send, objection, exchange.dialect, exchange.about.trace)
            return
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": content})
