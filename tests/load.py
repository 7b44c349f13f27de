"""Steady requests beside what is done to the stack."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.proof import Proof

PAUSE_S = 0.5
THREADS = 3


@dataclass
class Load:
    """What steady requests came to: when each began, and its status (0: no answer)."""

    results: list[tuple[float, int]] = field(default_factory=list)

    @property
    def lost(self) -> list[tuple[float, int]]:
        return [result for result in self.results if result[1] != 200]


@contextmanager
def load(proof: Proof, credential: str, model: str = "smollm2") -> Iterator[Load]:
    """Six requests a second, from before to after what is done within."""
    told, over = Load(), threading.Event()

    def ask() -> None:
        while not over.is_set():
            begun = time.monotonic()
            try:
                status = proof.ask(credential, "Say hello.", model=model, max_tokens=1).status_code
            except httpx.HTTPError:
                status = 0
            told.results.append((begun, status))
            over.wait(max(0.0, PAUSE_S - (time.monotonic() - begun)))

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(2)
        yield told
        time.sleep(3)
    finally:
        over.set()
        for thread in threads:
            thread.join()
