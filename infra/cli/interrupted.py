"""What a run leaves that was killed: its lock, its engine that may still work, and operations that it only began."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from infra.supply.engine import state_folder

RUN = "PRAXIS_RUN"
"""In an engine's environment: the process id of the command that started it."""
ENDS_WITHIN_S = 60.0
POLL_S = 0.1
LOCKS = Path(".pulumi", "locks")
"""Where the engine keeps them in the folder of its states."""


def free_locks(name: str, said: Callable[[str], None]) -> None:
    """Free the stack's locks of runs on this machine that are gone; a run that lives keeps its own.

    The engine writes who holds a lock (process id and host) into it. An engine whose command was killed goes on by
    itself: it is interrupted, so that it ends what it is at and begins nothing more, and it is waited for.
    """
    for file, pid in _locks(name):
        if alive(pid) and _orphaned(pid):
            said(f"the command of run {pid} was killed; interrupting its engine, and waiting for it to end")
            end(pid)
        if not alive(pid) and file.exists():
            file.unlink(missing_ok=True)
            said(f"freed the lock of run {pid}, which is gone")


def interrupt(name: str) -> None:
    """Have the engine that changes the stack end what it is at and begin nothing more, as Ctrl-C does."""
    for _, pid in _locks(name):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)


def _locks(name: str) -> Iterator[tuple[Path, int]]:
    for file in (state_folder() / LOCKS).rglob(f"{name}/*.json"):
        with suppress(FileNotFoundError, ValueError, KeyError):  # ended meanwhile, or half-written
            holder = json.loads(file.read_text(encoding="utf-8"))
            if holder["hostname"] == socket.gethostname():
                yield file, int(holder["pid"])


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _field(pid, "State") != "Z (zombie)"


def _orphaned(pid: int) -> bool:
    """Whether a command of ours started it and is no more its parent. Without ``/proc`` nobody can say so."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    runs = [entry.partition(b"=")[2].decode() for entry in environment if entry.startswith(f"{RUN}=".encode())]
    return bool(runs) and _field(pid, "PPid") not in ("", *runs)


def _field(pid: int, name: str) -> str:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
    return ""


def end(pid: int) -> None:
    """Interrupt the process, wait for its end, and kill it when it does not end in time."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
        until = time.monotonic() + ENDS_WITHIN_S
        while alive(pid) and time.monotonic() < until:
            time.sleep(POLL_S)
        os.kill(pid, signal.SIGKILL)
        while alive(pid):
            time.sleep(POLL_S)
