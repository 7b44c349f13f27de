"""What the collector sends to Langfuse, to the last byte: the rendered config, the real collector, a played server.

What that answers is Langfuse's own (its OpenAPI document and the OTLP specification): 200 with an empty message, 401
without the project's login, 503 while its stores are away.
"""

from __future__ import annotations

import base64
import gzip
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from components.blueprint import blueprint
from components.langfuse import PUBLIC_KEY
from infra.custody import recipes
from infra.supply.recipe import load
from tests.stacks import full

pytestmark = pytest.mark.timeout(600)
KEY = "sk-lf-canary-of-the-project"
PATIENCE_S = 30.0


@dataclass
class Langfuse:
    """Langfuse's OTLP endpoint. ``away``: how many requests it answers with 503 before it is there."""

    away: int = 0
    port: int = 0
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    def status(self, path: str, headers: dict[str, str]) -> int:
        if self.away:
            self.away -= 1
            return 503
        expected = base64.b64encode(f"{PUBLIC_KEY}:{KEY}".encode()).decode()
        if headers.get("authorization") != f"Basic {expected}":
            return 401
        return 200 if path == "/api/public/otel/v1/traces" else 404


@contextmanager
def listening(langfuse: Langfuse) -> Iterator[Langfuse]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers["content-length"]))
            status = langfuse.status(self.path, headers)
            langfuse.statuses.append(status)
            if status == 200:
                langfuse.heard.append((self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    langfuse.port = server.server_port
    try:
        yield langfuse
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


@contextmanager
def collecting(folder: Path, langfuse: Langfuse) -> Iterator[str]:
    """The real collector with the full profile's config, of which only addresses and folders are this test's own."""
    spec = blueprint(full(), "full")["collector"]
    login = recipes(full())["langfuse-login"].make({"langfuse-project-key": KEY})
    (folder / "langfuse-login").write_text(login)
    receiving, health = free_port(), free_port()
    text = spec.config_files["collector.yaml"]
    for old, new in (
        ("http://langfuse:3000", f"http://127.0.0.1:{langfuse.port}"),
        ("/run/secrets", str(folder)),
        ("/var/lib/collector", str(folder / "queue")),
        ("0.0.0.0:4318", f"127.0.0.1:{receiving}"),
        ("0.0.0.0:13133", f"127.0.0.1:{health}"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "collector.yaml").write_text(text)
    ((_, tool),) = load("collector", "source").tools
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [tool.build(), f"--config={folder / 'collector.yaml'}"],
            stdout=log,
            stderr=log,
            env={"GOMEMLIMIT": spec.env["GOMEMLIMIT"]},
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{health}/", trust_env=False).status_code == 200:
                    break
            except httpx.HTTPError:
                assert running.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{receiving}/v1/traces"
    finally:
        running.terminate()
        running.wait()


def span(trace: bytes) -> bytes:
    """One span as the hooks send it, of what Langfuse reads of it."""
    request = ExportTraceServiceRequest()
    made = request.resource_spans.add().scope_spans.add().spans.add()
    made.trace_id, made.span_id, made.name = trace, b"\x01" * 8, "openai smollm2"
    made.start_time_unix_nano, made.end_time_unix_nano = 1, 2
    for key, value in {"user.id": "alice", "session.id": "s-1", "input.value": "hello", "output.value": "hi"}.items():
        made.attributes.append(KeyValue(key=key, value=AnyValue(string_value=value)))
    return request.SerializeToString()


def send(url: str, trace: bytes) -> None:
    answer = httpx.post(
        url, content=span(trace), headers={"Content-Type": "application/x-protobuf"}, trust_env=False, timeout=10
    )
    assert answer.status_code == 200, answer.text


def wait_for(langfuse: Langfuse) -> tuple[str, dict[str, str], ExportTraceServiceRequest]:
    until = time.monotonic() + PATIENCE_S
    while not langfuse.heard:
        assert time.monotonic() < until, langfuse.statuses
        time.sleep(0.1)
    path, headers, body = langfuse.heard[0]
    request = ExportTraceServiceRequest()
    request.ParseFromString(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
    return path, headers, request


def test_a_span_arrives_with_the_projects_login_and_the_new_ingestion(tmp_path: Path) -> None:
    with listening(Langfuse()) as langfuse, collecting(tmp_path, langfuse) as url:
        send(url, b"\x02" * 16)
        path, headers, request = wait_for(langfuse)
    assert path == "/api/public/otel/v1/traces"
    assert headers["x-langfuse-ingestion-version"] == "4"
    assert headers["content-type"] == "application/x-protobuf"
    (arrived,) = request.resource_spans[0].scope_spans[0].spans
    assert arrived.trace_id == b"\x02" * 16
    assert {each.key: each.value.string_value for each in arrived.attributes} == {
        "user.id": "alice", "session.id": "s-1", "input.value": "hello", "output.value": "hi"
    }  # fmt: skip
    assert KEY not in (tmp_path / "collector.yaml").read_text()
    assert KEY not in (tmp_path / "log").read_text()


def test_a_span_waits_while_langfuse_is_away(tmp_path: Path) -> None:
    with listening(Langfuse(away=2)) as langfuse, collecting(tmp_path, langfuse) as url:
        send(url, b"\x03" * 16)
        _, _, request = wait_for(langfuse)
    assert langfuse.statuses[:3] == [503, 503, 200]
    assert request.resource_spans[0].scope_spans[0].spans[0].trace_id == b"\x03" * 16


@pytest.mark.not_run("Langfuse 4 itself, ClickHouse and SeaweedFS: their images are in no package registry")
def test_langfuse_shows_what_it_was_sent() -> None:
    """The full profile on real images: a request's span in Langfuse's pages, signed in by the realm."""
    raise NotImplementedError
