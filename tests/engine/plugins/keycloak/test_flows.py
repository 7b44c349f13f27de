"""Flows of a sign-in by the stand-in for pulumi-keycloak, against a real server."""

from __future__ import annotations

from typing import Any

import httpx
import pulumi
import pulumi_keycloak as keycloak
import pytest

from components.flows import BROWSER, DIRECT_GRANT, flows
from components.resources.flows import Flows, FlowsArgs
from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.keycloak_server import Server, signed_in

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


class Program:
    """A realm with a flow of two steps, one of them a subflow; its settings can be changed between runs."""

    def __init__(self, server: Server, realm: str) -> None:
        self.server = server
        self.realm = realm
        self.title = "praxis-browser"
        self.requirement = "CONDITIONAL"
        self.priority: int | None = 20
        self.config = {"condUserRole": "praxis-mfa", "negate": "false"}
        self.bound = True

    def __call__(self) -> None:
        opts = signed_in(self.server)
        realm = keycloak.Realm("realm", realm=self.realm, opts=opts)
        flow = keycloak.authentication.Flow("flow", realm_id=realm.id, alias=BROWSER, description=self.title, opts=opts)
        first = keycloak.authentication.Execution(
            "first",
            realm_id=realm.id,
            parent_flow_alias=flow.alias,
            authenticator="auth-username-password-form",
            requirement="REQUIRED",
            priority=10,
            opts=opts,
        )
        second = keycloak.authentication.Subflow(
            "second",
            realm_id=realm.id,
            parent_flow_alias=flow.alias,
            alias="second",
            requirement=self.requirement,
            priority=self.priority,
            opts=opts,
        )
        condition = keycloak.authentication.Execution(
            "condition",
            realm_id=realm.id,
            parent_flow_alias=second.alias,
            authenticator="conditional-user-role",
            requirement="REQUIRED",
            opts=opts,
        )
        config = keycloak.authentication.ExecutionConfig(
            "config", realm_id=realm.id, execution_id=condition.id, alias="who", config=self.config, opts=opts
        )
        keycloak.openid.Client(
            "client", realm_id=realm.id, client_id="cli", access_type="PUBLIC", direct_access_grants_enabled=True,
            opts=opts,
        )  # fmt: skip
        if self.bound:
            keycloak.authentication.Bindings(
                "bindings",
                realm_id=realm.id,
                browser_flow=flow.alias,
                opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[first, config])),
            )

    def steps(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.server.ask("GET", f"/{self.realm}/authentication/flows/{BROWSER}/executions")
        return found

    def live(self) -> dict[str, Any]:
        found: dict[str, Any] = self.server.ask("GET", f"/{self.realm}")
        return found


RESOURCES = 8 + 2
"""Of the program above, with its provider and the stack itself."""


def test_a_whole_life(deploy: Deployer, server: Server, unique: str) -> None:
    program = Program(server, unique)
    stack = deploy(program)
    assert stack.preview() == {"create": RESOURCES}
    assert stack.up() == {"create": RESOURCES}
    first, second, condition = program.steps()
    assert (first["providerId"], first["requirement"], first["priority"]) == (
        "auth-username-password-form", "REQUIRED", 10
    )  # fmt: skip
    assert (second["displayName"], second["requirement"], second["priority"]) == ("second", "CONDITIONAL", 20)
    assert (condition["providerId"], condition["requirement"], condition["priority"]) == (
        "conditional-user-role", "REQUIRED", 0
    )  # fmt: skip
    config = server.ask("GET", f"/{unique}/authentication/config/{condition['authenticationConfig']}")
    assert config["config"] == program.config
    assert (program.live()["browserFlow"], program.live()["directGrantFlow"]) == (BROWSER, "direct grant")

    assert stack.preview() == {}
    assert stack.preview(refresh=True) == {}, stack.changed
    stack.stack.refresh(show_secrets=False)
    assert stack.preview(refresh=True) == {}, stack.changed

    program.title, program.requirement, program.priority = "for browsers", "REQUIRED", 5
    program.config = {"condUserRole": "another"}
    assert stack.up() == {"update": 3}
    second, condition, _ = program.steps()
    assert (second["displayName"], second["requirement"], second["priority"]) == ("second", "REQUIRED", 5)
    config = server.ask("GET", f"/{unique}/authentication/config/{condition['authenticationConfig']}")
    assert config["config"] == program.config
    assert program.live()["browserFlow"] == BROWSER, "the realm's own settings leave it alone"
    assert stack.preview(refresh=True) == {}, stack.changed

    program.bound = False
    assert stack.up() == {"delete": 1}
    assert program.live()["browserFlow"] == "browser"
    assert stack.destroy() == {"delete": RESOURCES - 1}


def test_what_was_changed_by_hand_is_found_and_put_right(deploy: Deployer, server: Server, unique: str) -> None:
    program = Program(server, unique)
    stack = deploy(program)
    stack.up()
    first, second, condition = program.steps()
    at = f"/{unique}/authentication"
    for step in (first, second):
        server.ask("PUT", f"{at}/flows/{BROWSER}/executions", {**step, "requirement": "DISABLED"})
    config = f"{at}/config/{condition['authenticationConfig']}"
    server.ask("PUT", config, {**server.ask("GET", config), "config": {"condUserRole": "nobody"}})
    server.ask("PUT", f"/{unique}", {**program.live(), "browserFlow": "browser"})

    (client,) = server.ask("GET", f"/{unique}/clients?clientId=cli")
    (easy,) = (one["id"] for one in server.ask("GET", f"{at}/flows") if one["alias"] == "direct grant")
    own = {**client, "authenticationFlowBindingOverrides": {"direct_grant": easy}}
    server.ask("PUT", f"/{unique}/clients/{client['id']}", own)

    assert stack.preview(refresh=True) == {"update": 5}, stack.changed
    assert stack.changed["client"] == ["authenticationFlowBindingOverrides"]
    stack.up(refresh=True)
    (client,) = server.ask("GET", f"/{unique}/clients?clientId=cli")
    assert not any(client["authenticationFlowBindingOverrides"].values())
    assert [step["requirement"] for step in program.steps()] == ["REQUIRED", "CONDITIONAL", "REQUIRED"]
    assert server.ask("GET", config)["config"] == program.config
    assert program.live()["browserFlow"] == BROWSER
    assert stack.preview(refresh=True) == {}

    server.ask("DELETE", f"{at}/executions/{second['id']}")  # and with it what is in it
    assert stack.preview(refresh=True) == {"create": 3}, stack.changed
    stack.up(refresh=True)
    assert [step["requirement"] for step in program.steps()] == ["REQUIRED", "CONDITIONAL", "REQUIRED"]
    assert stack.preview(refresh=True) == {}


def test_what_exists_is_named_with_the_way_to_import_it(deploy: Deployer, server: Server, unique: str) -> None:
    server.ask("POST", "", {"realm": unique, "enabled": True})
    server.ask("POST", f"/{unique}/authentication/flows", {"alias": "taken", "providerId": "basic-flow",
               "topLevel": True, "builtIn": False})  # fmt: skip
    (flow,) = (one for one in server.ask("GET", f"/{unique}/authentication/flows") if one["alias"] == "taken")
    imported: dict[str, str] = {}

    def program() -> None:
        opts = pulumi.ResourceOptions.merge(signed_in(server), pulumi.ResourceOptions(import_=imported.get("flow")))
        keycloak.authentication.Flow("flow", realm_id=unique, alias="taken", opts=opts)

    stack = deploy(program)
    with pytest.raises(pulumi.automation.CommandError):
        stack.up()
    assert f"pulumi import keycloak:authentication/flow:Flow flow {unique}/{flow['id']}" in stack.said
    imported["flow"] = f"{unique}/{flow['id']}"
    assert stack.up()["import"] == 1


def test_the_flows_of_a_stack_are_what_a_server_takes_and_a_password_is_not_enough(
    deploy: Deployer, server: Server, unique: str
) -> None:
    """The component itself: every authenticator and setting that it names exists, and the grant without a browser
    refuses whoever must give a second factor."""

    def program() -> None:
        opts = signed_in(server)
        realm = keycloak.Realm("realm", realm=unique, opts=opts)
        must = keycloak.Role("must", realm_id=realm.id, name="must", opts=opts)
        role = keycloak.Role("role", realm_id=realm.id, name="engineer", composite_roles=[must.id], opts=opts)
        client = keycloak.openid.Client(
            "client", realm_id=realm.id, client_id="cli", access_type="PUBLIC", direct_access_grants_enabled=True,
            opts=opts,
        )  # fmt: skip
        for name, roles in (("alice", [role.id]), ("bob", [])):
            user = keycloak.User(
                name, realm_id=realm.id, username=name, email=f"{name}@example.com", first_name=name, last_name=name,
                initial_password=keycloak.UserInitialPasswordArgs(value=f"canary-{unique}", temporary=False),
                opts=opts,
            )  # fmt: skip
            keycloak.UserRoles(
                f"{name}-roles", realm_id=realm.id, user_id=user.id, role_ids=roles, exhaustive=False, opts=opts
            )
        assert isinstance(opts.provider, keycloak.Provider)
        args = FlowsArgs(realm=realm.id, role="must", directories=True, provider=opts.provider, ready=[must, client])
        Flows("flows", args)

    stack = deploy(program)
    stack.up()
    assert stack.preview(refresh=True) == {}, stack.changed
    live = server.ask("GET", f"/{unique}")
    assert (live["browserFlow"], live["directGrantFlow"]) == (BROWSER, DIRECT_GRANT)
    for alias, steps in flows("must").items():
        found = server.ask("GET", f"/{unique}/authentication/flows/{alias}/executions")
        top = [(one["requirement"], one["priority"]) for one in found if one["level"] == 0]
        assert top == [(step.requirement, 10 * number) for number, step in enumerate(steps, 1)]

    def granted(name: str, password: str) -> httpx.Response:
        form = {"grant_type": "password", "client_id": "cli", "username": name, "password": password}
        return httpx.post(f"{server.url}/realms/{unique}/protocol/openid-connect/token", data=form, timeout=30)

    assert granted("bob", f"canary-{unique}").status_code == 200
    refused = granted("alice", f"canary-{unique}")
    assert refused.status_code == 401
    assert "access_token" not in refused.text
    assert granted("alice", "wrong").json()["error"] == granted("bob", "wrong").json()["error"] == "invalid_grant"
    stack.destroy()
