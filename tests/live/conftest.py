"""The proof stack, up for all live tests and destroyed after them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof import NAME, Proof, declare


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    stacks: Path = tmp_path_factory.mktemp("stacks")
    declare(stacks)
    running = Proof(stacks, [])
    keep = bool(os.environ.get("PRAXIS_KEEP_PROOF"))  # for work on the tests: the stack stays for the next run
    if not keep:
        running.praxis("down", NAME, "--yes", check=False)  # what an interrupted run may have left
    running.praxis("up", NAME)
    yield running
    if not keep:
        running.praxis("down", NAME, "--yes")


@pytest.fixture(scope="session")
def alice(proof: Proof) -> str:
    """A virtual key of alice's: unlike an access token it lasts as long as the tests."""
    return proof.token("alice", "--kind", "virtual-key")


@pytest.fixture(scope="session")
def bob(proof: Proof) -> str:
    return proof.token("bob", "--kind", "virtual-key")
