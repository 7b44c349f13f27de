"""When Python looks for garbage, in a process that serves."""

from __future__ import annotations

import gc

OBJECTS = 50_000
"""So many more than there were before, and it looks. By itself it does so at 700, dozens of times in a request of
LiteLLM's, though nearly all of what a request makes goes without being looked for."""


def seldom() -> None:
    """From now on. What is there already is out of sight: to look through LiteLLM's modules takes most of a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)
    gc.enable()
