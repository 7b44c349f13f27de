"""When Python looks for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from runtime import garbage


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_it_looks_seldom_and_not_at_what_was_there() -> None:
    gc.disable()
    there = [[] for _ in range(1000)]
    garbage.seldom()
    assert gc.isenabled()
    assert gc.get_threshold()[0] == garbage.OBJECTS
    assert gc.get_freeze_count() > len(there)


def test_it_still_looks() -> None:
    garbage.seldom()
    before = sum(generation["collected"] for generation in gc.get_stats())
    for _ in range(garbage.OBJECTS * 3):
        ring: list[object] = []
        ring.append(ring)
    assert sum(generation["collected"] for generation in gc.get_stats()) > before
