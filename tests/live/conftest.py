"""The proof stack, up for all live tests and destroyed after them; and the provider that it reaches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import daemon
from tests import provider as tests_provider
from tests.between import Between
from tests.proof import ANTHROPIC_KEY, GEMINI_KEY, NAME, OPENAI_KEY, Proof, declare
from tests.provider import Provider


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the provider's certificate is; a stack that stays up between runs goes on trusting the same one."""
    if kept := os.environ.get("PRAXIS_KEEP_PROOF"):
        folder = Path(kept)
        folder.mkdir(exist_ok=True)
        return folder
    return tmp_path_factory.mktemp("certificates", numbered=True)


@pytest.fixture(scope="session")
def proof(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[Proof]:
    stacks: Path = tmp_path_factory.mktemp("stacks")
    certificates.chmod(0o755)
    declare(stacks, tests_provider.certify(certificates))
    running = Proof(stacks, [])
    keep = bool(
        os.environ.get("PRAXIS_KEEP_PROOF")
    )  # a folder; for work on the tests: the stack stays for the next run
    if not keep:
        running.praxis("down", NAME, "--yes", check=False)  # what an interrupted run may have left
    running.praxis("secrets", "set", NAME, "anthropic-api-key", stdin=ANTHROPIC_KEY)
    running.praxis("secrets", "set", NAME, "openai-api-key", stdin=OPENAI_KEY)
    running.praxis("secrets", "set", NAME, "gemini-api-key", stdin=GEMINI_KEY)
    running.praxis("up", NAME)
    yield running
    if not keep:
        running.praxis("down", NAME, "--yes")


@pytest.fixture(scope="session")
def seen() -> list[float]:
    """Starts of the Docker daemon that these tests know of."""
    return [daemon.since()]


@pytest.fixture(autouse=True)
def _back(request: pytest.FixtureRequest, seen: list[float]) -> None:
    """Where another worker's test has ended the daemon, the stack is on its way back."""
    if (now := daemon.since()) not in seen and "proof" in request.fixturenames:
        request.getfixturevalue("proof").wait_until_ready(300)
        seen.append(now)


@pytest.fixture(scope="session")
def provider(proof: Proof, certificates: Path) -> Iterator[Provider]:
    """Anthropic, OpenAI and Google, as the proof stack's egress reaches them."""
    running = tests_provider.start(NAME, certificates)
    yield running
    running.container.remove(force=True)


@pytest.fixture
def between(proof: Proof) -> Iterator[Between]:
    """A place before the gateway, where a client's requests can be seen."""
    made = Between(proof.url)
    yield made
    made.close()


@pytest.fixture(scope="session")
def alice(proof: Proof) -> str:
    """A virtual key of alice's: unlike an access token it lasts as long as the tests."""
    return proof.token("alice", "--kind", "virtual-key")


@pytest.fixture(scope="session")
def bob(proof: Proof) -> str:
    return proof.token("bob", "--kind", "virtual-key")
