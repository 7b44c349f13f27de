"""The gate around LiteLLM: nothing gets past it unguarded or unrecorded, whatever LiteLLM or the client does.

LiteLLM is played by a small ASGI application, the custodian by an HTTP transport, the collector by a server on
loopback that reads real OTLP. Guard, assertions and policies are the real ones.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import OKPKey
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from runtime.assertion import Assertion, sign
from runtime.contract import Kind, resolve
from runtime.dialect import Dialect
from runtime.guards import Guard
from runtime.hooks import records
from runtime.hooks.exchange import Stream, Usage
from runtime.hooks.middleware import Gate
from runtime.hooks.records import Records
from runtime.hooks.telemetry import Telemetry
from runtime.with_secrets import Delivered
from tests.unit.runtime.custodian_world import deliver
from tests.unit.runtime.realm import POLICIES

KEY = OKPKey.generate_key("Ed25519")
MASTER = "sk-master-of-the-tests"
INNER = "sk-of-litellm-alone"
CARD = "4111 1111 1111 1111"
AWS = "AKIA" + "QYLPMN5HHHFPZAM2"
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
BOTH = pytest.mark.parametrize("path", [CHAT, MESSAGES])


class Upstream:
    """Stands for LiteLLM's application: answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Callable[[Any], Awaitable[None]] | None = None
        self.status = 200
        self.content: Any = None
        self.chunks: list[bytes] | None = None
        self.fails_after: int | None = None
        self.before: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        if scope["method"] == "POST":
            body = (await receive())["body"]
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.asked.append((scope["path"], headers, json.loads(body) if body else None))
        self.before()
        if self.chunks is None:
            kind, parts = b"application/json", [json.dumps(self.content or _answer(scope["path"])).encode()]
        else:
            kind, parts = b"text/event-stream; charset=utf-8", self.chunks
        inside = [(b"x-litellm-model-api-base", b"http://model:8080"), (b"x-praxis-trace-id", b"forged")]
        await send(
            {"type": "http.response.start", "status": self.status, "headers": [(b"content-type", kind), *inside]}
        )
        for number, part in enumerate(parts):
            if self.fails_after is not None and number >= self.fails_after:
                raise RuntimeError("LiteLLM broke")
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _answer(path: str) -> Any:
    if path == MESSAGES:
        return {
            "type": "message",
            "content": [{"type": "text", "text": "Hello"}],
            "usage": {"input_tokens": 11, "output_tokens": 5},
        }
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


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard()


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


class World:
    """The gate between a client and its fakes."""

    def __init__(self, guard: Guard, collector: Collector, folder: Path) -> None:
        self.secrets = folder
        public = KEY.as_pem(private=False).decode()
        deliver(folder, **{"assertion-public-key": public, "litellm-master-key": MASTER})
        deliver(folder, **{"custodian-record-token": "record-token"})
        self.upstream, self.custodian, self.collector = Upstream(), Custodian(), collector
        self.telemetry = Telemetry(collector.url)
        self.gate = Gate(
            app=self.upstream,
            policies=POLICIES,
            key=Delivered("assertion-public-key", folder),
            master_key=Delivered("litellm-master-key", folder),
            inner_key=INNER,
            salt=b"salt",
            guard=guard,
            records=Records(self.custodian.post, Delivered("custodian-record-token", folder)),
            telemetry=self.telemetry,
            max_bytes=2**20,
        )
        transport = httpx.ASGITransport(self.gate, raise_app_exceptions=False)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://litellm:4000")

    def headers(self, **changes: Any) -> dict[str, str]:
        return {"x-praxis-assertion": sign(about(**changes), KEY), "authorization": "Bearer sk-of-the-subject"}

    async def ask(self, path: str = CHAT, text: Any = "hi", headers: Any = None, **body: Any) -> httpx.Response:
        content = {"model": "small", "max_tokens": 5, "messages": [{"role": "user", "content": text}], **body}
        return await self.http.post(path, json=content, headers=self.headers() if headers is None else headers)

    def spans(self) -> Collector:
        self.telemetry.close()
        return self.collector


