"""A state that is still in the folder is not forgotten for a new place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.cli.engine import without
from infra.supply.engine import state_file
from tests.unit.cli.conftest import Praxis


@pytest.mark.parametrize("command", ["env", "down"])
def test_a_state_that_was_not_moved_stops_everything(praxis: Praxis, tmp_path: Path, command: str) -> None:
    for name in ("anthropic-api-key", "openai-api-key"):
        praxis("secrets", "set", "t", name, stdin="x" * 20)
    stack = tmp_path / "stacks" / "t.yaml"
    stack.write_text(stack.read_text() + "\nstate:\n  backend: s3://bucket/praxis\n")
    kept = state_file("t")
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    refused = praxis(command, "t", *(["--yes"] if command == "down" else []))
    assert refused.exit_code == 1
    assert f"the state of stack 't' is still in {kept}, not in s3://bucket/praxis" in refused.output
    assert "docs/how-to/keep-state-elsewhere.md" in refused.output
    assert kept.read_text() == "{}"


def resource(token: str, name: str, **more: Any) -> dict[str, Any]:
    return {"urn": f"urn:pulumi:t::praxis::{token}::{name}", "type": token, **more}


def test_what_is_inside_keycloak_is_left_out_of_a_state() -> None:
    realm = resource("keycloak:index/realm:Realm", "realm")
    network = resource("docker:index/network:Network", "front")
    container = resource(
        "docker:index/container:Container",
        "custodian",
        inputs={"name": "custodian"},
        dependencies=[realm["urn"], network["urn"]],
        propertyDependencies={"envs": [realm["urn"]], "networks": [network["urn"]], "image": None},
    )
    component = resource("praxis:identity:Realm", "inner")
    provider = resource("pulumi:providers:keycloak", "admin")
    left = without([component, provider, realm, network, container], ("keycloak", "litellm"))
    assert [one["urn"] for one in left] == [component["urn"], network["urn"], container["urn"]]
    assert left[-1]["dependencies"] == [network["urn"]]
    assert left[-1]["propertyDependencies"] == {"envs": [], "networks": [network["urn"]], "image": []}
    assert left[-1]["inputs"] == {"name": "custodian"}
