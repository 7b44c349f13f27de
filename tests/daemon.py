"""This machine's Docker daemon, ended as an operator ends it, while nobody else of these tests needs it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from infra.supply.host import PID_FILE, SYSTEMD, docker_error

LOCK, TURN = (Path(tempfile.gettempdir()) / f"praxis-tests-docker.{what}" for what in ("lock", "turn"))
_Test = TypeVar("_Test", bound=Callable[..., None])


def may_end(test: _Test) -> _Test:
    """A decorator for tests that end the daemon: only where that is allowed, and alone (``tests/conftest.py``)."""
    return _where("PRAXIS_MAY_RESTART_DOCKER", "ends this machine's Docker daemon", test)


def may_be_killed(test: _Test) -> _Test:
    """As :func:`may_end`, for tests that kill the daemon while it works."""
    return _where("PRAXIS_MAY_KILL_DOCKER", "kills this machine's Docker daemon in the middle of up", test)


def _where(variable: str, what: str, test: _Test) -> _Test:
    allowed = pytest.mark.skipif(not os.environ.get(variable), reason=f"{what}: {variable}=1 allows it")
    marked: _Test = pytest.mark.ends_docker(allowed(test))
    return marked


def since() -> float:
    """When the daemon was started (seconds since 1970); 0 where it is not known."""
    return PID_FILE.stat().st_mtime if PID_FILE.exists() else 0


@contextmanager
def held(*, alone: bool) -> Iterator[None]:
    """The daemon stays, for others who hold it too; or (``alone``) it may be ended, once nobody else holds it."""
    with TURN.open("w") as turn, LOCK.open("w") as file:
        fcntl.flock(turn, fcntl.LOCK_EX)  # whoever waits to be alone lets nobody pass
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turn, fcntl.LOCK_UN)
        yield


def end(number: signal.Signals = signal.SIGTERM) -> None:
    """End the daemon by this signal, and wait until it answers no more."""
    if SYSTEMD.is_dir():
        if number is not signal.SIGTERM:
            subprocess.run(["systemctl", "kill", f"--signal={number.name}", "docker.service"], check=True)
        # With its socket: systemd would start it again for whoever asks.
        subprocess.run(["systemctl", "stop", "docker.service", "docker.socket"], check=True)
    else:
        os.kill(int(PID_FILE.read_text()), number)
    until = time.monotonic() + 60
    while not docker_error():
        assert time.monotonic() < until, "the daemon does not end"
        time.sleep(0.2)
