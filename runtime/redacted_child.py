"""Runs a command as a child and redacts what it prints: the part of ``with-secrets --redact`` that stays.

Standard library only. Two threads carry the two streams; the first thread forwards signals and reaps.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from runtime.redaction import Patterns, Redactor

CHUNK = 65_536
DRAIN_S = 5.0
"""How long to go on writing to somebody who does not read, once the command has ended."""
PIPE_BYTES = 1_048_576
"""No pipe holds more: so much is read after the command's end, even if a process that it left behind goes on."""
NOT_FORWARDED = frozenset(
    getattr(signal, f"SIG{name}")
    # What cannot be caught, what a fault in this process raises, and what the terminal's job control does by itself.
    for name in ("KILL", "STOP", "CHLD", "SEGV", "BUS", "FPE", "ILL", "TRAP", "PIPE", "TSTP", "TTIN", "TTOU")
)
FORWARDED = frozenset(signal.Signals) - NOT_FORWARDED


class Watched:
    """The secrets in a folder, as patterns; those of a later delivery join them, and the old ones stay."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._seen = -1
        self._values: dict[str, set[bytes]] = {}
        self._patterns = Patterns(())

    def patterns(self) -> Patterns:
        """The present ones. A delivery renames files into the folder, which changes its time."""
        with self._lock, suppress(OSError):
            changed = self._folder.stat().st_mtime_ns
            if changed != self._seen:
                self._read()
                self._seen = changed
        return self._patterns

    def _read(self) -> None:
        size = sum(map(len, self._values.values()))
        for path in sorted(self._folder.iterdir()):
            if not path.name.startswith("."):
                with suppress(OSError):
                    self._values.setdefault(path.name, set()).add(path.read_bytes())
        if sum(map(len, self._values.values())) != size:
            self._patterns = Patterns(
                [(name, value) for name, values in self._values.items() for value in sorted(values)]
            )


class Stream:
    """One of the child's two outputs on its way to ours."""

    def __init__(self, sink: int, watched: Watched) -> None:
        self.source, self.inlet = os.pipe()
        self._sink, self._watched = sink, watched
        self._redactor = Redactor(watched.patterns())

    def carry(self, ended: int) -> None:
        """Until the child's side is closed, or ``ended`` is and the pipe is empty."""
        with suppress(BrokenPipeError):  # nobody reads: the child is told by the same signal as without us
            self._read_all(ended)
            self._write(self._redactor.finish())
        os.close(self.source)

    def _read_all(self, ended: int) -> None:
        poller = select.poll()
        poller.register(self.source, select.POLLIN)
        poller.register(ended, select.POLLIN)
        while not any(descriptor == ended for descriptor, _ in poller.poll()):
            chunk = os.read(self.source, CHUNK)
            if not chunk:
                return
            self._redact(chunk)
        os.set_blocking(self.source, False)
        left = PIPE_BYTES
        with suppress(BlockingIOError):
            while left > 0 and (chunk := os.read(self.source, CHUNK)):
                self._redact(chunk)
                left -= len(chunk)

    def _redact(self, chunk: bytes) -> None:
        self._redactor.patterns = self._watched.patterns()
        self._write(self._redactor.feed(chunk))

    def _write(self, text: bytes) -> None:
        rest = memoryview(text)
        while rest:
            try:
                rest = rest[os.write(self._sink, rest) :]
            except BlockingIOError:
                select.select([], [self._sink], [])


def run(command: Sequence[str], environment: Mapping[str, str], watched: Watched, handed: Sequence[int] = ()) -> int:
    """Run ``command`` to its end; its exit status, or 128 + n when signal n ended it.

    Args:
        handed: descriptors that are the child's alone; they are closed here.

    Raises:
        OSError: it cannot be started.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED | {signal.SIGCHLD})
    streams = (Stream(1, watched), Stream(2, watched))
    child = os.posix_spawnp(
        command[0],
        list(command),
        dict(environment),
        file_actions=[(os.POSIX_SPAWN_DUP2, stream.inlet, sink) for sink, stream in enumerate(streams, 1)],
        setsigmask=before,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    for descriptor in (*handed, *(stream.inlet for stream in streams)):
        os.close(descriptor)
    ended, end = os.pipe()
    threads = [threading.Thread(target=stream.carry, args=(ended,), daemon=True) for stream in streams]
    for thread in threads:
        thread.start()
    status = _wait(child)
    os.close(end)
    for thread in threads:
        thread.join(DRAIN_S)
    return status


def _wait(child: int) -> int:
    """Forward signals and reap whatever ends, until ``child`` has."""
    while True:
        told = signal.sigwaitinfo(FORWARDED | {signal.SIGCHLD})
        # What the terminal sends (from the kernel: a code above 0), it sends to the child as well.
        if told.si_signo != signal.SIGCHLD:
            if told.si_code <= 0:
                with suppress(PermissionError):  # it has become another user, which only its own signals reach
                    os.kill(child, told.si_signo)
            continue
        while (reaped := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if reaped[0] == child:
                code = os.waitstatus_to_exitcode(reaped[1])
                return code if code >= 0 else 128 - code
