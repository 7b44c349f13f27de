"""A real PostgreSQL and a realm that signs real tokens, for the custodian's tests."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from runtime.contract import Policies
from tests.places import OTHER_HOST, KeyVault, certified, served
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
async def database_settings(postgres: Path) -> AsyncIterator[dict[str, str]]:
    """An empty database of the test's own."""
    name = f"t{os.urandom(6).hex()}"
    connection = await asyncpg.connect(host=str(postgres), user="custodian", database="postgres")
    await connection.execute(f"CREATE DATABASE {name}")
    yield {"host": str(postgres), "user": "custodian", "database": name, "password": "unused"}
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def policies() -> Policies:
    return POLICIES


@pytest.fixture
def key_vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeyVault]:
    """A vault of Azure under its own name: over TLS, on this host."""
    vault, asked = KeyVault(), socket.getaddrinfo
    (tmp_path / "tls").mkdir()
    context, authority = certified(tmp_path / "tls", vault.host, OTHER_HOST)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    with served(vault, context) as port:

        def here(host: Any, service: Any, *arguments: Any, **named: Any) -> Any:
            found = ("127.0.0.1", port) if host == vault.host else (host, service)
            return asked(*found, *arguments, **named)

        monkeypatch.setattr(socket, "getaddrinfo", here)
        yield vault
