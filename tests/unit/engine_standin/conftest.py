"""A PostgreSQL of our own image and the engine stand-in over it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker
import pytest

from infra.supply.built import built_images
from infra.supply.host import docker_error
from infra.supply.process import SupplyError
from tests import daemon
from tests.unit.engine_standin.harness import ROLES, UID, Database, Engine, free_port, install, migrate, wait_until


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "soak: takes minutes; run with -m soak")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the long tests only when they are asked for."""
    if "soak" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with -m soak"))


@pytest.fixture(autouse=True, scope="package")
def _docker_stays() -> Iterator[None]:
    """Nobody ends the Docker daemon meanwhile: PostgreSQL is a container, which all of these tests share."""
    with daemon.held(alone=False):
        yield


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The engine as it stands in the image."""
    if not shutil.which("npm"):
        pytest.skip("needs Node with npm")
    return install(tmp_path_factory.mktemp("standin"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """PostgreSQL with nothing in it."""
    if reason := docker_error():
        pytest.skip(f"no Docker daemon: {reason}")
    try:
        image = built_images()["postgres"]
    except (SupplyError, KeyError) as error:
        pytest.skip(f"the image of PostgreSQL has not been built: {error}")
    folder = tmp_path_factory.mktemp("postgres")
    secrets, etc = folder / "secrets", folder / "etc"
    secrets.mkdir(mode=0o755)
    etc.mkdir(mode=0o755)
    for name in ("postgres", *(f"{role}-db" for role in ROLES)):
        (secrets / f"{name}-password").write_text(uuid4().hex)
    (secrets / ".ready").touch()
    (etc / "databases").write_text("".join(f"{role}\n" for role in ROLES))
    port = free_port()
    client = docker.from_env()
    container = client.containers.run(
        image,
        detach=True,
        name=f"praxis-test-engine-{uuid4().hex[:8]}",
        user=f"{UID}:{UID}",
        ports={"5432/tcp": ("127.0.0.1", port)},
        volumes={
            str(secrets): {"bind": "/run/secrets", "mode": "ro"},
            str(etc): {"bind": "/etc/praxis", "mode": "ro"},
        },
        tmpfs={"/tmp": ""},
    )
    try:
        database = Database(container, port, secrets / "litellm-db-password")
        database.wait()
        yield database
    finally:
        container.remove(force=True, v=True)
        client.close()


@pytest.fixture(scope="session")
def database(engine_folder: Path, empty_database: Database) -> Database:
    """PostgreSQL with the tables."""
    done = migrate(engine_folder, empty_database)
    assert done.returncode == 0, done.stderr
    return empty_database


@pytest.fixture(scope="session")
def shared_engine(engine_folder: Path, database: Database) -> Iterator[Engine]:
    """One engine for all tests that do not end it."""
    engine = Engine(engine_folder, database.environment)
    try:
        wait_until(engine.ready, 10, "the engine")
        yield engine
    finally:
        engine.close()


@pytest.fixture
def engine(shared_engine: Engine, database: Database) -> Engine:
    """The shared engine over empty tables."""
    database.sql('DELETE FROM "LiteLLM_VerificationToken"; DELETE FROM "LiteLLM_BudgetTable"')
    return shared_engine
