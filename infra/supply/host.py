"""What the host must have: a Docker daemon that answers, and a few programs. Gets what it may, says the rest."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import docker
from docker.errors import DockerException

from infra.paths import cache
from infra.supply.process import SupplyError, run, tail
from infra.supply.progress import Say
from infra.supply.root import as_root, ensure_programs

DOCKER_TIMEOUT_S = 1800
"""The daemon says nothing while a layer is written."""
START_S = 60
SYSTEMD = Path("/run/systemd/system")
PID_FILE = Path("/var/run/docker.pid")


def docker_error(timeout_s: int = 5) -> str:
    """Why the Docker daemon does not answer; empty if it does."""
    try:
        client = docker.from_env(timeout=timeout_s)
        client.ping()
        client.close()
    except (DockerException, OSError) as error:
        return str(error)
    return ""


def connect() -> docker.DockerClient:
    """The Docker daemon of this machine or of ``DOCKER_HOST``. Raises :class:`SupplyError` if it does not answer."""
    try:
        client = docker.from_env(timeout=DOCKER_TIMEOUT_S)
        client.ping()
    except DockerException as error:
        raise SupplyError(f"the Docker daemon does not answer: {error}", fix="start it; ./praxis doctor") from None
    return client


def port_error(port: int) -> str:
    """Why this port of the loopback cannot be listened on; empty if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def ensure_docker(say: Say) -> None:
    """A Docker daemon that answers, installed and started if this host lets us. Raises :class:`SupplyError`."""
    error = docker_error()
    if not error:
        return
    if "Permission denied" in error:
        raise SupplyError(
            "you may not use the Docker daemon", fix="usermod -aG docker $USER, log in again; or use sudo"
        )
    if os.environ.get("DOCKER_HOST") or sys.platform != "linux":
        raise SupplyError(f"the Docker daemon does not answer: {error}", fix="start Docker, then run this again")
    ensure_programs({"dockerd": "docker.io", "iptables": "iptables"}, say)
    _start_docker(say)


def _start_docker(say: Say) -> None:
    """Start the daemon by the service manager, or by hand where none runs, and wait until it answers."""
    if not docker_error():
        return
    say("starting the Docker daemon")
    log = cache() / "logs/dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    root = as_root("start the Docker daemon (dockerd)")
    started = None
    if SYSTEMD.is_dir():
        run([*root, "systemctl", "enable", "--now", "docker"], what="starting Docker", log=log)
    else:
        started = _dockerd(root, log)
    deadline = time.monotonic() + START_S
    while error := docker_error():
        if time.monotonic() > deadline:
            raise SupplyError(
                f"the Docker daemon does not answer after its start: {error}\n{tail(log)}", fix=f"see {log}"
            )
        if started and started.poll() is not None:
            # The containerd of a daemon that was killed lives a moment longer; who meets it then gives up.
            started = _dockerd(root, log)
        time.sleep(0.5)


def _dockerd(root: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A daemon in a session of its own, that outlives us."""
    _forget_dead_daemon(root)
    with log.open("ab") as out:
        return subprocess.Popen(
            [*root, "dockerd"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def _forget_dead_daemon(root: Sequence[str]) -> None:
    """A killed daemon leaves its pid file; while another process has that number, a new daemon refuses to start.

    One that is just ending is waited for.
    """
    deadline = time.monotonic() + START_S
    while (pid := _daemon()) is not None and docker_error():
        if time.monotonic() > deadline:
            raise SupplyError(f"the Docker daemon (process {pid}) runs and does not answer", fix=f"kill {pid}")
        time.sleep(0.2)
    if pid is None and PID_FILE.exists():
        subprocess.run([*root, "rm", "-f", str(PID_FILE)], check=False)


def _daemon() -> int | None:
    """Process id of the daemon that the pid file tells of, if it lives."""
    try:
        pid = int(PID_FILE.read_text(encoding="ascii"))
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return pid if name == "dockerd" else None
