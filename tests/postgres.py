"""A PostgreSQL server of the tests' own, from the programs that are installed on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534
MEMORY = Path("/dev/shm")


class NoServerError(Exception):
    """No PostgreSQL server is installed here."""


def _programs() -> Path:
    """Where ``initdb`` and ``postgres`` are: on PATH, or where Debian puts them."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "postgres").exists():
            return place
    raise NoServerError("no PostgreSQL server is installed on this machine")


@contextmanager
def server(*, durable: bool) -> Iterator[Path]:
    """Folder of the socket of a running server; its superuser is ``custodian``.

    Args:
        durable: whether a commit waits for the disk; for tests it need not.

    Raises:
        NoServerError: there are no programs for it.
    """
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="praxis-pg-", dir=MEMORY if MEMORY.is_dir() and not durable else None))
    root = os.geteuid() == 0
    user = NOBODY if root else None  # PostgreSQL refuses to run as root
    if root:
        os.chown(folder, NOBODY, NOBODY)
    command = [str(programs / "initdb"), "-D", "data", "-U", "custodian", "--auth=trust", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)
    settings = [f"unix_socket_directories={folder}", "listen_addresses=", f"fsync={'on' if durable else 'off'}"]
    running = subprocess.Popen(
        [str(programs / "postgres"), "-D", "data", *(part for each in settings for part in ("-c", each))],
        stderr=subprocess.DEVNULL,
        user=user,
        cwd=folder,
    )
    try:
        _wait_for(folder / "data" / "postmaster.pid")
        yield folder
    finally:
        running.send_signal(signal.SIGQUIT)  # an immediate shutdown: it waits for nobody and writes nothing more
        running.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_for(pid_file: Path) -> None:
    """The last line of the file says how far the server is."""
    until = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text(encoding="ascii").rstrip().endswith("ready")):
        if time.monotonic() > until:
            raise NoServerError("the PostgreSQL server does not start")
        time.sleep(0.05)
