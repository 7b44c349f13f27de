"""What starts Langfuse: waits for secrets, gives them as variables, hides them in what is printed; and its probe."""

from __future__ import annotations

import base64
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.supply.recipe import IMAGES

NODE = shutil.which("node") or ""
LAUNCH, PROBE = IMAGES / "langfuse/launch.mjs", IMAGES / "langfuse/probe.mjs"
pytestmark = pytest.mark.skipif(not NODE, reason="no node on this machine")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for name, value in (("SALT", "grain-of-salt"), ("DATABASE_URL", "postgresql://langfuse:pass-word-1@db:5432/x")):
        (tmp_path / name).write_text(value)
    (tmp_path / "users.acl").write_text("not a variable")
    (tmp_path / ".ready").touch()
    return tmp_path


def launched(folder: Path, *command: str, wait_s: str = "1") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PRAXIS_SECRETS": str(folder), "PRAXIS_WAIT_S": wait_s, "OWN": "kept"}
    return subprocess.run(
        [NODE, LAUNCH, *command], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


def test_secrets_are_variables_of_the_program_and_its_own_stay(secrets: Path) -> None:
    told = 'test "$SALT" = grain-of-salt && test "$OWN" = kept && test "${DATABASE_URL#*@}" = db:5432/x'
    script = f"{told} && env | grep -c acl"
    done = launched(secrets, "sh", "-c", script)
    assert done.stdout == "0\n"
    assert done.returncode == 1, "grep's own status comes through"


def test_what_it_prints_holds_no_secret_in_any_of_its_forms(secrets: Path) -> None:
    encoded = base64.b64encode(b"grain-of-salt").decode()
    script = f'echo "one $SALT two"; echo "$DATABASE_URL" >&2; echo pass-word-1; echo {encoded}'
    done = launched(secrets, "sh", "-c", script)
    assert done.stdout == "one [SALT] two\n[DATABASE_URL]\n[SALT]\n"
    assert done.stderr == "[DATABASE_URL]\n"


def test_without_secrets_it_ends_with_one_line(tmp_path: Path) -> None:
    done = launched(tmp_path, "true", wait_s="0.3")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "no secrets were delivered" in done.stderr


def test_a_program_that_is_not_there(secrets: Path) -> None:
    done = launched(secrets, "no-such-program")
    assert done.returncode == 127
    assert done.stderr == "no-such-program cannot be run: ENOENT\n"


def test_a_signal_reaches_the_program_and_its_end_is_told(secrets: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PRAXIS_SECRETS": str(secrets)}
    script = "trap 'echo ending; exit 7' TERM; echo up; while :; do sleep 0.1; done"
    with subprocess.Popen(
        [NODE, LAUNCH, "sh", "-c", script], env=environment, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        running.send_signal(signal.SIGTERM)
        assert running.stdout.read() == "ending\n"
    assert running.returncode == 7


def test_both_programs_are_started_by_the_same() -> None:
    for name in ("launch.mjs", "probe.mjs"):
        assert (IMAGES / "langfuse-worker" / name).resolve() == IMAGES / "langfuse" / name


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def probed(port: int, path: str) -> int:
    return subprocess.run([NODE, PROBE, str(port), path], timeout=30, check=False).returncode


def test_the_probe_goes_by_the_status(port: int) -> None:
    assert probed(port, "/api/health") == 0
    assert probed(port, "/other") == 1


def test_the_probe_of_a_closed_port() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = int(free.getsockname()[1])
    assert probed(closed, "/") == 1
