"""What a service of ours does before it starts: waits for its secrets, reads them, and hides its own memory.

As a program (``python3 -m runtime.with_secrets``) it is :mod:`runtime.with_secrets_cli`. Standard library only.
Secrets are files in a tmpfs, put there by :mod:`runtime.agent`; they never come by argument or
by the environment that a container is created with.
"""

from __future__ import annotations

import ctypes
import hmac
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

FOLDER = Path("/run/secrets")
READY = ".ready"
GRACE_S = 120.0
"""How long a value that was replaced is still taken, unless a caller says otherwise."""
KEEP_S = 3600.0
"""How long one is known at all."""
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


class Delivered:
    """A secret as it is delivered now: its file is read anew whenever it changed, so a rotation needs no restart.

    Who presents it takes :attr:`value`; who is shown it asks :meth:`matches`, or tries each of :meth:`accepted`:
    services are delivered to one after the other, and what was on its way may still carry the value before.

    Exits with 1 and one line when it is not there at first. While its file cannot be read later, the last value counts.
    """

    def __init__(self, name: str, folder: Path = FOLDER, *, clock: Callable[[], float] = time.time) -> None:
        self._name, self._path, self._clock = name, folder / name, clock
        self._seen: tuple[int, int] | None = None
        self._value = read_secret(name, folder)
        self._before: list[tuple[str, float]] = []
        self._look()

    def __repr__(self) -> str:
        return f"Delivered({self._name!r})"

    @property
    def value(self) -> str:
        """The present value."""
        self._look()
        return self._value

    def accepted(self, grace_s: float = GRACE_S) -> tuple[str, ...]:
        """The present value, and those that were replaced less than ``grace_s`` ago (an hour at most)."""
        self._look()
        since = self._clock() - grace_s
        return (self._value, *(value for value, replaced in self._before if replaced > since))

    def matches(self, given: str) -> bool:
        """Whether ``given`` is one of the accepted values."""
        return any(hmac.compare_digest(given.encode(), each.encode()) for each in self.accepted())

    def _look(self) -> None:
        try:
            now = self._path.stat()
            if (now.st_ino, now.st_mtime_ns) == self._seen:
                return
            value = self._path.read_text(encoding="utf-8")
        except OSError:
            return
        self._seen = (now.st_ino, now.st_mtime_ns)
        if value != self._value:
            # The file says when: nobody may have looked for a while.
            self._before.insert(0, (self._value, min(now.st_mtime, self._clock())))
            self._value = value
        self._before = [each for each in self._before if each[1] > self._clock() - KEEP_S]


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
