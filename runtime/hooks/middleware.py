"""The gate around LiteLLM's application: assertion, guard, record, request, record; and refusals in dialect.

Order of a request: the assertion is verified; the guard masks or blocks; *admitted* is written, and without it nothing
goes on; LiteLLM answers; *settled* is written before the answer's last event is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import OKPKey

from runtime.assertion import HEADER, Assertion, InvalidAssertionError, verify
from runtime.contract import EffectivePolicy, Policies, PolicyError, resolve
from runtime.dialect import TRACE_HEADER, Dialect, Refusal, dialect_of
from runtime.guards import Guard
from runtime.guards import refusal as guard_refusal
from runtime.hooks.answers import reworded
from runtime.hooks.exchange import Stream, Usage, prompt_text, read_answer, with_usage
from runtime.hooks.records import NotRecordedError, Records
from runtime.hooks.telemetry import Telemetry, Told

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ASKING = frozenset({"/v1/chat/completions", "/v1/messages"})
LOOKING = frozenset({"/v1/models"})
INTERNAL = frozenset({HEADER.encode(), b"traceparent", b"tracestate", b"x-api-key"})


class RefusedError(Exception):
    """The request is refused here."""

    def __init__(self, refusal: Refusal, guards: dict[str, Any] | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.guards = guards or {}


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

    def record(self) -> dict[str, Any]:
        """What the custodian is told."""
        return {
            "assertion": self.token,
            "dialect": self.dialect.value,
            "model": self.model,
            "status": self.status,
            "input_tokens": self.usage.input_tokens,
            "output_tokens": self.usage.output_tokens,
            "guards": self.guards,
            "reason": self.reason,
        }


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Wraps ``app``, which is LiteLLM's. ``salt`` makes masks and digests of this installation its own."""

    app: App
    policies: Policies
    key: OKPKey
    master_key: str
    salt: bytes
    guard: Guard
    records: Records
    telemetry: Telemetry
    max_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] != "http" or scope["path"].startswith("/health/"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        token, dialect = headers.get(HEADER), dialect_of(scope["path"])
        if token is None:
            if not hmac.compare_digest(headers.get("authorization", ""), f"Bearer {self.master_key}"):
                refusal = Refusal(status=401, code="invalid_api_key", message="this entrance is the gateway's own")
                await _refuse(send, refusal, dialect, "0" * 32)
                return
            await self.app(scope, receive, send)  # the custodian and the operator, on LiteLLM's admin API
            return
        try:
            about = verify(token, self.key)
        except InvalidAssertionError:
            refusal = Refusal(status=401, code="invalid_assertion", message="the gateway's own word was not accepted")
            await _refuse(send, refusal, dialect, "0" * 32)
            return
        await self._asserted(scope, receive, send, Exchange(about, token, dialect, time.time_ns()), headers)

    async def _asserted(
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange, headers: dict[str, str]
    ) -> None:
        inner = {**scope, "headers": [pair for pair in scope["headers"] if pair[0].lower() not in INTERNAL]}
        asking = scope["method"] == "POST" and scope["path"] in ASKING
        try:
            policy = self._policy(exchange.about)
            if not asking:
                if scope["method"] != "GET" or scope["path"] not in LOOKING:
                    raise RefusedError(Refusal(status=404, code="not_found", message="not served here"))
                await self.app(inner, receive, _Answer(self, exchange, send, counted=False).send)
                return
            body = await self._guarded(await self._body(receive), policy, exchange, headers)
            await self._admit(body, exchange)
        except RefusedError as error:
            exchange.status, exchange.reason = error.refusal.status, error.refusal.code
            exchange.guards = error.guards or exchange.guards
            if asking:
                await self._note_refusal(exchange)
            await _refuse(send, error.refusal, exchange.dialect, exchange.about.trace)
            return
        content = json.dumps(body, ensure_ascii=False).encode()
        inner["headers"] = [pair for pair in inner["headers"] if pair[0].lower() != b"content-length"]
        inner["headers"].append((b"content-length", str(len(content)).encode()))
        answer = _Answer(self, exchange, send, counted=True)
        try:
            await self.app(inner, _once(content, receive), answer.send)
        finally:
            await answer.settle()

    def _policy(self, about: Assertion) -> EffectivePolicy:
        try:
            policy = resolve(self.policies, role=about.role, department=about.department, subject=about.name)
        except PolicyError as error:
            raise RefusedError(Refusal(status=403, code="permission_denied", message=str(error))) from None
        if policy.digest() != about.policy:
            # The custodian and this process were given different stack files: an update is under way.
            message = "the gateway is being updated; try again in a moment"
            raise RefusedError(Refusal(status=503, code="policy_changed", message=message))
        return policy

    async def _body(self, receive: Receive) -> dict[str, Any]:
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise RefusedError(Refusal(status=400, code="disconnected", message="the request ended early"))
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.max_bytes:
                text = f"the request is larger than {self.max_bytes // 2**20} MiB"
                raise RefusedError(Refusal(status=413, code="request_too_large", message=text))
            if not message.get("more_body"):
                break
        try:
            body = json.loads(b"".join(parts))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise RefusedError(Refusal(status=400, code="invalid_json", message="the body must be a JSON object"))
        return body

    async def _guarded(
        self, body: dict[str, Any], policy: EffectivePolicy, exchange: Exchange, headers: dict[str, str]
    ) -> dict[str, Any]:
        exchange.model = str(body.get("model", "-"))[:200]
        exchange.session = _session(body, headers) or exchange.about.trace
        if exchange.model not in policy.models:
            # Decided here, not by LiteLLM alone: it would take a list of names, and the ledger prices one model.
            refusal = Refusal(status=403, code="model_not_allowed", message="your role does not allow this model")
            raise RefusedError(refusal)
        try:
            outcome = self.guard.apply(body, policy.guards, self.salt + exchange.session.encode())
        except Exception:  # a guard that could not run refuses, whatever the reason
            exchange.guards = {"verdict": "failed"}
            text = "the input guard could not run, so the request was not sent"
            raise RefusedError(Refusal(status=503, code="guard_failed", message=text)) from None
        exchange.guarded_ns = time.time_ns()
        exchange.guards = {"verdict": outcome.verdict, "findings": dict(outcome.findings)}
        if outcome.verdict == "blocked":
            refusal = Refusal(status=400, code="guard_blocked", message=guard_refusal(outcome))
            raise RefusedError(refusal, exchange.guards)
        exchange.prompt = prompt_text(outcome.body)
        body, exchange.hide_usage = with_usage(outcome.body, exchange.dialect)
        return body

    async def _admit(self, body: dict[str, Any], exchange: Exchange) -> None:
        digest = hmac.new(self.salt, exchange.prompt.encode(), hashlib.sha256).hexdigest()
        record = exchange.record()
        try:
            await self.records.tell("admitted", {**record, "prompt_digest": digest})
        except NotRecordedError:
            text = "the request could not be recorded, so it was not sent"
            raise RefusedError(Refusal(status=503, code="not_recorded", message=text)) from None

    async def _note_refusal(self, exchange: Exchange) -> None:
        try:
            await self.records.tell("refused", exchange.record())
        except NotRecordedError:
            return  # it is refused all the same
        finally:
            self.report(exchange)

    def report(self, exchange: Exchange) -> None:
        """Send the spans of a finished exchange."""
        now = time.time_ns()
        self.telemetry.tell(
            Told(
                about=exchange.about,
                dialect=exchange.dialect.value,
                model=exchange.model,
                session=exchange.session or exchange.about.trace,
                prompt=exchange.prompt,
                guards=exchange.guards,
                usage=exchange.usage,
                status=exchange.status,
                price=self.policies.models.get(exchange.model),
                began_ns=exchange.began_ns,
                guarded_ns=exchange.guarded_ns or now,
                ended_ns=now,
            )
        )


class _Answer:
    """LiteLLM's answer on its way to the client: counted, and reworded when it is an error."""

    def __init__(self, gate: Gate, exchange: Exchange, send: Send, *, counted: bool) -> None:
        self._gate = gate
        self._exchange = exchange
        self._send = send
        self._counted = counted
        self._settled = False
        self._start: Message = {}
        self._buffer: list[bytes] = []
        self._stream: Stream | None = None

    async def send(self, message: Message) -> None:
        """ASGI send."""
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
        if self._settled or not self._counted:
            return
        self._settled = True
        try:
            await self._gate.records.tell("settled", self._exchange.record())
        except NotRecordedError:
            pass  # the answer exists; the reaper marks the record as aborted, and the client is not punished
        finally:
            self._gate.report(self._exchange)

    async def _begin(self, message: Message) -> None:
        self._exchange.status = message["status"]
        headers = [(n, v) for n, v in message.get("headers", []) if n.lower() != TRACE_HEADER.encode()]
        self._start = {**message, "headers": [*headers, (TRACE_HEADER.encode(), self._exchange.about.trace.encode())]}
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        if message["status"] < 400 and kind.startswith(b"text/event-stream"):
            exchange = self._exchange
            self._stream = Stream(exchange.dialect, exchange.usage, exchange.hide_usage)
            await self._send(self._start)

    async def _pass(self, stream: Stream, message: Message) -> None:
        out = stream.feed(message.get("body", b""))
        last = not message.get("more_body")
        if last:
            out += stream.end()
        if last or Stream.is_terminal(out):
            await self.settle()
        if out or last:
            await self._send({"type": "http.response.body", "body": out, "more_body": not last})

    async def _finish(self) -> None:
        content, exchange = b"".join(self._buffer), self._exchange
        if exchange.status >= 400:
            refusal = reworded(exchange.status, content)
            exchange.status, exchange.reason = refusal.status, refusal.code
            await self.settle()
            await _refuse(self._send, refusal, exchange.dialect, exchange.about.trace)
            return
        read_answer(content, exchange.dialect, exchange.usage)
        await self.settle()
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": content})


def _session(body: dict[str, Any], headers: dict[str, str]) -> str:
    """What groups requests: the client's session id (it groups, it does not identify)."""
    metadata = body.get("metadata")
    named = metadata.get("session_id") if isinstance(metadata, dict) else None
    return str(headers.get("x-claude-code-session-id") or headers.get("x-session-id") or named or "")[:128]


def _once(content: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # what comes now is the client's going away
        sent = True
        return {"type": "http.request", "body": content, "more_body": False}

    return replay


async def _refuse(send: Send, refusal: Refusal, dialect: Dialect, trace: str) -> None:
    content = refusal.encoded(dialect)
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers(trace).items()]
    headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
