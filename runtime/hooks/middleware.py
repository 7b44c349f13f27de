"""The gate around LiteLLM's application: assertion, guard, record, request, record; and refusals in dialect.

Order of a request: the assertion is verified; the guard masks or blocks; *admitted* is written, and without it nothing
goes on; LiteLLM answers; *settled* is written before the answer's last event is sent.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from runtime.assertion import HEADER, Assertion, InvalidAssertionError, verify
from runtime.assertion import key as key_of
from runtime.contract import EffectivePolicy, Policies, PolicyError, resolve
from runtime.dialect import Refusal, dialect_of
from runtime.guards import Guard
from runtime.guards import refusal as guard_refusal
from runtime.hooks import gemini
from runtime.hooks.answer import Answer, CutError, Exchange
from runtime.hooks.asgi import App, Message, Receive, Scope, Send, refuse, tell
from runtime.hooks.counters import Counters
from runtime.hooks.counting import Counting
from runtime.hooks.ended import Ended
from runtime.hooks.estimate import estimate
from runtime.hooks.exchange import prompt_text, with_usage
from runtime.hooks.listing import listed, spoken
from runtime.hooks.records import NotAdmittedError, NotRecordedError, Records
from runtime.hooks.request import RefusedError, named, read_body, session
from runtime.hooks.telemetry import Telemetry, Told
from runtime.wire import CALL_HEADER, COUNT_PATH, RESPONSES_PATH, TICKET_HEADER
from runtime.with_secrets import Delivered

ASKING = frozenset({"/v1/chat/completions", RESPONSES_PATH, "/v1/messages", COUNT_PATH})
LOOKING = frozenset({"/v1/models"})
INTERNAL = (b"x-", b"traceparent", b"tracestate", b"content-length")
"""Beginnings of request headers that do not go on to LiteLLM: our own, those by which a caller could steer it, and
whatever it would forward to a provider."""
NOT_RECORDED = Refusal(status=503, code="not_recorded", message="the request could not be recorded, so it was not sent")


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Wraps ``app``, which is LiteLLM's. ``salt`` makes masks and digests of this installation its own.

    ``master_key`` opens LiteLLM's admin API here; ``inner_key`` is what LiteLLM itself takes for its master key. Only
    this process has it, so that the other can change while both run.
    """

    app: App
    counting: Counting
    policies: Policies
    key: Delivered
    master_key: Delivered
    inner_key: str
    salt: bytes
    guard: Guard
    records: Records
    ended: Ended
    counters: Counters
    telemetry: Telemetry
    max_bytes: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI entry."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # refused before it is accepted: HTTP 403
            return
        if scope["type"] == "lifespan" or scope["path"].startswith("/health/"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        token, dialect = headers.get(HEADER), dialect_of(scope["path"])
        if token is None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme != "Bearer" or not self.master_key.matches(given):
                refusal = Refusal(status=401, code="invalid_api_key", message="this entrance is the gateway's own")
                await refuse(send, refusal, dialect, "0" * 32)
                return
            # The custodian and the operator, on LiteLLM's admin API.
            others = [pair for pair in scope["headers"] if pair[0].lower() != b"authorization"]
            inner = (b"authorization", f"Bearer {self.inner_key}".encode())
            await self.app({**scope, "headers": [*others, inner]}, receive, send)
            return
        try:
            about = verify(token, *map(key_of, self.key.accepted()))
        except InvalidAssertionError:
            refusal = Refusal(status=401, code="invalid_assertion", message="the gateway's own word was not accepted")
            await refuse(send, refusal, dialect, "0" * 32)
            return
        await self._asserted(scope, receive, send, Exchange(about, token, dialect, time.time_ns()), headers)

    async def _asserted(
        self, scope: Scope, receive: Receive, send: Send, exchange: Exchange, headers: dict[str, str]
    ) -> None:
        inner = {**scope, "headers": [pair for pair in scope["headers"] if not pair[0].lower().startswith(INTERNAL)]}
        exchange.wanted = gemini.asked(scope["path"])
        asking = scope["method"] == "POST" and (exchange.wanted is not None or scope["path"] in ASKING)
        exchange.counting = scope["path"] == COUNT_PATH or (exchange.wanted is not None and exchange.wanted.counting)
        try:
            policy = self._policy(exchange.about)
            exchange.tools = None if policy.tools is None else frozenset(policy.tools)
            if not asking:
                if scope["method"] != "GET" or scope["path"] not in LOOKING:
                    raise RefusedError(Refusal(status=404, code="not_found", message="not served here"))
                names = [name for name in policy.models if _covers(exchange.about, name)]
                await tell(send, listed(names, spoken(headers)), exchange.about.trace)
                return
            body = await read_body(receive, self.max_bytes, exchange.dialect)
            if exchange.wanted is not None:
                body = gemini.checked(body, exchange.wanted, scope.get("query_string", b""))
            body = self._guarded(body, policy, exchange, headers)
            content = json.dumps(body, ensure_ascii=False).encode()
            await self.counters.check()
            ticket = await self._admit(content, exchange)
            if ticket is not None and exchange.wanted is not None and not exchange.counting:
                content = json.dumps(gemini.with_ticket(body, ticket), ensure_ascii=False).encode()
        except RefusedError as error:
            exchange.status, exchange.reason = error.refusal.status, error.refusal.code
            exchange.guards = error.guards or exchange.guards
            if asking:
                await self._note_refusal(exchange)
            await refuse(send, error.refusal, exchange.dialect, exchange.about.trace)
            return
        inner["headers"].append((b"content-length", str(len(content)).encode()))
        inner["headers"].append((CALL_HEADER.encode(), exchange.about.trace.encode()))
        if ticket is not None:
            inner["headers"].append((TICKET_HEADER.encode(), ticket.encode()))
        answer = Answer(self, exchange, send)
        app: App = self.counting if exchange.counting else self.app
        try:
            with self.ended.watched():
                await app(inner, _once(content, receive), answer.send)
        except CutError:
            return
        except Exception:
            await answer.fail()
            raise
        finally:
            await answer.settle()

    def _policy(self, about: Assertion) -> EffectivePolicy:
        try:
            policy = resolve(
                self.policies, role=about.role, department=about.department, subject=about.name, actor=about.actor
            )
        except PolicyError as error:
            raise RefusedError(Refusal(status=403, code="permission_denied", message=str(error))) from None
        if policy.digest() != about.policy:
            # The custodian and this process were given different stack files: an update is under way.
            message = "the gateway is being updated; try again in a moment"
            raise RefusedError(Refusal(status=503, code="policy_changed", message=message))
        return policy

    def _guarded(
        self, body: dict[str, Any], policy: EffectivePolicy, exchange: Exchange, headers: dict[str, str]
    ) -> dict[str, Any]:
        try:
            model = body.get("model") if exchange.wanted is None else exchange.wanted.model
            exchange.model = named(model, self.guard.scan_text)
            group = named(session(body, headers), self.guard.scan_text)
            exchange.session = exchange.about.trace if group == "-" else group
            if exchange.model not in policy.models:
                # Decided here, not by LiteLLM alone: it would take a list of names, and the ledger prices one model.
                refusal = Refusal(status=403, code="model_not_allowed", message="your role does not allow this model")
                raise RefusedError(refusal)
            if not _covers(exchange.about, exchange.model):
                refusal = Refusal(status=403, code="model_not_allowed", message="this key is for other models")
                raise RefusedError(refusal)
            outcome = self.guard.apply(body, policy.guards, self.salt + exchange.session.encode())
        except RefusedError:
            raise
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
        try:
            exchange.estimate = estimate(outcome.body)
        except ValidationError:
            raise RefusedError(NOT_RECORDED) from None
        body, exchange.hide_usage = with_usage(outcome.body, exchange.dialect)
        return body

    async def _admit(self, content: bytes, exchange: Exchange) -> str | None:
        exchange.sent_bytes = len(content)
        digest = hmac.new(self.salt, content, hashlib.sha256).hexdigest()
        asked = exchange.estimate and exchange.estimate.model_dump()
        try:
            return await self.records.admit({**exchange.record(), "prompt_digest": digest, "estimate": asked})
        except NotAdmittedError as error:
            raise RefusedError(error.refusal) from None
        except NotRecordedError:
            raise RefusedError(NOT_RECORDED) from None

    async def _note_refusal(self, exchange: Exchange) -> None:
        try:
            await self.records.tell("refused", exchange.record())
        except NotRecordedError:
            return  # it is refused all the same
        finally:
            self.report(exchange)

    async def settle(self, exchange: Exchange) -> None:
        """Write the record of an exchange that has ended, and its spans."""
        try:
            await self.records.settle(exchange.record())
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


def _covers(about: Assertion, model: str) -> bool:
    """Whether the caller's credential is for this model."""
    return not about.scope or model in about.scope.split()


def _once(content: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # what comes now is the client's going away
        sent = True
        return {"type": "http.request", "body": content, "more_body": False}

    return replay
