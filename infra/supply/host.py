"""What the host must have: a Docker daemon that answers, and a few programs. Gets what it may, says the rest."""

from __future__ import annotations

import os
import shutil
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


def ensure_programs(packages: dict[str, str], say: Say) -> None:
    """``packages``: program -> Debian packages that bring it. Installs what is missing. Raises :class:`SupplyError`."""
    # Where daemons live is not on everybody's PATH.
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
    missing = [packages[program] for program in packages if shutil.which(program, path=path) is None]
    if not missing:
        return
    words = " ".join(missing).split()
    by_hand = f"sudo apt-get install {' '.join(words)}"
    if shutil.which("apt-get") is None:
        raise SupplyError(
            f"missing on this host: {', '.join(words)}", fix="install them with this system's own package tool"
        )
    say(f"missing on this host: {', '.join(words)}; installing (apt-get)")
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *words]):
        run(
            [*_as_root(by_hand), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", *command],
            what=f"installing {', '.join(words)}",
            log=cache() / "logs/apt.log",
        )


def _as_root(by_hand: str) -> Sequence[str]:
    """The words that make a command run as root. Raises :class:`SupplyError` where nothing does."""
    if os.geteuid() == 0:
        return ()
    sudo = shutil.which("sudo")
    if sudo is None:
        raise SupplyError("installing needs root, and there is no sudo", fix=by_hand)
    if subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return (sudo, "-n")
    if not sys.stdin.isatty():
        raise SupplyError("installing needs root, and sudo wants a password", fix=by_hand)
    subprocess.run([sudo, "-v"], check=False)
    return (sudo,)


def _start_docker(say: Say) -> None:
    """Start the daemon by the service manager, or by hand where none runs, and wait until it answers."""
    if not docker_error():
        return
    say("starting the Docker daemon")
    log = cache() / "logs/dockerd.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    root = _as_root("start the Docker daemon (dockerd)")
    if SYSTEMD.is_dir():
        run([*root, "systemctl", "enable", "--now", "docker"], what="starting Docker", log=log)
    else:
        _forget_dead_daemon(root)
        with log.open("ab") as out:
            subprocess.Popen(
                [*root, "dockerd"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
    deadline = time.monotonic() + START_S
    while error := docker_error():
        if time.monotonic() > deadline:
            raise SupplyError(
                f"the Docker daemon does not answer after its start: {error}\n{tail(log)}", fix=f"see {log}"
            )
        time.sleep(0.5)


def _forget_dead_daemon(root: Sequence[str]) -> None:
    """A killed daemon leaves its pid file; while another process has that number, a new daemon refuses to start."""
    try:
        pid = int(PID_FILE.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return
    try:
        alive = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "dockerd"
    except OSError:
        alive = False
    if not alive:
        subprocess.run([*root, "rm", "-f", str(PID_FILE)], check=False)
