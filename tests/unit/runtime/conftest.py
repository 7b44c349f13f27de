"""A real PostgreSQL and a realm that signs real tokens, for the custodian's tests."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from runtime.contract import Policies
from tests.unit.runtime.realm import POLICIES

NOBODY = 65534


def _programs() -> Path | None:
    """Where ``initdb`` and ``postgres`` are: on PATH, or where Debian puts them."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """Folder of the socket of a server that the tests own; its superuser is ``custodian``."""
    programs = _programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed on this machine")
    folder = Path(tempfile.mkdtemp(prefix="praxis-pg-"))
    root = os.geteuid() == 0
    user = NOBODY if root else None  # PostgreSQL refuses to run as root
    if root:
        os.chown(folder, NOBODY, NOBODY)
    subprocess.run(
        [str(programs / "initdb"), "-D", "data", "-U", "custodian", "--auth=trust", "--no-sync"],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    settings = [f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off"]
    server = subprocess.Popen(
        [str(programs / "postgres"), "-D", "data", *(part for each in settings for part in ("-c", each))],
        stderr=subprocess.DEVNULL,
        user=user,
        cwd=folder,
    )
    try:
        yield folder
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown: it does not wait for clients
        server.wait(timeout=30)
        shutil.rmtree(folder)


@pytest.fixture
async def database_settings(postgres: Path) -> dict[str, str]:
    """An empty database of the test's own."""
    name = f"t{os.urandom(6).hex()}"
    connection = await _admin(postgres)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return {"host": str(postgres), "user": "custodian", "database": name, "password": "unused"}


async def _admin(folder: Path) -> asyncpg.Connection:
    for _ in range(100):
        try:
            return await asyncpg.connect(host=str(folder), user="custodian", database="postgres")
        except (OSError, asyncpg.CannotConnectNowError):
            await asyncio.sleep(0.1)
    raise AssertionError("the test's PostgreSQL does not answer")


@pytest.fixture
def policies() -> Policies:
    return POLICIES
