"""The gate around LiteLLM, with all that is around it.

LiteLLM is played by a small ASGI application, the custodian by what is told to it, the collector by a server on
loopback that reads real OTLP. Guard, assertions and policies are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import Awaitable, Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import OKPKey
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime.assertion import Assertion, sign
from runtime.contract import Kind, resolve
from runtime.guards import Guard
from runtime.hooks.counters import Counters
from runtime.hooks.counting import Counting
from runtime.hooks.ended import Ended
from runtime.hooks.middleware import Gate
from runtime.hooks.records import Records
from runtime.hooks.telemetry import Telemetry
from runtime.providers import CountingRoute, CountingRoutes
from runtime.with_secrets import Delivered
from tests.unit.runtime.custodian_world import deliver
from tests.unit.runtime.realm import POLICIES

KEY = OKPKey.generate_key("Ed25519")
MASTER = "sk-master-of-the-tests"
INNER = "sk-of-litellm-alone"
CARD = "4111 1111 1111 1111"
AWS = "AKIA" + "QYLPMN5HHHFPZAM2"
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GEMINI = "/v1beta/models/small:generateContent"
GEMINI_STREAM_PATH = "/v1beta/models/small:streamGenerateContent"
COUNTED = CountingRoutes(routes={"small": CountingRoute(url="http://egress:8200/anthropic/count", model="small-4-5")})
EACH = pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES, GEMINI])


class Upstream:
    """Stands for LiteLLM's application: answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], Awaitable[None]] | None = None
        self.status = 200
        self.content: Any = None
        self.chunks: list[bytes] | None = None
        self.fails_after: int | None = None
        self.pause_s = 0.0
        """Before each part of an answer."""
        self.before: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        if scope["method"] == "POST":
            body = (await receive())["body"]
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.asked.append((scope["path"], headers, json.loads(body) if body else None))
        self.before()
        if self.chunks is None:
            kind, parts = b"application/json", [json.dumps(self.content or plain_answer(scope["path"])).encode()]
        else:
            kind, parts = b"text/event-stream; charset=utf-8", self.chunks
        inside = [(b"x-litellm-model-api-base", b"http://model:8080"), (b"x-praxis-trace-id", b"forged")]
        await send(
            {"type": "http.response.start", "status": self.status, "headers": [(b"content-type", kind), *inside]}
        )
        for number, part in enumerate(parts):
            if self.fails_after is not None and number >= self.fails_after:
                raise RuntimeError("LiteLLM broke")
            await asyncio.sleep(self.pause_s)
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def plain_answer(path: str) -> Any:
    if path == MESSAGES:
        return {
            "type": "message",
            "content": [{"type": "text", "text": "Hello"}],
            "usage": {"input_tokens": 11, "output_tokens": 5},
        }
    if path == RESPONSES:
        said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
        usage = {"input_tokens": 11, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 5}
        return {"object": "response", "status": "completed", "output": [said], "usage": usage}
    if path == GEMINI:
        candidate = {"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}
        return {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 5}}
    return {"choices": [{"message": {"content": "Hello"}}], "usage": {"prompt_tokens": 11, "completion_tokens": 5}}


