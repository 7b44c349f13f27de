"""Space that is set aside for the engine's state while a run changes it.

On a full disk the engine replaces its state by as much of the new one as fitted: the library that writes it
(gocloud.dev's ``fileblob``) closes a file whose write has failed as if it was whole. The engine tries ten times more
within half a minute, holding the state in memory. Space given back meanwhile lets one of these succeed, so that the
state knows everything that was made; then the run is ended, for what it needs next will find no space either.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from infra.cli.interrupted import interrupt
from infra.supply.engine import state_file, state_folder

SPARE_BYTES = 4 << 20
"""Ten times the state of a laptop's stack."""
POLL_S, TORN_POLL_S = 0.5, 0.05


@contextmanager
def spare(name: str) -> Iterator[None]:
    """Set it aside for the stack ``name``, and give it up when the state is torn. A state elsewhere needs none.

    Raises:
        OSError: the disk is full. At the begin: nothing was run. At the end: the run was ended, and its state is whole.
    """
    # A file without a name is gone with the process, however that ends.
    with TemporaryFile(dir=state_folder(), buffering=0) as kept:
        kept.write(os.urandom(SPARE_BYTES))  # some file systems give no space to zeros
        watch = _Watch(name, kept)
        watch.start()
        try:
            yield
        except Exception as error:
            watch.end()
            if watch.was_torn:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(state_folder())) from error
            raise
        finally:
            watch.end()


class _Watch:
    def __init__(self, name: str, kept: IO[bytes]) -> None:
        self.was_torn = False
        self._name, self._kept, self._state = name, kept, state_file(name)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="spare", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        seen = None
        while not self._ended.wait(TORN_POLL_S if self.was_torn else POLL_S):
            now = _version(self._state)
            if now == seen:
                continue
            seen = now
            if torn(self._state):
                self.was_torn = True
                self._kept.close()
            elif self.was_torn:
                interrupt(self._name)
                return


def torn(state: Path) -> bool:
    """Whether the file is there and does not hold a whole JSON document."""
    with suppress(FileNotFoundError):
        try:
            json.loads(state.read_bytes())
        except ValueError:
            return True
    return False


def _version(file: Path) -> tuple[int, int] | None:
    with suppress(FileNotFoundError):
        found = file.stat()
        return found.st_ino, found.st_mtime_ns
    return None
