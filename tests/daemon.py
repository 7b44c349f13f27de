"""This machine's Docker daemon, ended as an operator ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from infra.supply.host import PID_FILE, SYSTEMD, docker_error

may_end = pytest.mark.skipif(
    not os.environ.get("PRAXIS_MAY_RESTART_DOCKER"),
    reason="ends this machine's Docker daemon: PRAXIS_MAY_RESTART_DOCKER=1 allows it",
)

may_be_killed = pytest.mark.skipif(
    not os.environ.get("PRAXIS_MAY_KILL_DOCKER"),
    reason="kills this machine's Docker daemon in the middle of up: PRAXIS_MAY_KILL_DOCKER=1 allows it",
)


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
