"""The search in the trace store's container, run as it runs there, over a played MLflow.

Taken from MLflow 3.17.2: ``SearchTracesV3`` of its protocol, ``_search_traces_v3`` of server/handlers.py, and the keys
of tracing/constant.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.cli.console import CommandError
from infra.reconcile import traces
from infra.reconcile.books import Item, Sums

PROMPT = "what-was-asked-canary"
BEGINS = datetime(2026, 3, 1, tzinfo=UTC)
ENDS = BEGINS + timedelta(days=1)
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def told(trace: str = TRACE, **metadata: str) -> dict[str, Any]:
    """A trace as MLflow tells it, with what was asked and answered in it."""
    return {
        "trace_id": f"tr-{trace}",
        "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}},
        "request_time": "2026-03-01T12:00:00.250Z",
        "execution_duration": "1.904s",
        "state": "OK",
        "request_preview": PROMPT,
        "response_preview": PROMPT,
        "trace_metadata": {"mlflow.trace_schema.version": "3", "mlflow.trace.user": "alice", **metadata},
        "tags": {"mlflow.traceName": "openai small"},
    }


TOKENS = {"mlflow.trace.tokenUsage": json.dumps({"input_tokens": 7, "output_tokens": 3, "total_tokens": 10})}
COST = {"mlflow.trace.cost": json.dumps({"input_cost": 2.1e-05, "output_cost": 4.5e-05, "total_cost": 6.6e-05})}


@dataclass
class PlayedMLflow:
    """``pages``: what it gives, one after the other."""

    pages: list[list[dict[str, Any]]] = field(default_factory=lambda: [[]])
    asked: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    port: int = 0

    def answer(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if path != "/ajax-api/3.0/mlflow/traces/search":
            return 404, {}
        self.asked.append(body)
        number = int(body.get("page_token", "0"))
        more = {"next_page_token": str(number + 1)} if number + 1 < len(self.pages) else {}
        return self.status, ({"traces": self.pages[number]} if self.pages[number] else {}) | more


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedMLflow]:
    played = PlayedMLflow()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, said = played.answer(self.path, json.loads(self.rfile.read(int(self.headers["content-length"]))))
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def run_in(stack: str, service: str, command: list[str], stdin: str = "") -> str:
        assert (stack, service, command[0]) == ("t", "mlflow", "python3")
        done = subprocess.run([sys.executable, *command[1:]], input=stdin, capture_output=True, text=True, check=False)
        assert PROMPT not in done.stdout + done.stderr, "no content leaves the store"
        if done.returncode:
            raise CommandError(f"python3 in '{service}' fails: {done.stderr[-300:]}")
        return done.stdout

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    monkeypatch.setattr(traces, "run_in", run_in)
    monkeypatch.setattr(traces, "URL", traces.URL.replace(":5000", f":{server.server_port}"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    yield played
    server.shutdown()
    server.server_close()


def test_a_trace_is_read_and_its_content_is_not(mlflow: PlayedMLflow) -> None:
    mlflow.pages = [[told(**TOKENS, **COST)]]
    assert list(traces.traces("t", BEGINS, ENDS)) == [
        Item(
            id=f"tr-{TRACE}",
            trace=TRACE,
            subject="alice",
            time=BEGINS + timedelta(hours=12, milliseconds=250),
            took=Sums(requests=1, input_tokens=7, output_tokens=3, usd=Decimal("0.000066")),
        )
    ]
    (asked,) = mlflow.asked
    assert asked["filter"] == "timestamp_ms >= 1772323200000 AND timestamp_ms < 1772409600000"
    assert asked["locations"][0]["mlflow_experiment"] == {"experiment_id": "1"}
    assert asked["max_results"] <= 500, "MLflow refuses more"


@pytest.mark.parametrize(
    ("metadata", "has"),
    [({}, frozenset[str]()), (TOKENS, frozenset({"tokens"})), (COST, frozenset({"usd"}))],
)
def test_what_a_trace_does_not_have_is_not_told(
    mlflow: PlayedMLflow, metadata: dict[str, str], has: frozenset[str]
) -> None:
    mlflow.pages = [[told(**metadata)]]
    (item,) = traces.traces("t", BEGINS, ENDS)
    assert item.told == has


def test_page_by_page(mlflow: PlayedMLflow) -> None:
    ids = [f"{number:032x}" for number in range(5)]
    again = told(ids[1])  # one came late, and moved it
    mlflow.pages = [[told(ids[0]), told(ids[1])], [again, told(ids[2]), told(ids[3])], [told(ids[4])]]
    assert [item.trace for item in traces.traces("t", BEGINS, ENDS)] == ids
    assert [asked.get("page_token") for asked in mlflow.asked] == [None, "1", "2"]


def test_an_empty_store(mlflow: PlayedMLflow) -> None:
    assert list(traces.traces("t", BEGINS, ENDS)) == []


def test_a_store_that_fails_is_no_empty_one(mlflow: PlayedMLflow) -> None:
    mlflow.pages, mlflow.status = [[told()]], 500
    with pytest.raises(CommandError, match="mlflow"):
        list(traces.traces("t", BEGINS, ENDS))