@pytest.fixture
async def world(guard: Guard, collector: Collector, tmp_path: Path) -> AsyncIterator[World]:
    made = World(guard, collector, tmp_path)
    yield made
    made.telemetry.close()


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
    return answer.status_code, str(body["error"]["code"])


class TestPassing:
    @BOTH
    async def test_recorded_before_and_after(self, world: World, path: str) -> None:
        seen: list[list[str]] = []
        world.upstream.before = lambda: seen.append([what for what, _ in world.custodian.told])
        assertion = about()
        answer = await world.ask(path, headers={"x-praxis-assertion": sign(assertion, KEY)})
        assert answer.status_code == 200
        assert answer.json() == _answer(path)
        assert answer.headers["x-praxis-trace-id"] == assertion.trace
        assert "x-litellm-model-api-base" not in answer.headers
        assert seen == [["admitted"]], "admitted is written before LiteLLM is asked"
        settled = world.custodian.only("settled")
        assert (settled["input_tokens"], settled["output_tokens"], settled["status"]) == (11, 5, 200)
        assert settled["guards"] == {"verdict": "clean", "findings": {}}
        assert len(world.custodian.only("admitted")["prompt_digest"]) == 64

    async def test_what_litellm_gets_and_what_it_does_not(self, world: World) -> None:
        extra = {
            "x-litellm-api-key": "sk-other",
            "X-LiteLLM-Tags": "a",
            "traceparent": "00-1-2-01",
            "x-api-key": "mine",
            "anthropic-beta": "b1",
        }
        await world.ask(MESSAGES, "grüße", headers={**world.headers(), **extra}, temperature=0.5)
        ((_, headers, body),) = world.upstream.asked
        assert "traceparent" not in headers
        assert not [name for name in headers if name.startswith("x-")], "LiteLLM would forward it to the provider"
        assert headers["anthropic-beta"] == "b1"
        assert headers["authorization"] == "Bearer sk-of-the-subject"
        assert (body["temperature"], body["messages"][0]["content"]) == (0.5, "grüße")
        assert int(headers["content-length"]) == len(json.dumps(body, ensure_ascii=False).encode())

    async def test_models_are_listed_without_a_record(self, world: World) -> None:
        world.upstream.content = {"data": [{"id": "small"}]}
        answer = await world.http.get("/v1/models", headers=world.headers())
        assert answer.json() == {"data": [{"id": "small"}]}
        assert answer.headers["x-praxis-trace-id"]
        assert world.custodian.told == []


