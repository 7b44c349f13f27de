"""What an interrupted run was making in Keycloak."""

from __future__ import annotations

import httpx
import pytest

from infra.cli import begun
from infra.cli.begun import take_away
from infra.plugins.standins.keycloak.settings import Settings
from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.keycloak.everything import Everything
from tests.engine.plugins.keycloak_server import Server

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


def test_what_an_interrupted_run_was_making_is_taken_away(deploy: Deployer, server: Server, unique: str) -> None:
    stack = deploy(Everything(server, unique))
    stack.up()
    pending = [
        {"type": "creating", "resource": {"type": one["type"], "inputs": one["inputs"]}}
        for one in stack.state()
        if one["type"].startswith("keycloak:") and not one["type"].endswith(("Realm", "ClientScope"))
    ]
    take_away({"pending_operations": pending}, Settings(url=server.url, username=server.user, password=server.password))
    assert server.ask("GET", f"/{unique}/users") == []
    assert server.ask("GET", f"/{unique}/groups") == []
    assert not {"people", "agent"} & {client["clientId"] for client in server.ask("GET", f"/{unique}/clients")}
    assert not {"engineer", "auditor"} & {role["name"] for role in server.ask("GET", f"/{unique}/roles")}
    scope = next(each for each in server.ask("GET", f"/{unique}/client-scopes") if each["name"] == "claims")
    assert not scope.get("protocolMappers")


def test_what_was_not_being_made_or_cannot_be_reached_is_left(
    server: Server, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.ask("POST", "", {"realm": unique})
    one = {"type": "keycloak:index/realm:Realm", "inputs": {"realm": unique}}
    away = Settings(url="http://127.0.0.1:9", username="a", password="b")
    there = Settings(url=server.url, username=server.user, password=server.password)
    take_away({"pending_operations": [{"type": "updating", "resource": one}]}, there)
    take_away({}, there)
    assert server.ask("GET", f"/{unique}")["realm"] == unique
    take_away({"pending_operations": [{"type": "creating", "resource": one}]}, there)
    with pytest.raises(httpx.HTTPStatusError):
        server.ask("GET", f"/{unique}")
    monkeypatch.setattr(begun, "PATIENCE_S", 0.2)
    take_away({"pending_operations": [{"type": "creating", "resource": one}]}, away)
