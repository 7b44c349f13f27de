"""The two programs that every image has, run as they are."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.supply.recipe import IMAGES

PROBE = IMAGES / "base/probe"


class Health(BaseHTTPRequestHandler):
    """200 for /up, 503 for /down, nothing for /slow."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(5)
        self.send_response({"/up": 204}.get(self.path, 503))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def probe(*words: object) -> int:
    return subprocess.run([PROBE, *map(str, words)], capture_output=True, timeout=10, check=False).returncode


def test_probe_tells_ready_from_not(port: int) -> None:
    assert probe(port, "/up") == 0
    assert probe(port, "/down") == 1
    assert probe(port) == 0


def test_probe_gives_up_in_three_seconds(port: int) -> None:
    begin = time.monotonic()
    assert probe(port, "/slow") == 1
    assert 2.5 < time.monotonic() - begin < 4.5


def test_probe_of_a_closed_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    assert probe(number) == 1
    assert probe(number, "/up") == 1


def test_probe_used_wrongly() -> None:
    assert probe() == 2
    assert probe(1, "/a", "b") == 2
