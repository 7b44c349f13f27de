"""The engine's events as findings; the events are made up here as the engine writes them."""

from __future__ import annotations

from typing import Any

from pulumi.automation.events import StepEventMetadata

from infra.drift.engine import CONTAINER, SECRET, findings
from infra.drift.findings import Kind
from infra.drift.names import resource_name

PREFIX = "urn:pulumi:t::praxis::praxis:index:AiGateway$"


def step(token: str, name: str, op: str = "update", **changed: tuple[Any, Any]) -> StepEventMetadata:
    def state(side: int, more: dict[str, Any]) -> dict[str, Any]:
        return {"inputs": {**more, **{key: pair[side] for key, pair in changed.items()}}}

    named = {"realm": "praxis"} if token.endswith(":Realm") else {"clientId": "praxis-cli", "username": "bob"}
    return StepEventMetadata.from_json(
        {
            "op": op,
            "urn": f"{PREFIX}{token}::{name}",
            "type": token,
            "provider": "",
            "old": state(0, named),
            "new": state(1, named) if op != "delete" else None,
            "detailedDiff": {key: {"diffKind": "update", "inputDiff": True} for key in changed},
        }
    )


def seen(*steps: StepEventMetadata) -> list[tuple[str, str, str | None, str | None]]:
    found = findings(list(steps), "t")
    return [(one.resource, one.path, one.declared, one.live) for one in found]


def test_one_finding_a_property_path() -> None:
    nested = ({"brute": {"max": 10, "wait": 1}}, {"brute": {"max": 99, "wait": 1}})
    changed = step("keycloak:index/realm:Realm", "r", displayName=("Praxis", "By hand"), securityDefenses=nested)
    assert seen(changed) == [
        ("realm/praxis", "displayName", "Praxis", "By hand"),
        ("realm/praxis", "securityDefenses.brute.max", "10", "99"),
    ]


def test_what_is_the_same_or_no_real_resource_is_no_finding() -> None:
    same = step("keycloak:index/realm:Realm", "r", op="same", displayName=("a", "a"))
    assert seen(same, step("pulumi:providers:keycloak", "p", url=("a", "b"))) == []


def test_secrets_stay_hidden() -> None:
    hidden = {SECRET: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
    changed = step("keycloak:openid/client:Client", "c", clientSecret=(hidden, dict(hidden)))
    assert seen(changed) == [("client/praxis-cli", "clientSecret", "(a secret)", "(another secret)")]


def test_what_is_gone() -> None:
    (found,) = findings([step("keycloak:index/user:User", "u", op="delete")], "t")
    assert (found.resource, found.path, found.kind) == ("user/bob", "state", Kind.MISSING)


def test_containers_are_left_to_their_own_look() -> None:
    changed = step(CONTAINER, "service-edge", memory=(144, 200), shmSize=(64, 1))
    assert seen(changed) == [("container/edge", "shmSize", "64", "1")]
    assert seen(step(CONTAINER, "service-edge", op="delete")) == []


def test_litellm_s_objects_are_named_as_its_own_look_names_them() -> None:
    inputs = {"litellm:index:Team": {"team_id": "research"}, "litellm:index:Budget": {"budget_id": "engineer"}}
    names = {token: resource_name(f"{PREFIX}{token}::praxis-governance-x", of) for token, of in inputs.items()}
    assert names == {
        "litellm:index:Team": "litellm/team/research",
        "litellm:index:Budget": "litellm/budget/engineer",
    }


def test_stable_names() -> None:
    names = {
        "docker:index/network:Network::network-front": "network/front",
        "docker:index/volume:Volume::volume-postgres": "volume/postgres",
        "docker:index/volume:Volume::secrets-edge": "volume/secrets-edge",
        "keycloak:openid/clientDefaultScopes:ClientDefaultScopes::x-scopes-praxis-cli": "client/praxis-cli",
        "keycloak:openid/clientOptionalScopes:ClientOptionalScopes::x-optional-scopes-praxis-cli": "client/praxis-cli",
        "keycloak:index/userGroups:UserGroups::x-person-bob-department": "user/bob",
        "keycloak:index/userGroups:UserGroups::x-agent-nightly-department": "client/agent-nightly",
    }
    for urn, name in names.items():
        assert resource_name(PREFIX + urn, {}) == name
