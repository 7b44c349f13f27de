"""Every type that a stand-in serves, held to the official schema and to the SDK that programs use."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi_docker
import pulumi_keycloak
import pytest
from pulumi._types import input_type_py_to_pulumi_names

from config import versions
from infra.plugins.standins import schema as schemas
from infra.plugins.standins.core import StandIn
from infra.plugins.standins.docker.provider import DockerStandIn
from infra.plugins.standins.keycloak.provider import KeycloakStandIn
from infra.plugins.standins.kinds import ResourceType
from infra.plugins.standins.schema import ResourceSchema

STANDINS: tuple[StandIn, ...] = (DockerStandIn(), KeycloakStandIn())
SDKS = {"docker": pulumi_docker, "keycloak": pulumi_keycloak}

Served = tuple[ResourceType, ResourceSchema]


def served() -> Iterator[Served]:
    for standin in STANDINS:
        for token, kind in standin.served.items():
            yield kind, standin.rules(token)


every_type = pytest.mark.parametrize(("kind", "rules"), list(served()), ids=lambda value: getattr(value, "token", ""))


def rule_at(rules: ResourceSchema, path: str) -> dict[str, Any]:
    """The schema's rule for a dotted path. Raises ``KeyError`` if the schema has no such property."""
    first, *steps = path.split(".")
    rule: Any = {**rules.raw["properties"], **rules.inputs}[first]
    for step in steps:
        nested = rules.nested(rule)
        if nested is None:
            raise KeyError(path)
        rule = nested["properties"][step]
    return dict(rule)


def args_of(token: str) -> type:
    """The SDK's arguments class for a type."""
    package, module, name = re.fullmatch(r"(\w+):(\w+)/\w+:(\w+)", token).groups()  # type: ignore[union-attr]  # a type token
    home = SDKS[package] if module == "index" else importlib.import_module(f"pulumi_{package}.{module}")
    found: type = getattr(home, f"{name}Args")
    return found


def test_the_types_the_program_uses_are_served() -> None:
    names = {token for standin in STANDINS for token in standin.served}
    assert names == {
        "docker:index/container:Container",
        "docker:index/network:Network",
        "docker:index/remoteImage:RemoteImage",
        "docker:index/volume:Volume",
        "keycloak:authentication/bindings:Bindings",
        "keycloak:authentication/execution:Execution",
        "keycloak:authentication/executionConfig:ExecutionConfig",
        "keycloak:authentication/flow:Flow",
        "keycloak:authentication/subflow:Subflow",
        "keycloak:index/customIdentityProviderMapping:CustomIdentityProviderMapping",
        "keycloak:index/group:Group",
        "keycloak:index/realm:Realm",
        "keycloak:index/realmEvents:RealmEvents",
        "keycloak:index/role:Role",
        "keycloak:index/user:User",
        "keycloak:index/userGroups:UserGroups",
        "keycloak:index/userRoles:UserRoles",
        "keycloak:oidc/identityProvider:IdentityProvider",
        "keycloak:openid/audienceProtocolMapper:AudienceProtocolMapper",
        "keycloak:openid/client:Client",
        "keycloak:openid/clientDefaultScopes:ClientDefaultScopes",
        "keycloak:openid/clientOptionalScopes:ClientOptionalScopes",
        "keycloak:openid/clientScope:ClientScope",
        "keycloak:openid/clientServiceAccountRealmRole:ClientServiceAccountRealmRole",
        "keycloak:openid/clientServiceAccountRole:ClientServiceAccountRole",
        "keycloak:openid/groupMembershipProtocolMapper:GroupMembershipProtocolMapper",
        "keycloak:openid/hardcodedClaimProtocolMapper:HardcodedClaimProtocolMapper",
        "keycloak:openid/userRealmRoleProtocolMapper:UserRealmRoleProtocolMapper",
        "keycloak:saml/identityProvider:IdentityProvider",
    }


def test_the_schemas_are_those_of_the_pinned_sdks() -> None:
    assert {type(one).__name__: one.version for one in STANDINS} == {
        "DockerStandIn": versions.PULUMI_DOCKER,
        "KeycloakStandIn": versions.PULUMI_KEYCLOAK,
    }
    for package, sdk in SDKS.items():
        installed = json.loads((Path(str(sdk.__file__)).parent / "pulumi-plugin.json").read_text(encoding="utf-8"))
        assert installed["version"] == schemas.load(package)["version"]


