"""The programs that images start by, run as they are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

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


WEED = """#!/bin/bash
# Plays SeaweedFS: knows two of the options, keeps its buckets in a file, and its shell always ends with 0.
folder=${0%/*}
case "$*" in
"server -h") echo "  -master.telemetry  -s3.iam"; exit 2 ;;
*shell*)
    read -r command
    case $command in
    s3.bucket.list) sed 's/^/  /; s/$/ size:0/' "$folder/buckets" ;;
    *) if [[ -e $folder/ready ]]; then echo "${command##* }" >>"$folder/buckets"; else touch "$folder/ready"; fi ;;
    esac ;;
*)
    echo "$*" >"$folder/options"
    trap 'echo stopped; exit 0' TERM
    while :; do sleep 0.1; done ;;
esac
"""


@pytest.fixture
def played_weed(tmp_path: Path) -> Path:
    (tmp_path / "weed").write_text(WEED)
    (tmp_path / "weed").chmod(0o755)
    (tmp_path / "buckets").write_text("another\n")
    return tmp_path


def test_the_object_store_makes_its_bucket_and_ends_when_told(played_weed: Path) -> None:
    marker = Path("/tmp/.bucket")
    marker.unlink(missing_ok=True)
    environment = {"PATH": f"{played_weed}:{os.environ['PATH']}", "BUCKET": "langfuse"}
    with subprocess.Popen([IMAGES / "objects/start"], env=environment, stdout=subprocess.PIPE, text=True) as running:
        until = time.monotonic() + 20
        while not marker.exists():
            assert running.poll() is None
            assert time.monotonic() < until
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert running.stdout is not None
        assert running.stdout.read() == "stopped\n"
    marker.unlink()
    assert running.returncode == 0
    assert (played_weed / "buckets").read_text() == "another\nlangfuse\n"
    options = (played_weed / "options").read_text().split()
    assert {"-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0", "-master.telemetry=false", "-s3.iam=false"} <= set(options)
    assert not [option for option in options if "iceberg" in option], "an option that this version does not know"
