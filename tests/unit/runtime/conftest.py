"""A real PostgreSQL and a realm that signs real tokens, for the custodian's tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from runtime.contract import Policies
from tests.postgres import NoServerError, server
from tests.unit.runtime.realm import POLICIES


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """Folder of the socket of a server that the tests own; its superuser is ``custodian``."""
    try:
        with server(durable=False) as folder:
            yield folder
    except NoServerError as error:
        pytest.skip(str(error))


@pytest.fixture
async def database_settings(postgres: Path) -> dict[str, str]:
    """An empty database of the test's own."""
    name = f"t{os.urandom(6).hex()}"
    connection = await asyncpg.connect(host=str(postgres), user="custodian", database="postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return {"host": str(postgres), "user": "custodian", "database": name, "password": "unused"}


@pytest.fixture
def policies() -> Policies:
    return POLICIES
