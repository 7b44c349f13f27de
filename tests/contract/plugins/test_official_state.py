"""The fixture of the official plugins' state is made of what their schemas know, and has every type that we use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.plugins.standins.core import StandIn
from infra.plugins.standins.docker.provider import DockerStandIn
from infra.plugins.standins.keycloak.provider import KeycloakStandIn
from infra.plugins.standins.schema import ResourceSchema

FIXTURE = Path(__file__).parents[2] / "engine/plugins/data/official.json"
UNUSED = {
    "docker:index/remoteImage:RemoteImage",
    "keycloak:openid/hardcodedClaimProtocolMapper:HardcodedClaimProtocolMapper",
}
"""Served, and in no stack."""
STANDINS: dict[str, StandIn] = {"docker": DockerStandIn(), "keycloak": KeycloakStandIn()}
RESOURCES: list[dict[str, Any]] = [
    one
    for one in json.loads(FIXTURE.read_text(encoding="utf-8"))["deployment"]["resources"]
    if one["type"].partition(":")[0] in STANDINS
]
every_resource = pytest.mark.parametrize("one", RESOURCES, ids=lambda one: one["urn"].split("::")[-1])


def rules(one: dict[str, Any]) -> ResourceSchema:
    return STANDINS[one["type"].partition(":")[0]].rules(str(one["type"]))


def test_every_type_that_a_stack_has_is_in_it() -> None:
    served = {token for standin in STANDINS.values() for token in standin.served}
    assert {one["type"] for one in RESOURCES} == served - UNUSED


@every_resource
def test_it_holds_what_the_schema_knows_and_nothing_else(one: dict[str, Any]) -> None:
    schema = rules(one)
    assert set(one["inputs"]) - {"__defaults"} <= schema.inputs.keys()
    assert set(one["outputs"]) - {"id", "__meta"} <= schema.raw["properties"].keys()
    assert set(one["inputs"]["__defaults"]) <= one["inputs"].keys()


@every_resource
def test_every_output_that_is_always_there_is_there(one: dict[str, Any]) -> None:
    assert set(rules(one).raw.get("required", ())) <= one["outputs"].keys()


@every_resource
def test_what_the_plugin_filled_in_is_what_a_program_would_leave_out(one: dict[str, Any]) -> None:
    kind = STANDINS[one["type"].partition(":")[0]].type_of(one["type"])
    filled = {key: one["inputs"][key] for key in one["inputs"]["__defaults"]}
    assert filled.keys() <= kind.defaults.keys() | {"import"}
    assert {key: kind.defaults[key] for key in filled if key in kind.defaults} == {
        key: value for key, value in filled.items() if key in kind.defaults
    }