class TestEntrance:
    @BOTH
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": "Bearer sk-of-the-subject"},
            {"authorization": "Bearer \u00ff"},
            {"authorization": MASTER},
            {"x-praxis-assertion": "", "authorization": f"Bearer {MASTER}"},
            {"x-praxis-assertion": "a.b.c", "authorization": f"Bearer {MASTER}"},
            {"x-praxis-assertion": sign(about(), OKPKey.generate_key("Ed25519"))},
            {"x-praxis-assertion": sign(about(), KEY, now=1_600_000_000)},
        ],
    )
    async def test_without_a_good_assertion(self, world: World, path: str, headers: dict[str, str]) -> None:
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        answer = await world.ask(path, headers=raw)
        assert answer.status_code == 401
        assert world.upstream.asked == []

    async def test_the_master_key_opens_the_admin_api(self, world: World) -> None:
        answer = await world.http.get("/key/info", headers={"authorization": f"Bearer {MASTER}"})
        assert answer.status_code == 200
        (_, headers, _) = world.upstream.asked[0]
        assert headers["authorization"] == f"Bearer {INNER}", "LiteLLM knows a master key of its own alone"

    async def test_a_new_master_key_counts_from_its_delivery_and_the_old_one_for_a_while(self, world: World) -> None:
        deliver(world.secrets, litellm_master_key="sk-new")
        for key, status in ((MASTER, 200), ("sk-new", 200), (INNER, 401), ("", 401)):
            answer = await world.http.get("/key/info", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == status, key

    async def test_a_new_assertion_key_counts_from_its_delivery_and_the_old_one_for_a_while(self, world: World) -> None:
        new = OKPKey.generate_key("Ed25519")
        deliver(world.secrets, assertion_public_key=new.as_pem(private=False).decode())
        for signer, status in ((KEY, 200), (new, 200), (OKPKey.generate_key("Ed25519"), 401)):
            headers = {**world.headers(), "x-praxis-assertion": sign(about(trace=secrets.token_hex(16)), signer)}
            assert (await world.ask(headers=headers)).status_code == status

    async def test_a_custodian_that_has_not_got_the_new_record_token_takes_the_old(self, world: World) -> None:
        deliver(world.secrets, custodian_record_token="newer")
        assert (await world.ask()).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/key/info"),
            ("POST", "/key/generate"),
            ("GET", "/v1/chat/completions"),
            ("POST", "/v1/models"),
            ("POST", "/v1/embeddings"),
            ("GET", "/"),
            ("POST", "/v1/messages/"),
            ("POST", "/chat/completions"),
        ],
    )
    async def test_an_asserted_request_gets_nothing_else(self, world: World, method: str, path: str) -> None:
        answer = await world.http.request(method, path, headers=world.headers())
        assert answer.status_code == 404
        assert world.upstream.asked == []

    async def test_no_websocket(self, world: World) -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        await world.gate({"type": "websocket", "path": "/v1/realtime", "headers": []}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]
        assert world.upstream.asked == []

    @BOTH
    async def test_another_policy_than_ours(self, world: World, path: str) -> None:
        answer = await world.ask(path, headers=world.headers(policy="0" * 64))
        assert answer.status_code == 503
        assert answer.headers["x-should-retry"] == "true"
        answer = await world.ask(path, headers=world.headers(role="gone"))
        assert answer.status_code == 403
        assert world.upstream.asked == []


class TestBody:
    @BOTH
    @pytest.mark.parametrize("model", ["large", "small,small", ["small"], None, "SMALL", "small ", 7, "x" * 5000])
    async def test_a_model_outside_the_role(self, world: World, path: str, model: Any) -> None:
        answer = await world.ask(path, model=model)
        assert answer.status_code == 403
        assert world.upstream.asked == []
        assert world.custodian.only("refused")["reason"] == "model_not_allowed"

    async def test_content_in_the_models_or_the_sessions_place_is_not_kept(self, world: World) -> None:
        for model in ("my card is 4111111111111111", "4111111111111111", AWS):
            await world.ask(model=model)
        await world.ask(headers={**world.headers(), "x-session-id": "4111111111111111"})
        await world.ask(headers={**world.headers(), "x-session-id": "a secret sentence"})
        everything = json.dumps(world.custodian.told) + "".join(str(span) for span in world.spans().spans)
        for value in ("4111", AWS, "secret sentence"):
            assert value not in everything

    @BOTH
    @pytest.mark.parametrize(
        "name",
        [
            "api_base",
            "api_key",
            "base_url",
            "fallbacks",
            "context_window_fallbacks",
            "mock_response",
            "litellm_params",
            "guardrails",
            "model_list",
            "custom_llm_provider",
            "extra_headers",
            "input_cost_per_token",
            "no-log",
            "tags",
        ],
    )
    async def test_what_only_the_gateway_may_say(self, world: World, path: str, name: str) -> None:
        answer = await world.ask(path, **{name: "x"})
        assert answer.status_code == 400
        assert name in answer.text
        assert world.upstream.asked == []

    async def test_what_both_apis_really_have_is_let_through(self, world: World) -> None:
        openai_ = ["temperature", "top_p", "n", "stop", "tools", "tool_choice", "response_format", "seed", "logit_bias"]
        openai_ += [
            "user",
            "metadata",
            "store",
            "reasoning_effort",
            "parallel_tool_calls",
            "stream_options",
            "modalities",
        ]
        openai_ += [
            "prediction",
            "service_tier",
            "safety_identifier",
            "prompt_cache_key",
            "verbosity",
            "web_search_options",
        ]
        anthropic_ = ["system", "stop_sequences", "thinking", "top_k", "container", "context_management", "mcp_servers"]
        for path, names in ((CHAT, openai_), (MESSAGES, anthropic_)):
            answer = await world.ask(path, **{name: {} for name in names})
            assert answer.status_code == 200, answer.text

    @BOTH
    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": "small", "x": "\\ud800"}', b"[" * 100_000],
        ids=["empty", "half", "list", "null", "text", "bytes", "surrogate", "deep"],
    )
    async def test_no_json_object(self, world: World, path: str, content: bytes) -> None:
        answer = await world.http.post(path, content=content, headers=world.headers())
        assert answer.status_code == 400
        assert world.upstream.asked == []

    @BOTH
    async def test_too_large(self, world: World, path: str) -> None:
        answer = await world.ask(path, "x" * 2**20)
        assert answer.status_code == 413
        if path == MESSAGES:
            assert answer.json()["error"]["type"] == "request_too_large"
        assert world.upstream.asked == []

    async def test_a_client_that_goes_away_while_sending(self, world: World) -> None:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in world.headers().items()]
        await world.gate({"type": "http", "method": "POST", "path": CHAT, "headers": headers}, receive, send)
        assert sent[0]["status"] == 400
        assert world.upstream.asked == []