class Custodian:
    """The record API, with what was told to it, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.statuses: dict[str, int] = {}
        self.answers: dict[str, Any] = {}
        self.noted: Callable[[str], None] = lambda path: None

    async def post(self, path: str, body: bytes, token: str) -> tuple[int, bytes]:
        self.noted(path)
        what = path.removeprefix("/records/")
        if token != "record-token":
            return 401, b"{}"
        status = self.statuses.get(what, 200)
        if status == 0:
            raise ConnectionError("away")
        if status == 200:
            self.told.append((what, json.loads(body)))
        return status, json.dumps(self.answers.get(what, {})).encode()

    def only(self, what: str) -> dict[str, Any]:
        (found,) = [body for told, body in self.told if told == what]
        return found


class Egress:
    """What the gate asks of a provider itself, with its answer. ``status`` 0: there is none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.status, self.answer = 200, b'{"input_tokens": 42}'

    async def forward(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        self.asked.append((url, dict(headers), json.loads(body)))
        if self.status == 0:
            raise ConnectionError("away")
        return self.status, self.answer


class Redis:
    """Answers a ping, or is away; counts."""

    def __init__(self) -> None:
        self.down = False
        self.asked = 0

    async def ping(self) -> object:
        self.asked += 1
        if self.down:
            raise ConnectionError("away")
        return True


class Collector:
    """Reads OTLP over HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                import gzip

                content = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    content = gzip.decompress(content)
                batch = ExportTraceServiceRequest.FromString(content)
                outer.spans += [s for r in batch.resource_spans for scope in r.scope_spans for s in scope.spans]
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def attributes(self, beginning: str) -> dict[str, Any]:
        (span,) = [span for span in self.spans if span.name.startswith(beginning)]
        return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


class World:
    """The gate between a client and its fakes."""

    def __init__(self, guard: Guard, collector: Collector, folder: Path) -> None:
        self.secrets = folder
        public = KEY.as_pem(private=False).decode()
        deliver(folder, **{"assertion-public-key": public, "litellm-master-key": MASTER})
        deliver(folder, **{"custodian-record-token": "record-token"})
        self.upstream, self.custodian, self.collector = Upstream(), Custodian(), collector
        self.telemetry = Telemetry(collector.url)
        records = Records(self.custodian.post, Delivered("custodian-record-token", folder))
        self.egress = Egress()
        self.redis = Redis()
        self.gate = Gate(
            app=self.upstream,
            counting=Counting(routes=COUNTED, forward=self.egress.forward),
            policies=POLICIES,
            key=Delivered("assertion-public-key", folder),
            master_key=Delivered("litellm-master-key", folder),
            inner_key=INNER,
            salt=b"salt",
            guard=guard,
            records=records,
            ended=Ended(records),
            counters=Counters(self.redis.ping),
            telemetry=self.telemetry,
            max_bytes=2**20,
        )
        transport = httpx.ASGITransport(self.gate, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://litellm:4000")

    def headers(self, **changes: Any) -> dict[str, str]:
        return {"x-praxis-assertion": sign(about(**changes), KEY), "authorization": "Bearer sk-of-the-subject"}

    async def ask(self, path: str = CHAT, text: Any = "hi", headers: Any = None, **body: Any) -> httpx.Response:
        if path == GEMINI:
            return await self._ask_gemini(text, self.headers() if headers is None else headers, body)
        said = [{"role": "user", "content": text}]
        asked = {"input": said, "max_output_tokens": 5} if path == RESPONSES else {"messages": said, "max_tokens": 5}
        content = {"model": "small", **asked, **body}
        return await self.http.post(path, json=content, headers=self.headers() if headers is None else headers)

    async def _ask_gemini(self, text: Any, headers: Any, body: dict[str, Any]) -> httpx.Response:
        parts = [{"text": text}] if isinstance(text, str) else text
        path = f"{GEMINI_STREAM_PATH}?alt=sse" if body.pop("stream", False) else GEMINI
        content = {"contents": [{"role": "user", "parts": parts}], "generationConfig": {"maxOutputTokens": 5}, **body}
        return await self.http.post(path, json=content, headers=headers)

    def spans(self) -> Collector:
        self.telemetry.close()
        return self.collector


def about(**changes: Any) -> Assertion:
    base: dict[str, Any] = {
        "sub": "sub-of-alice",
        "name": "alice",
        "kind": Kind.PERSON,
        "department": "research",
        "role": "engineer",
        "policy": resolve(POLICIES, role="engineer", department="research", subject="alice").digest(),
        "trace": secrets.token_hex(16),
        "credential": "oidc",
        "demo": False,
    }
    return Assertion(**{**base, **changes})


def refusal(answer: httpx.Response, path: str) -> tuple[int, str]:
    body = answer.json()
    assert answer.headers["x-praxis-trace-id"]
    if path == MESSAGES:
        assert body["type"] == "error"
        return answer.status_code, str(body["error"]["type"])
    if path == GEMINI:
        assert body["error"]["code"] == answer.status_code
        return answer.status_code, str(body["error"]["details"][0]["reason"]).lower()
    return answer.status_code, str(body["error"]["code"])


def sse(*events: Any, done: bool = True) -> bytes:
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def anthropic_sse(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def responses_sse(*events: dict[str, Any]) -> bytes:
    """Of LiteLLM's: numbered, without the names of events, and with chat completions' end."""
    return sse(*({**event, "sequence_number": number} for number, event in enumerate(events)))


OPENAI_STREAM = sse(
    {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
    {"choices": [{"delta": {"content": "Hel"}}]},
    {"choices": [{"delta": {"content": "lo"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 2}},
)
ANTHROPIC_STREAM = anthropic_sse(
    {"type": "message_start", "message": {"usage": {"input_tokens": 21, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)
RESPONSES_STREAM = responses_sse(
    {"type": "response.created", "response": {"status": "in_progress", "output": [], "usage": None}},
    {"type": "response.output_item.added", "item": {"type": "message", "content": []}},
    {"type": "response.output_text.delta", "delta": "Hel"},
    {"type": "response.output_text.delta", "delta": "lo"},
    {"type": "response.output_text.done", "text": "Hello"},
    {
        "type": "response.completed",
        "response": {
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}],
            "usage": {"input_tokens": 21, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 2},
        },
    },
)
GEMINI_STREAM = sse(
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hel"}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 21, "cachedContentTokenCount": 8},
    },
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "lo"}]}, "finishReason": "STOP"}],
        "usageMetadata": {
            **{"promptTokenCount": 20, "toolUsePromptTokenCount": 1, "cachedContentTokenCount": 8},
            **{"candidatesTokenCount": 1, "thoughtsTokenCount": 1},
        },
    },
    done=False,
)
STREAMS = pytest.mark.parametrize(
    ("path", "stream"),
    [(CHAT, OPENAI_STREAM), (RESPONSES, RESPONSES_STREAM), (MESSAGES, ANTHROPIC_STREAM), (GEMINI, GEMINI_STREAM)],
)
