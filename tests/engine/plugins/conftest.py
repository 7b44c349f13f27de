"""What the tests of the stand-ins share: an engine, the daemon, an image that is there already."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from pulumi import automation

from infra.supply.built import built_images
from tests.engine.plugins.harness import Deployment, Engine, Program, engine_in, environment

LABEL = "praxis.stack"


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(folder).items():
            patch.setenv(name, value)
        yield engine_in(folder)


@pytest.fixture(scope="session")
def daemon() -> docker.DockerClient:
    return docker.from_env()


@pytest.fixture(scope="session")
def image(daemon: docker.DockerClient) -> Iterator[str]:
    """The id of an image with a shell: one of the stack's own, held by a name so that nobody prunes it meanwhile."""
    found, name = built_images()["runtime"], f"praxis-test/plugins:{secrets.token_hex(4)}"
    daemon.api.tag(found, name)
    yield found
    daemon.api.remove_image(name)


@pytest.fixture
def unique() -> str:
    """The name of this test's stack, and the start of all its names outside."""
    return f"plugins-{secrets.token_hex(4)}"


@pytest.fixture
def deploy(engine: Engine, unique: str, daemon: docker.DockerClient) -> Iterator[Deployer]:
    """Makes the test's one stack; nothing is left of it at the end, whatever happened."""
    deployer = Deployer(engine, unique)
    yield deployer
    deployer.clean_up()
    for container in daemon.containers.list(all=True, filters={"name": unique}):
        container.remove(v=True, force=True)
    for network in daemon.networks.list(names=[unique]):
        network.remove()
    for volume in daemon.volumes.list(filters={"name": unique}):
        volume.remove(force=True)


class Deployer:
    """Called with a program, gives its deployment."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._made: Deployment | None = None

    def __call__(self, program: Program) -> Deployment:
        self._made = self._engine.deploy(self._name, program)
        return self._made

    @property
    def folder(self) -> Path:
        """State and plugins of the engine."""
        return self._engine.folder

    def clean_up(self) -> None:
        """Destroy what was made."""
        if self._made is None:
            return
        stack = self._made.stack
        try:
            stack.destroy(show_secrets=False)
        except automation.CommandError:
            stack.cancel()
        stack.workspace.remove_stack(self._name, force=True)