class TestGuard:
    @BOTH
    async def test_a_credential_is_blocked_and_recorded_by_category(self, world: World, path: str) -> None:
        answer = await world.ask(path, f"my key is {AWS}")
        assert answer.status_code == 400
        assert "credential" in answer.text
        assert AWS not in answer.text
        assert world.upstream.asked == []
        record = world.custodian.only("refused")
        assert record["guards"] == {"verdict": "blocked", "findings": {"credential": 1}}
        assert AWS not in json.dumps(world.custodian.told)
        attributes = world.spans().attributes("guard input")
        assert attributes["praxis.guard.verdict"] == "blocked"
        assert AWS not in str(world.collector.spans)
        assert not [span for span in world.collector.spans if span.name.startswith("model ")]

    @BOTH
    async def test_a_card_is_masked_on_its_way_and_in_the_trace(self, world: World, path: str) -> None:
        answer = await world.ask(path, f"my card is {CARD}, what next?")
        assert answer.status_code == 200
        ((_, _, body),) = world.upstream.asked
        text = body["messages"][0]["content"]
        assert text.startswith("my card is [card:")
        assert text.endswith("], what next?")
        assert world.custodian.only("settled")["guards"] == {"verdict": "masked", "findings": {"card": 1}}
        root = world.spans().attributes("anthropic" if path == MESSAGES else "openai")
        assert "what next?" in root["input.value"]
        assert CARD not in str(world.collector.spans)

    async def test_a_guard_that_breaks_refuses(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any) -> Any:
            raise RuntimeError(CARD)

        monkeypatch.setattr(Guard, "apply", broken)
        for path in (CHAT, MESSAGES):
            answer = await world.ask(path)
            assert answer.status_code == 503
            assert CARD not in answer.text
        assert world.upstream.asked == []


