"""What a service of ours does before it starts: waits for its secrets, reads them, and hides its own memory.

As a program (``python3 -m runtime.with_secrets``) it is :mod:`runtime.with_secrets_cli`. Standard library only.
Secrets are files in a tmpfs, put there by :mod:`runtime.agent`; they never come by argument or
by the environment that a container is created with.
"""

from __future__ import annotations

import ctypes
import resource
import sys
import time
from pathlib import Path

FOLDER = Path("/run/secrets")
READY = ".ready"
_PR_SET_DUMPABLE = 4


def wait_for_secrets(folder: Path = FOLDER, timeout_s: float = 60) -> None:
    """Return when the agent has delivered everything.

    Exits with 1 and one line when it has not in time: the restart policy tries again.
    """
    until = time.monotonic() + timeout_s
    while not (folder / READY).exists():
        if time.monotonic() > until:
            sys.exit(f"no secrets in {folder} after {timeout_s:.0f} s: is the secrets agent running?")
        time.sleep(0.2)


def read_secret(name: str, folder: Path = FOLDER) -> str:
    """The secret delivered as ``name``.

    Exits with 1 and one line when it was not delivered; never with its value.
    """
    try:
        return (folder / name).read_text(encoding="utf-8")
    except OSError as error:
        sys.exit(f"secret '{name}' cannot be read: {error.strerror}")


def delivered_secret(name: str, folder: Path = FOLDER) -> str | None:
    """The secret as it is delivered now, so that a rotated one counts from its delivery; ``None`` without one."""
    try:
        return (folder / name).read_text(encoding="utf-8")
    except OSError:
        return None


def undumpable() -> None:
    """Close this process's memory and environment to others of the same uid (prctl(2), PR_SET_DUMPABLE), and
    write no core file. Lost at ``exec``: call it in the process that serves."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        sys.exit(f"prctl(PR_SET_DUMPABLE) failed: errno {ctypes.get_errno()}")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    from runtime.with_secrets_cli import main

    main()
