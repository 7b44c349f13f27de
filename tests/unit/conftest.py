"""A played cluster, for tests of the store in several rooms."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import Cluster, kubeconfig, served


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def way(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig that leads to it."""
    with served(cluster) as port:
        yield kubeconfig(tmp_path / "kubeconfig", port)