class TestTicket:
    async def test_the_custodians_ticket_goes_on_and_the_callers_does_not(self, world: World) -> None:
        world.custodian.answers["admitted"] = {"ticket": "t-1"}
        await world.ask(headers={**world.headers(), "x-praxis-ticket": "forged"})
        ((_, headers, _),) = world.upstream.asked
        assert headers["x-praxis-ticket"] == "t-1"

    async def test_without_one_none_goes_on(self, world: World) -> None:
        await world.ask(headers={**world.headers(), "x-praxis-ticket": "forged"})
        ((_, headers, _),) = world.upstream.asked
        assert "x-praxis-ticket" not in headers

    @BOTH
    async def test_a_request_without_a_credential_to_go_with_is_refused_in_dialect(
        self, world: World, path: str
    ) -> None:
        world.custodian.statuses["admitted"] = 422
        refusal = {"code": "user_token_missing", "message": "bring your own", "status": 403, "retry": None}
        world.custodian.answers["admitted"] = refusal
        answer = await world.ask(path)
        assert (answer.status_code, answer.json()["error"]["message"]) == (403, "bring your own")
        assert world.custodian.only("refused")["reason"] == "user_token_missing"
        assert world.upstream.asked == []


class TestBudget:
    @BOTH
    async def test_what_the_ledger_refuses_is_said_in_dialect(self, world: World, path: str) -> None:
        refusal = {"code": "budget_exceeded", "message": "too dear", "status": 429, "retry": False}
        world.custodian.statuses["admitted"], world.custodian.answers["admitted"] = 422, refusal
        answer = await world.ask(path)
        assert (answer.status_code, answer.json()["error"]["message"]) == (429, "too dear")
        assert (answer.json()["error"]["type"], answer.headers["x-should-retry"]) == ("rate_limit_error", "false")
        assert (world.custodian.only("refused")["status"], world.upstream.asked) == (429, [])

    async def test_what_a_request_could_take_is_told_before_it_goes_out(self, world: World) -> None:
        await world.ask(text="x " * 400, n=2)
        estimate = world.custodian.only("admitted")["estimate"]
        assert (estimate["output_tokens"], estimate["answers"]) == (5, 2)
        assert 267 <= estimate["input_tokens"] <= 380

    async def test_what_a_cache_held_is_told_apart(self, world: World) -> None:
        usage = {
            "input_tokens": 5,
            "cache_read_input_tokens": 70,
            "cache_creation_input_tokens": 20,
            "output_tokens": 3,
        }
        world.upstream.content = {"type": "message", "content": [], "usage": usage}
        await world.ask(MESSAGES)
        told = world.custodian.only("settled")
        assert (told["input_tokens"], told["cache_read_tokens"], told["cache_write_tokens"]) == (95, 70, 20)

    async def test_openai_counts_it_inside(self, world: World) -> None:
        usage = {"prompt_tokens": 95, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 70}}
        world.upstream.content = {"choices": [], "usage": usage}
        await world.ask()
        told = world.custodian.only("settled")
        assert (told["input_tokens"], told["cache_read_tokens"], told["cache_write_tokens"]) == (95, 70, 0)


class TestRecords:
    @BOTH
    @pytest.mark.parametrize("status", [0, 400, 401, 409, 500, 503])
    async def test_what_is_not_admitted_does_not_go_on(self, world: World, path: str, status: int) -> None:
        world.custodian.statuses["admitted"] = status
        answer = await world.ask(path)
        assert answer.status_code == 503
        assert world.upstream.asked == []

    async def test_an_ending_that_was_not_taken_is_told_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "AGAIN_S", (0.02, 0.02, 0.02, 5.0))
        world.custodian.statuses["settled"] = 503
        answer = await world.ask()
        assert answer.status_code == 200, "the answer exists; the client is not punished"
        await asyncio.sleep(0.03)
        world.custodian.statuses.clear()
        await asyncio.sleep(0.2)
        assert world.custodian.only("settled")["output_tokens"] == 5

    async def test_an_ending_that_will_never_be_taken_is_told_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(records, "AGAIN_S", (0.01, 0.01))
        world.custodian.statuses["settled"] = 409
        await world.ask()
        world.custodian.statuses.clear()
        await asyncio.sleep(0.1)
        assert [what for what, _ in world.custodian.told] == ["admitted"]


def sse(*events: Any, done: bool = True) -> bytes:
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


