"""Tests of the engine with real containers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import daemon


@pytest.fixture(autouse=True, scope="package")
def _docker_stays() -> Iterator[None]:
    """Nobody ends the Docker daemon between two tests either: what is started for several of them stays."""
    with daemon.held(alone=False):
        yield
