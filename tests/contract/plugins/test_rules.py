"""Check and diff of every served type, on inputs made up from its schema."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.rpc import UNKNOWN

from infra.plugins.litellm.provider import LiteLLM
from infra.plugins.standins.core import StandIn
from infra.plugins.standins.docker.provider import DockerStandIn
from infra.plugins.standins.keycloak.brokering import NAME_ID_FORMATS, SYNC_MODES
from infra.plugins.standins.keycloak.flows import REQUIREMENTS
from infra.plugins.standins.keycloak.provider import KeycloakStandIn
from infra.plugins.standins.values import plain, secrets_in, wrapped

STANDINS: tuple[StandIn, ...] = (DockerStandIn(), KeycloakStandIn(), LiteLLM())
TYPES = {token: standin for standin in STANDINS for token in standin.served}
# What no schema says: texts of a certain form, and inputs that exclude each other.
FORMS: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "docker:index/container:Container": {
        "restart": st.sampled_from(["no", "on-failure", "always", "unless-stopped"]),
        "healthcheck": st.fixed_dictionaries(
            {"tests": st.just(["CMD", "true"])}, optional={"interval": st.sampled_from(["1s", "90s", "1m30s", "5m"])}
        ),
        "mounts": st.lists(
            st.fixed_dictionaries(
                {"target": st.just("/data"), "type": st.sampled_from(["bind", "volume", "tmpfs"])},
                optional={"readOnly": st.booleans(), "source": st.just("one")},
            )
        ),
        "uploads": st.lists(st.fixed_dictionaries({"file": st.just("/a"), "content": st.text()})),
        "networksAdvanced": st.lists(
            st.fixed_dictionaries({"name": st.text(min_size=1)}, optional={"aliases": st.lists(st.text())})
        ),
    },
    "keycloak:authentication/execution:Execution": {"requirement": st.sampled_from(REQUIREMENTS)},
    "keycloak:authentication/executionConfig:ExecutionConfig": {"alias": st.just("one")},
    "keycloak:authentication/flow:Flow": {
        "alias": st.just("one"),
        "providerId": st.sampled_from(["basic-flow", "client-flow"]),
    },
    "keycloak:authentication/subflow:Subflow": {
        "alias": st.just("one"),
        "providerId": st.sampled_from(["basic-flow", "form-flow", "client-flow"]),
        "requirement": st.sampled_from(REQUIREMENTS),
    },
    "keycloak:index/realm:Realm": {"realm": st.just("one")},
    "keycloak:index/user:User": {"username": st.just("alice")},
    "keycloak:openid/client:Client": {
        "accessType": st.just("CONFIDENTIAL"),
        "clientId": st.just("one"),
        "standardFlowEnabled": st.just(True),
    },
    "keycloak:oidc/identityProvider:IdentityProvider": {
        "clientSecret": st.just("canary"),
        "syncMode": st.sampled_from(SYNC_MODES),
    },
    "keycloak:saml/identityProvider:IdentityProvider": {
        "syncMode": st.sampled_from(SYNC_MODES),
        "nameIdPolicyFormat": st.sampled_from(sorted(NAME_ID_FORMATS)),
    },
    "litellm:index:Budget": {"budget_id": st.just("one"), "budget_duration": st.sampled_from(["1d", "30d", "1mo"])},
    "litellm:index:Model": {"model_id": st.just("one")},
    "litellm:index:Team": {"team_id": st.just("one"), "budget_duration": st.sampled_from(["1d", "30d", "1mo"])},
}
SCALARS: Mapping[str, st.SearchStrategy[Any]] = {
    "string": st.text(alphabet="abc/-é", max_size=8),
    "boolean": st.booleans(),
    "integer": st.integers(0, 2**40),
    "number": st.integers(0, 9),
}
anything = pytest.mark.parametrize("token", sorted(TYPES))


def _strategy(token: str, rule: Mapping[str, Any], path: str) -> st.SearchStrategy[Any]:
    standin = TYPES[token]
    if path in standin.served[token].durations:
        return st.sampled_from(["1s", "90s", "1m30s", "1h", "10m0s"])
    if rule.get("type") == "array":
        return st.lists(_strategy(token, rule["items"], path), max_size=3)
    nested = standin.rules(token).nested(rule)
    if nested is not None:
        parts = {
            name: _strategy(token, part, f"{path}.{name}")
            for name, part in nested["properties"].items()
            if f"{path}.{name}" not in standin.served[token].unsupported
        }
        needed = set(nested.get("required", ()))
        return st.fixed_dictionaries(
            {name: part for name, part in parts.items() if name in needed},
            optional={name: part for name, part in parts.items() if name not in needed},
        )
    if rule.get("type") == "object":
        return st.dictionaries(st.text(alphabet="abc", min_size=1), SCALARS["string"], max_size=3)
    return SCALARS[rule["type"]]


@cache
def inputs_of(token: str) -> st.SearchStrategy[dict[str, Any]]:
    """Inputs that check accepts."""
    kind, rules, forms = TYPES[token].served[token], TYPES[token].rules(token), FORMS.get(token, {})
    parts = {
        name: forms[name] if name in forms else _strategy(token, rule, name)
        for name, rule in rules.inputs.items()
        if name in kind.supported
    }
    chosen = {"clientId": st.just("owner")} if "clientScopeId" in parts else {}
    if "includedCustomAudience" in parts:
        chosen |= {"includedCustomAudience": st.just("audience")}
    for name in ("clientScopeId", "includedClientAudience"):
        parts.pop(name, None)
    needed = {**{name: parts[name] for name in (*rules.required, *forms) if name in parts}, **chosen}
    return st.fixed_dictionaries(needed, optional={name: part for name, part in parts.items() if name not in needed})


def urn(token: str) -> str:
    return f"urn:pulumi:stack::project::praxis:layer:Part${token}::one"


def check(token: str, values: dict[str, Any], **secret: bool) -> sdk.CheckResponse:
    given_inputs = wrapped(values, secret)
    request = sdk.CheckRequest(urn(token), {}, given_inputs, b"seed")
    return asyncio.run(TYPES[token].check(request))


def diff(token: str, old: dict[str, PropertyValue], new: dict[str, PropertyValue]) -> sdk.DiffResponse:
    return asyncio.run(TYPES[token].diff(sdk.DiffRequest(urn(token), "id", old, new, [])))


def checked(token: str, values: dict[str, Any]) -> dict[str, PropertyValue]:
    answer = check(token, values)
    assert not answer.failures, [(failure.property, failure.reason) for failure in answer.failures or []]
    return answer.inputs or {}


@anything
@given(data=st.data())
@settings(max_examples=25)
def test_checked_inputs_are_stable_and_their_own_state(token: str, data: st.DataObject) -> None:
    values = data.draw(inputs_of(token))
    once = checked(token, values)
    assert {key: plain(once)[key] for key in values if values[key] not in (None, [], {})}.keys() <= plain(once).keys()
    again = checked(token, plain(once))
    assert plain(again) == plain(once)
    answer = diff(token, once, once)
    assert answer.changes is False
    assert answer.detailed_diff == {}


@anything
@given(data=st.data())
@settings(max_examples=25)
def test_a_set_in_another_order_is_no_change(token: str, data: st.DataObject) -> None:
    values = data.draw(inputs_of(token))
    turned = {
        name: list(reversed(value)) if name in TYPES[token].served[token].sets else value
        for name, value in values.items()
    }
    assert diff(token, checked(token, values), checked(token, turned)).changes is False


def test_a_part_that_says_little_does_not_take_the_place_of_another() -> None:
    token = "docker:index/network:Network"
    values, turned = ({"ipamConfigs": parts} for parts in ([{"gateway": "a"}, {}], [{}, {"gateway": "a"}]))
    assert diff(token, checked(token, values), checked(token, turned)).changes is False


@anything
@given(data=st.data())
@settings(max_examples=25)
def test_a_change_is_seen_and_replaces_as_the_schema_says(token: str, data: st.DataObject) -> None:
    kind, rules = TYPES[token].served[token], TYPES[token].rules(token)
    values = data.draw(inputs_of(token))
    name = data.draw(st.sampled_from(sorted(name for name in values if rules.inputs[name].get("type") == "string")
                                     or [""]))  # fmt: skip
    if not name or name in kind.durations:
        return
    changed = {**values, name: f"{values[name]}x"}
    request = sdk.DiffRequest(urn(token), "id", wrapped(values), wrapped(changed), [])
    answer = asyncio.run(TYPES[token].diff(request))
    assert answer.diffs == ([] if name in kind.create_only else [name])
    assert answer.replaces == ([name] if name in rules.replaces else [])
    kinds = sdk.PropertyDiffKind
    assert answer.detailed_diff[name].kind in (kinds.UPDATE, kinds.UPDATE_REPLACE)


@anything
def test_every_replace_rule_of_the_schema_holds(token: str) -> None:
    rules, kind = TYPES[token].rules(token), TYPES[token].served[token]
    for name in sorted(kind.supported - kind.create_only):
        answer = diff(token, {}, wrapped({name: UNKNOWN}))
        assert answer.diffs == [name]
        assert bool(answer.replaces) == (name in rules.replaces), name


@anything
def test_an_unknown_property_is_named_with_what_was_meant(token: str) -> None:
    rules = TYPES[token].rules(token)
    wrong = f"{min(rules.inputs)}s"
    failures = check(token, {**dict.fromkeys(rules.required, UNKNOWN), wrong: "x"}).failures or []
    assert [(failure.property, "did you mean" in failure.reason) for failure in failures] == [(wrong, True)]


@anything
def test_every_required_input_is_asked_for(token: str) -> None:
    required = TYPES[token].rules(token).required
    failures = check(token, {}).failures or []
    assert {failure.property for failure in failures if failure.reason == "is required"} >= required


@anything
def test_what_is_not_supported_is_refused_not_ignored(token: str) -> None:
    kind, rules = TYPES[token].served[token], TYPES[token].rules(token)
    needed = dict.fromkeys(rules.required, UNKNOWN)
    for name in sorted(set(rules.inputs) - kind.supported):
        failures = check(token, {**needed, name: UNKNOWN}).failures or []
        assert [failure.property for failure in failures] == [name]
        assert "not supported by this plugin" in failures[0].reason


@pytest.mark.parametrize(
    ("values", "path"),
    [
        (
            {"mounts": [{"type": "volume", "target": "/a", "volumeOptions": {"subpath": "b"}}]},
            "mounts.volumeOptions.subpath",
        ),
        ({"networksAdvanced": [{"name": "a", "gwPriority": 1}]}, "networksAdvanced.gwPriority"),
    ],
)
def test_parts_that_are_not_supported_are_refused_too(values: dict[str, Any], path: str) -> None:
    failures = check("docker:index/container:Container", {"image": "a", **values}).failures or []
    assert [(failure.property, failure.reason) for failure in failures] == [(path, "is not supported by this plugin")]


@anything
@given(data=st.data())
@settings(max_examples=15)
def test_a_wrong_type_is_refused_and_named(token: str, data: st.DataObject) -> None:
    rules, kind = TYPES[token].rules(token), TYPES[token].served[token]
    name = data.draw(st.sampled_from(sorted(kind.supported)))
    wrong: Any = 7.5 if rules.inputs[name].get("type") != "number" else "seven"
    needed = dict.fromkeys(rules.required, UNKNOWN)
    failures = check(token, {**needed, name: wrong}).failures or []
    assert name in {failure.property for failure in failures}


@anything
@given(data=st.data())
@settings(max_examples=15)
def test_secret_inputs_stay_secret_in_checked_inputs_and_in_a_preview(token: str, data: st.DataObject) -> None:
    values = {name: value for name, value in data.draw(inputs_of(token)).items() if value not in (None, [], {})}
    assume(values)
    name = data.draw(st.sampled_from(sorted(values)))
    inputs = check(token, values, **{name: True}).inputs or {}
    expected = {name} | (TYPES[token].rules(token).secrets & inputs.keys())
    assert secrets_in(inputs) == expected
    request = sdk.CreateRequest(urn(token), inputs, 0, True)
    outputs = asyncio.run(TYPES[token].create(request)).properties
    assert secrets_in(outputs) >= expected


@anything
def test_a_preview_knows_what_it_is_given_and_nothing_else(token: str) -> None:
    kind, rules = TYPES[token].served[token], TYPES[token].rules(token)
    given_inputs = wrapped(dict.fromkeys(rules.required, "x"))
    outputs = plain(asyncio.run(TYPES[token].create(sdk.CreateRequest(urn(token), given_inputs, 0, True))).properties)
    assert {name for name, value in outputs.items() if value != UNKNOWN} == rules.required
    assert {name for name, value in outputs.items() if value == UNKNOWN} == (
        (kind.computed & rules.outputs) - rules.required
    )


@anything
@given(data=st.data())
@settings(max_examples=10)
def test_any_input_may_be_unknown_in_a_preview(token: str, data: st.DataObject) -> None:
    values = data.draw(inputs_of(token))
    for name in values:
        inputs = checked(token, {**values, name: UNKNOWN})
        assert plain(inputs)[name] == UNKNOWN
        answer = diff(token, checked(token, values), inputs)
        assert answer.diffs == ([] if name in TYPES[token].served[token].create_only else [name])


def test_the_state_of_the_official_plugin_is_no_change() -> None:
    """Zero values, computed ones, other spellings: as the official plugin stores what this program declares."""
    token = "docker:index/container:Container"
    new = checked(
        token,
        {
            "name": "one",
            "image": "sha256:1",
            "memory": 64,
            "memorySwap": 64,
            "capabilities": {"drops": ["ALL"]},
            "healthcheck": {"tests": ["CMD", "true"], "interval": "90s"},
            "ports": [{"internal": 80, "external": 8080}, {"internal": 443}],
            "mounts": [{"type": "volume", "source": "data", "target": "/data"}],
            "labels": [{"label": "b", "value": "2"}, {"label": "a", "value": "1"}],
        },
    )
    old = {
        **plain(new),
        "__meta": "{}",
        "bridge": "",
        "capabilities": {"adds": [], "drops": ["ALL"]},
        "command": ["sleep"],
        "cpuShares": 0,
        "dns": [],
        "domainname": "",
        "entrypoints": [],
        "exitCode": 0,
        "healthcheck": {
            "tests": ["CMD", "true"], "interval": "1m30s", "timeout": "0s", "startPeriod": "0s", "startInterval": "0s",
            "retries": 0,
        },
        "hostname": "0123",
        "init": False,
        "ipcMode": "private",
        "labels": [{"label": "a", "value": "1"}, {"label": "b", "value": "2"}],
        "logDriver": "json-file",
        "maxRetryCount": 0,
        "mounts": [
            {"type": "volume", "source": "data", "target": "/data", "readOnly": False, "bindOptions": None,
             "volumeOptions": None, "tmpfsOptions": None}
        ],
        "networkDatas": [{"networkName": "bridge"}],
        "ports": [
            {"internal": 80, "external": 8080, "ip": "0.0.0.0", "protocol": "tcp"},  # noqa: S104 - Docker's default
            {"internal": 443, "external": 49153, "ip": "0.0.0.0", "protocol": "tcp"},  # noqa: S104 - Docker's default
        ],
        "privileged": False,
        "runtime": "runc",
        "securityOpts": [],
        "shmSize": 64,
        "tmpfs": {},
        "user": "",
        "workingDir": "/",
    }  # fmt: skip
    assert diff(token, wrapped(old), new).diffs == []


@pytest.mark.parametrize(
    ("old", "new", "at_once"),
    [
        ({"name": "one"}, {"name": "one"}, True),
        ({"name": "one"}, {"name": "two"}, False),
        ({"name": "one-0000000"}, {}, False),
    ],
    ids=["a name of its own, kept", "a name of its own, changed", "a name that was made up"],
)
def test_a_name_that_is_kept_is_free_before_it_is_taken_again(
    old: dict[str, Any], new: dict[str, Any], at_once: bool
) -> None:
    token = "docker:index/volume:Volume"
    before = checked(token, {**old, "driver": "local"})
    after = checked(token, {**new, "driver": "other"})
    answer = diff(token, before, after)
    assert "driver" in answer.replaces
    assert answer.delete_before_replace is at_once


def test_a_made_up_name_is_kept() -> None:
    token = "docker:index/volume:Volume"
    first = checked(token, {})
    name = plain(first)["name"]
    assert name.startswith("one-")
    request = sdk.CheckRequest(urn(token), first, wrapped({}), b"another seed")
    assert plain(asyncio.run(TYPES[token].check(request)).inputs or {})["name"] == name


def test_a_type_that_is_not_served_is_named_with_those_that_are() -> None:
    with pytest.raises(Exception, match=r"docker:index/secret:Secret is not served.*docker:index/container:Container"):
        STANDINS[0].type_of("docker:index/secret:Secret")