def anthropic_sse(*events: dict[str, Any]) -> bytes:
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


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


class TestStreams:
    @pytest.mark.parametrize(("path", "stream"), [(CHAT, OPENAI_STREAM), (MESSAGES, ANTHROPIC_STREAM)])
    @pytest.mark.parametrize("size", [1, 7, 64, 100_000])
    async def test_counted_however_it_is_cut(self, world: World, path: str, stream: bytes, size: int) -> None:
        world.upstream.chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
        answer = await world.ask(path, stream=True)
        settled = world.custodian.only("settled")
        assert (settled["input_tokens"], settled["output_tokens"], settled["reason"]) == (21, 2, None)
        assert world.spans().attributes("model small")["output.value"] == "Hello"
        if path == MESSAGES:
            assert answer.content == stream

    async def test_the_count_that_only_we_asked_for_is_not_shown(self, world: World) -> None:
        world.upstream.chunks = [OPENAI_STREAM]
        answer = await world.ask(stream=True)
        assert world.upstream.asked[0][2]["stream_options"] == {"include_usage": True}
        assert b"usage" not in answer.content
        assert answer.content.endswith(b"data: [DONE]\n\n")
        answer = await world.ask(stream=True, stream_options={"include_usage": True})
        assert answer.content == OPENAI_STREAM

    @pytest.mark.parametrize(("path", "stream"), [(CHAT, OPENAI_STREAM), (MESSAGES, ANTHROPIC_STREAM)])
    async def test_settled_before_the_last_event_is_sent(self, world: World, path: str, stream: bytes) -> None:
        world.upstream.chunks = [stream]
        order: list[str] = []
        world.custodian.noted = order.append

        async def send(message: Any) -> None:
            if b"[DONE]" in message.get("body", b"") or b"message_stop" in message.get("body", b""):
                order.append("last event")

        sent = iter([{"type": "http.request", "body": json.dumps({"model": "small", "stream": True}).encode()}])

        async def receive() -> Any:
            return next(sent)

        headers = [(name.encode(), value.encode()) for name, value in world.headers().items()]
        await world.gate({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
        assert order == ["/records/admitted", "/records/settled", "last event"]

    async def test_breaking_off_is_not_free(self, world: World) -> None:
        """A stream that ends before its token counts is counted by what has passed."""
        world.upstream.chunks = [sse(*({"choices": [{"delta": {"content": "x"}}]} for _ in range(9)), done=False)] * 2
        world.upstream.fails_after = 1
        await world.ask(text="y" * 400, stream=True)
        settled = world.custodian.only("settled")
        assert (settled["output_tokens"], settled["reason"]) == (9, "usage_estimated")
        assert settled["input_tokens"] >= 100

    async def test_an_early_count_is_not_the_last_word(self, world: World) -> None:
        start = {"type": "message_start", "message": {"usage": {"input_tokens": 21, "output_tokens": 1}}}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}
        world.upstream.chunks = [anthropic_sse(start, *[delta] * 9)] * 2
        world.upstream.fails_after = 1
        await world.ask(MESSAGES, stream=True)
        settled = world.custodian.only("settled")
        assert (settled["input_tokens"], settled["output_tokens"], settled["reason"]) == (21, 9, "usage_estimated")

    async def test_breaking_before_the_answer_is_a_refusal(self, world: World) -> None:
        async def broken(*_: Any) -> None:
            raise RuntimeError(CARD)

        object.__setattr__(world.gate, "app", broken)
        for path in (CHAT, MESSAGES):
            answer = await world.ask(path)
            assert answer.status_code == 503
            assert CARD not in answer.text
        assert [body["status"] for what, body in world.custodian.told if what == "settled"] == [503, 503]

    @given(text=st.text(max_size=200), cuts=st.lists(st.integers(0, 400), max_size=12))
    def test_nothing_is_lost_in_cutting(self, text: str, cuts: list[int]) -> None:
        stream = sse({"choices": [{"delta": {"content": text}}]}, {"choices": [], "usage": {"prompt_tokens": 1}})
        usage = Usage()
        reader = Stream(Dialect.OPENAI, usage)
        edges = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
        out = b"".join(reader.feed(stream[a:b]) for a, b in itertools.pairwise(edges)) + reader.end()
        assert out == stream
        assert usage.text == text

    @given(chunks=st.lists(st.binary(max_size=60), max_size=10))
    def test_any_bytes_pass_unharmed(self, chunks: list[bytes]) -> None:
        for dialect in Dialect:
            reader = Stream(dialect, Usage())
            out = b"".join(reader.feed(chunk) for chunk in chunks) + reader.end()
            assert out.replace(b"\r\n", b"\n") == b"".join(chunks).replace(b"\r\n", b"\n")


class TestLiteLLMsRefusals:
    @pytest.mark.parametrize(
        ("status", "content", "expected", "retry"),
        [
            (
                422,
                {"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded", "code": "422"}},
                429,
                "false",
            ),
            (
                400,
                {"error": {"message": "Budget has been exceeded! Current cost: 1", "type": "budget_exceeded"}},
                429,
                "false",
            ),
            (
                403,
                {"error": {"message": "key not allowed to access model", "type": "key_model_access_denied"}},
                403,
                "false",
            ),
            (
                401,
                {"error": {"message": "Authentication Error, Invalid proxy server token", "code": "401"}},
                503,
                "true",
            ),
            (429, {"error": {"message": "Rate limit exceeded. Limit type: requests"}}, 429, "true"),
            (500, {"error": {"message": "boom"}}, 503, "true"),
            (502, "not json", 503, "true"),
            (400, {"detail": {"error": "bad request"}}, 400, "false"),
            (404, {"error": {"message": "model not found", "code": "404"}}, 404, "false"),
        ],
    )
    @BOTH
    async def test_in_the_callers_words(
        self, world: World, path: str, status: int, content: Any, expected: int, retry: str
    ) -> None:
        world.upstream.status, world.upstream.content = status, content
        answer = await world.ask(path)
        assert refusal(answer, path)[0] == expected
        assert answer.headers["x-should-retry"] == retry
        settled = world.custodian.only("settled")
        assert (settled["status"], settled["input_tokens"], settled["output_tokens"]) == (expected, 0, 0)

    async def test_a_forgotten_key_is_said_to_the_custodian(self, world: World) -> None:
        world.upstream.status, world.upstream.content = 401, {"error": {"message": "Invalid proxy server token"}}
        await world.ask()
        assert world.custodian.only("settled")["reason"] == "unknown_key"


