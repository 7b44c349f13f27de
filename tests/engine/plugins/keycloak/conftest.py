"""A Keycloak for all tests of this folder, and no realm that is left behind in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.plugins.keycloak_server import Server, running


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_realm_is_left(server: Server, unique: str) -> Iterator[None]:
    yield
    if any(realm["realm"] == unique for realm in server.ask("GET", "")):
        server.ask("DELETE", f"/{unique}")
