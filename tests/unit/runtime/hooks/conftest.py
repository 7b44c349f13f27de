"""The gate, ready to be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.guards import Guard
from tests.unit.runtime.hooks.gate_world import (
    Collector,
    World,
)


@pytest.fixture(scope="session")
def guard() -> Guard:
    return Guard()


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.close()


@pytest.fixture
async def world(guard: Guard, collector: Collector, tmp_path: Path) -> AsyncIterator[World]:
    made = World(guard, collector, tmp_path)
    yield made
    made.telemetry.close()