class TestTelemetry:
    async def test_what_the_trace_store_reads(self, world: World) -> None:
        assertion = about(demo=True)
        headers = {"x-praxis-assertion": sign(assertion, KEY), "x-session-id": "session-7"}
        await world.ask(headers=headers)
        spans = world.spans().spans
        assert {span.trace_id.hex() for span in spans} == {assertion.trace}
        root = next(span for span in spans if not span.parent_span_id)
        assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
        attributes = world.collector.attributes("openai small")
        assert (attributes["user.id"], attributes["session.id"]) == ("alice", "session-7")
        assert (attributes["praxis.department"], attributes["praxis.role"]) == ("research", "engineer")
        assert (attributes["praxis.kind"], attributes["praxis.demo"]) == ("person", True)
        model = world.collector.attributes("model small")
        assert (model["gen_ai.usage.input_tokens"], model["gen_ai.usage.output_tokens"]) == (11, 5)
        assert json.loads(model["mlflow.llm.cost"])["total_cost"] == pytest.approx(21e-6)
        assert attributes["output.value"] == "Hello"

    async def test_a_collector_that_is_away_costs_no_request(self, guard: Guard, tmp_path: Path) -> None:
        away = Collector()
        away.close()
        world = World(guard, away, tmp_path)
        assert (await world.ask()).status_code == 200
