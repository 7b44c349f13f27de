"""What is in Keycloak's realm beside what is declared."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from components.realm import REALM
from config import load_stack
from infra.drift import realm
from infra.drift.realm import Judge, Live, declared_in, repairs
from infra.paths import STACKS
from tests.stacks import federated, with_mfa

STACK = load_stack("laptop", STACKS)


def resource(token: str, urn: str, key: str, /, **inputs: Any) -> dict[str, Any]:
    return {"type": f"keycloak:{token}", "urn": f"urn:pulumi:t::praxis::keycloak:{token}::{urn}", "id": key,
            "inputs": inputs}  # fmt: skip


STATE = {
    "resources": [
        resource("index/role:Role", "r1", "id-engineer", name="engineer"),
        resource("index/role:Role", "r2", "id-analyst", name="analyst"),
        resource("index/group:Group", "g1", "id-research", name="research"),
        resource("index/group:Group", "g2", "id-finance", name="finance"),
        resource("index/user:User", "u1", "id-bob", username="bob"),
        resource("openid/client:Client", "c1", "id-agent", clientId="agent-nightly-report"),
        resource("index/userRoles:UserRoles", "ur", "x", userId="id-bob", roleIds=["id-analyst"]),
        resource(
            "openid/clientServiceAccountRealmRole:ClientServiceAccountRealmRole",
            "sa",
            "x",
            serviceAccountUserId="id-sa",
            role="analyst",
        ),
        {
            "type": "docker:index/network:Network",
            "urn": "urn:pulumi:t::p::docker:index/network:Network::n",
            "inputs": {},
        },
    ]
}
JUDGE = Judge("t", declared_in(STATE, STACK))


def live(**changed: Any) -> Live:
    objects: dict[str, dict[str, dict[str, Any]]] = {
        "client": {"agent-nightly-report": {"id": "id-agent"}, "account": {"id": "a"}},
        "role": {
            "engineer": {"id": "id-engineer", "name": "engineer"},
            "analyst": {"id": "id-analyst", "name": "analyst"},
            realm.DEFAULT_ROLE: {"id": "d", "name": realm.DEFAULT_ROLE},
        },
        "group": {"research": {"id": "id-research"}, "finance": {"id": "id-finance"}},
        "identity-provider": {},
        "flow": {},
        "user": {"bob": {"id": "id-bob"}},
    }
    for kind, more in changed.pop("objects", {}).items():
        objects[kind] |= more
    given: dict[str, Any] = {
        "objects": objects,
        "with_role": {"analyst": {"bob": "id-bob", "service-account-agent-nightly-report": "id-sa"}},
        "by_default": frozenset({"offline_access"}),
    }
    return Live(**{**given, **changed})


def places(found: Live) -> list[str]:
    return [one.place for one in JUDGE.judged(found)]


def test_what_is_declared_or_keycloaks_own_is_no_finding() -> None:
    assert places(live()) == []
    assert list(repairs(JUDGE, live(), ())) == []


def test_what_only_the_file_declares_may_be_of_an_interrupted_run() -> None:
    assert places(live(objects={"user": {"alice": {"id": "x"}}})) == []


@pytest.mark.parametrize(
    ("kind", "name", "one", "path"),
    [
        ("client", "backdoor", {"id": "7"}, "clients/7"),
        ("role", "root", {"id": "7", "name": "root"}, "roles/root"),
        ("group", "board", {"id": "7"}, "groups/7"),
        ("identity-provider", "evil", {"alias": "evil"}, "identity-provider/instances/evil"),
        ("user", "mallory", {"id": "7"}, "users/7"),
    ],
)
def test_an_object_that_nobody_declared(kind: str, name: str, one: dict[str, str], path: str) -> None:
    found = live(objects={kind: {name: one}})
    assert places(found) == [f"{kind}/{name}/state"]
    assert list(repairs(JUDGE, found, ())) == [], "not without a yes"
    assert list(repairs(JUDGE, found, {f"{kind}/{name}"})) == [(path, None)]


def test_a_role_given_by_hand() -> None:
    found = live(with_role={"engineer": {"bob": "id-bob", "service-account-agent-nightly-report": "id-sa"}})
    assert places(found) == [
        "user/bob/roles.engineer",
        "user/service-account-agent-nightly-report/roles.engineer",
    ]
    role = [{"id": "id-engineer", "name": "engineer"}]
    assert list(repairs(JUDGE, found, ())) == [
        ("users/id-bob/role-mappings/realm", role),
        ("users/id-sa/role-mappings/realm", role),
    ]


def test_a_role_for_everybody() -> None:
    found = live(by_default=frozenset({"offline_access", "engineer"}))
    assert places(found) == [f"role/{realm.DEFAULT_ROLE}/composites.engineer"]
    assert list(repairs(JUDGE, found, ())) == [
        (f"roles/{realm.DEFAULT_ROLE}/composites", [{"id": "id-engineer", "name": "engineer"}])
    ]


class TestDirectories:
    """With a directory of each kind declared, and its people here."""

    judge = Judge("t", declared_in(STATE, federated()))

    def came(self, **changed: Any) -> Live:
        people = {"user": {"carol": {"id": "id-carol"}}}
        return live(**{"objects": people, "came_by": {"acme": frozenset({"carol"})}, **changed})

    def places(self, found: Live) -> list[str]:
        return [one.place for one in self.judge.judged(found)]

    def test_who_came_by_one_is_no_stranger(self) -> None:
        assert self.places(self.came(with_role={"engineer": {"carol": "id-carol"}})) == []

    def test_nor_is_a_declared_person_who_was_linked(self) -> None:
        linked = {"acme": frozenset({"bob"})}
        assert self.places(live(with_role={"engineer": {"bob": "id-bob"}}, came_by=linked)) == []

    def test_who_came_by_one_that_nobody_declared_is(self) -> None:
        found = self.came(
            objects={"user": {"carol": {"id": "7"}}, "identity-provider": {"evil": {"alias": "evil"}}},
            came_by={"evil": frozenset({"carol"})},
        )
        assert self.places(found) == ["identity-provider/evil/state", "user/carol/state"]

    def test_a_role_that_no_directory_gives_was_given_by_hand(self) -> None:
        found = self.came(came_by={"school": frozenset({"carol"})}, with_role={"engineer": {"carol": "id-carol"}})
        assert self.places(found) == ["user/carol/roles.engineer"]

    def test_a_mapper_too_many(self) -> None:
        found = live(
            objects={"identity-provider": {"acme": {"alias": "acme"}}},
            mappers={"acme": {"role-engineer": "1", "everybody": "2"}},
        )
        assert self.places(found) == ["identity-provider/acme/mappers.everybody"]
        assert list(repairs(self.judge, found, ())) == [("identity-provider/instances/acme/mappers/2", None)]


class TestFlows:
    """With a role that asks for a second factor."""

    judge = Judge(
        "t",
        declared_in(
            {
                "resources": [
                    *STATE["resources"],
                    resource("authentication/flow:Flow", "f", "id-flow", alias="praxis-browser"),
                    resource("authentication/execution:Execution", "e", "id-cookie", parentFlowAlias="praxis-browser"),
                    resource("authentication/subflow:Subflow", "s", "id-forms", alias="praxis-browser-forms"),
                ]
            },
            with_mfa(STACK, "engineer"),
        ),
    )
    declared = (
        {"id": "id-cookie", "providerId": "auth-cookie"},
        {"id": "id-step", "flowId": "id-forms", "displayName": "praxis-browser-forms"},
    )

    def found(self, *more: dict[str, str], **changed: Any) -> Live:
        own = {"praxis-browser": {"id": "id-flow"}, "browser": {"id": "b", "builtIn": True}, **changed}
        role = {"praxis-mfa": {"id": "m", "name": "praxis-mfa"}}
        return live(objects={"flow": own, "role": role}, steps={"praxis-browser": [*self.declared, *more]})

    def test_what_is_declared_or_keycloaks_own_is_no_finding(self) -> None:
        assert list(self.judge.judged(self.found())) == []

    def test_another_flow_is(self) -> None:
        found = self.found(easy={"id": "7"})
        assert [one.place for one in self.judge.judged(found)] == ["flow/easy/state"]
        assert list(repairs(self.judge, found, {"flow/easy"})) == [("authentication/flows/7", None)]

    def test_and_so_is_a_step_that_lets_everybody_in(self) -> None:
        found = self.found({"id": "7", "providerId": "allow-access-authenticator"})
        assert [one.place for one in self.judge.judged(found)] == [
            "flow/praxis-browser/steps.allow-access-authenticator"
        ]
        assert list(repairs(self.judge, found, ())) == [("authentication/executions/7", None)]

    def test_without_mfa_the_role_and_the_flows_are_strangers(self) -> None:
        found = [one.place for one in JUDGE.judged(self.found())]
        assert found == ["role/praxis-mfa/state", "flow/praxis-browser/state"]


def test_everything_is_asked_for() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        path = str(request.url.raw_path, "ascii").removeprefix(f"/admin/realms/{REALM}/")
        asked.append(path)
        if path.startswith("identity-provider/instances?"):
            return httpx.Response(200, json=[{"alias": "a/b"}])
        if path.startswith("authentication/flows?"):
            return httpx.Response(200, json=[{"alias": "browser", "builtIn": True}, {"alias": "c/d"}])
        if path.endswith("/executions"):
            return httpx.Response(200, json=[{"id": "s"}])
        if path.endswith("/mappers"):
            return httpx.Response(200, json=[{"name": "m", "id": "1"}])
        if "idpAlias" in path:
            return httpx.Response(200, json=[{"username": "carol", "id": "7"}])
        return httpx.Response(200, json=[])

    found = realm.read(httpx.Client(base_url="http://keycloak", transport=httpx.MockTransport(answer)))
    assert found.mappers == {"a/b": {"m": "1"}}
    assert found.came_by == {"a/b": frozenset({"carol"})}
    assert "identity-provider/instances/a%2Fb/mappers" in asked
    assert found.steps == {"c/d": [{"id": "s"}]}
    assert "authentication/flows/c%2Fd/executions" in asked


def test_what_is_gone_already_is_no_error() -> None:
    answers = iter([204, 404, 403])
    http = httpx.Client(
        base_url="http://keycloak", transport=httpx.MockTransport(lambda _: httpx.Response(next(answers)))
    )
    realm.delete(http, ("clients/7", None))
    realm.delete(http, ("clients/7", None))
    with pytest.raises(httpx.HTTPStatusError):
        realm.delete(http, ("clients/7", None))
