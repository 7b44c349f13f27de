"""The published schema of our own plugin, held to its code, and the SDK module held to the schema."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

import pytest

from components.resources import litellm as sdk
from config import versions
from infra.plugins.litellm.provider import LiteLLM, schema
from infra.plugins.litellm.rows import Row
from infra.plugins.standins import schema as rules

PLUGIN = LiteLLM()
ARGS = {
    "litellm:index:Budget": sdk.BudgetArgs,
    "litellm:index:Model": sdk.ModelArgs,
    "litellm:index:Team": sdk.TeamArgs,
}
PYTHON = {"string": "str", "number": "float", "integer": "int", "boolean": "bool"}

every_type = pytest.mark.parametrize("token", sorted(PLUGIN.served))


def test_everything_in_the_schema_is_served_and_nothing_else() -> None:
    assert PLUGIN.served.keys() == schema()["resources"].keys() == ARGS.keys()


def test_one_version_everywhere() -> None:
    assert schema()["version"] == PLUGIN.version == versions.PULUMI_LITELLM


@every_type
def test_every_property_is_acted_on(token: str) -> None:
    kind, known = PLUGIN.served[token], PLUGIN.rules(token)
    assert isinstance(kind, Row)
    assert known.inputs.keys() == kind.supported == known.outputs
    assert kind.key in known.required
    assert {kind.key} == known.replaces
    assert kind.exact | kind.none_if_absent | kind.sets | kind.amounts | kind.unread <= kind.supported
    assert {known.inputs[name]["type"] for name in kind.amounts} <= {"number", "integer"}
    assert {name for name, rule in known.inputs.items() if rule["type"] in ("number", "integer")} == kind.amounts
    assert kind.unread == known.secrets


@every_type
def test_everything_says_what_it_means(token: str) -> None:
    found = schema()["resources"][token]
    assert "is adopted and set as declared" in found["description"]
    assert f"`pulumi import {token} NAME" in found["description"]
    for name, rule in {**found["inputProperties"], **found["properties"]}.items():
        assert rule["description"].endswith("."), name
    assert found["inputProperties"] == found["properties"]


def test_the_settings_are_the_schema_s_and_the_sdk_s() -> None:
    known = rules.settings(schema())
    assert known.inputs.keys() == PLUGIN.supported_settings == {field.name for field in fields(sdk.ProviderArgs)}
    assert known.inputs == schema()["config"]["variables"]
    assert known.secrets == PLUGIN.secret_settings
    assert known.required == {field.name for field in fields(sdk.ProviderArgs) if field.default is MISSING}


def annotation(rule: Mapping[str, Any], *, required: bool) -> str:
    """How the SDK has to annotate a property."""
    if rule["type"] == "array":
        inner = f"Sequence[pulumi.Input[{PYTHON[rule['items']['type']]}]]"
    elif rule["type"] == "object":
        inner = f"Mapping[str, pulumi.Input[{PYTHON[rule['additionalProperties']['type']]}]]"
    else:
        inner = PYTHON[rule["type"]]
    return f"pulumi.Input[{inner}]" if required else f"pulumi.Input[{inner}] | None"


@every_type
def test_the_sdk_has_the_schema_s_properties(token: str) -> None:
    known, args = PLUGIN.rules(token), ARGS[token]
    wanted = {name: annotation(rule, required=name in known.required) for name, rule in known.inputs.items()}
    assert {field.name: field.type for field in fields(args)} == wanted
    assert {field.name for field in fields(args) if field.default is MISSING} == known.required


@every_type
def test_the_sdk_s_class_is_the_schema_s_type(token: str) -> None:
    assert f'"{token}"' in inspect.getsource(getattr(sdk, token.rpartition(":")[2]))
