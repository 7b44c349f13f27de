"""Progress of long steps: what, which of how many, how long so far. One line a beat, so that a log reads well too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]

BEAT_S = 15.0


class Progress:
    """Counts steps and says of each that it began, that it still runs (every ``beat_s`` seconds) and that it ended.

    ``say`` takes one line. Safe to use from several threads; steps may overlap.
    """

    def __init__(self, say: Say, total: int, *, beat_s: float = BEAT_S) -> None:
        self._say = say
        self._total = total
        self._beat_s = beat_s
        self._lock = threading.Lock()
        self._begun = 0

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Around the work of one step. An error passes through; the step then reads as failed."""
        with self._lock:
            self._begun += 1
            head = f"[{self._begun}/{self._total}] {what}"
        begin = time.monotonic()
        ended = threading.Event()
        self._line(f"{head}: started")
        beat = threading.Thread(target=self._beat, args=(head, begin, ended), daemon=True)
        beat.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            ended.set()
            beat.join()
            self._line(f"{head}: {outcome} {time.monotonic() - begin:.0f} s")

    def _beat(self, head: str, begin: float, ended: threading.Event) -> None:
        while not ended.wait(self._beat_s):
            self._line(f"{head}: {time.monotonic() - begin:.0f} s so far")

    def _line(self, line: str) -> None:
        with self._lock:
            self._say(line)