@every_type
def test_the_schema_has_the_properties_that_the_sdk_sends(kind: ResourceType, rules: ResourceSchema) -> None:
    assert set(rules.inputs) == set(input_type_py_to_pulumi_names(args_of(kind.token)).values())


@every_type
def test_no_table_names_a_property_that_the_schema_lacks(kind: ResourceType, rules: ResourceSchema) -> None:
    assert kind.supported <= rules.inputs.keys()
    for path in {*kind.unsupported, *kind.sets, *kind.computed, *kind.durations, *kind.create_only, *kind.defaults}:
        rule_at(rules, path)
    for path, defaults in kind.nested_defaults.items():
        for name in defaults:
            rule_at(rules, f"{path}.{name}")
    for changed, outputs in kind.recomputed.items():
        assert changed in kind.supported
        assert outputs <= kind.computed
    fields = getattr(kind, "fields", {})
    assert fields.keys() <= {*rules.inputs, *rules.outputs}


@every_type
def test_what_must_be_given_is_supported(kind: ResourceType, rules: ResourceSchema) -> None:
    assert rules.required <= kind.supported


@every_type
def test_sets_are_lists_and_durations_are_texts(kind: ResourceType, rules: ResourceSchema) -> None:
    assert {rule_at(rules, path)["type"] for path in kind.sets} <= {"array"}
    assert {rule_at(rules, path)["type"] for path in kind.durations} <= {"string"}


@every_type
def test_defaults_are_of_the_schema_s_types(kind: ResourceType, rules: ResourceSchema) -> None:
    problems = dict(rules.problems(dict(kind.defaults)))
    assert problems.keys() <= rules.required
    for path, defaults in kind.nested_defaults.items():
        for name, value in defaults.items():
            wanted = {"string": str, "boolean": bool, "integer": int}[rule_at(rules, f"{path}.{name}")["type"]]
            assert type(value) is wanted


@every_type
def test_defaults_are_the_schema_s_where_it_has_one(kind: ResourceType, rules: ResourceSchema) -> None:
    declared = {name: rule["default"] for name, rule in rules.inputs.items() if "default" in rule}
    assert {name: kind.defaults.get(name) for name in declared} == declared


@every_type
def test_a_part_is_replaced_only_with_a_whole_that_is(kind: ResourceType, rules: ResourceSchema) -> None:
    """Differences are told by whole inputs: right only as long as no part has a stricter rule than its whole."""
    for name in kind.supported - rules.replaces:
        nested = rules.nested(rules.inputs[name])
        parts = nested["properties"] if nested is not None else {}
        stricter = {part for part, rule in parts.items() if rule.get("willReplaceOnChanges")}
        assert stricter <= {path.removeprefix(f"{name}.") for path in kind.unsupported}


@every_type
def test_outputs_that_are_computed_are_outputs_of_the_schema(kind: ResourceType, rules: ResourceSchema) -> None:
    assert {path.split(".")[0] for path in kind.computed} <= rules.outputs


def test_secrets_of_the_schema_are_known_wherever_they_are() -> None:
    keycloak = STANDINS[1]
    assert "clientSecret" in keycloak.rules("keycloak:openid/client:Client").secrets
    assert "initialPassword" in keycloak.rules("keycloak:index/user:User").secrets  # its value is one


def test_settings_of_the_providers_are_the_schema_s() -> None:
    for package, standin in zip(SDKS, STANDINS, strict=True):
        known = schemas.settings(schemas.load(package)).inputs.keys()
        assert standin.supported_settings <= known
        assert standin.secret_settings <= known


class TestFunctions:
    """What is looked up, as the official plugin's function of that name."""

    def test_those_the_program_uses_are_served(self) -> None:
        names = {token for standin in STANDINS for token in standin.functions}
        assert names == {"keycloak:openid/getClient:getClient"}

    @pytest.mark.parametrize("standin", STANDINS, ids=lambda standin: standin.version)
    def test_they_take_what_the_schema_knows(self, standin: StandIn) -> None:
        for token, function in standin.functions.items():
            rules = schemas.function_rules(schemas.load(token.partition(":")[0]), token)
            assert rules.required <= function.supported <= rules.inputs.keys()
            assert function.secret <= rules.outputs
