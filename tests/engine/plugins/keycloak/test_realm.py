"""The stand-in for pulumi-keycloak, driven by the real engine, against a real server."""

from __future__ import annotations

import httpx
import pulumi
import pulumi_keycloak as keycloak
import pytest
from pulumi import automation

from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.keycloak.everything import RESOURCES, Everything, claims
from tests.engine.plugins.keycloak_server import Server, signed_in

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


def test_a_whole_life(deploy: Deployer, server: Server, unique: str) -> None:
    program = Everything(server, unique)
    stack = deploy(program)

    assert stack.preview() == {"create": RESOURCES}
    assert stack.up() == {"create": RESOURCES}
    assert stack.stack.outputs()["path"].value == "/research"
    person = claims(
        server.token(unique, grant_type="password", client_id="people", username="alice", password=program.password)[
            "access_token"
        ]
    )
    agent = claims(
        server.token(unique, grant_type="client_credentials", client_id="agent", client_secret=program.secret)[
            "access_token"
        ]
    )
    for token, who in ((person, "alice"), (agent, "service-account-agent")):
        assert token["preferred_username"] == who
        assert "the-gateway" in token["aud"]
        assert "engineer" in token["roles"]
        assert token["tenant"] == "one"
        assert token["exp"] - token["iat"] == 600
    assert person["department"] == ["research"]

    assert stack.preview() == {}
    assert stack.preview(refresh=True) == {}
    stack.stack.refresh(show_secrets=False)
    assert stack.preview(refresh=True) == {}
    for secret in (program.password, program.secret, server.password):
        assert secret not in stack.plain_state() + stack.said

    program.lifespan = "600s"
    assert stack.preview() == {}  # as long as before
    program.lifespan, program.email, program.roles = "5m0s", "alice@example.com", ["auditor"]
    program.password, program.display_name = "another", None
    assert stack.up() == {"update": 3}
    assert server.ask("GET", f"/{unique}")["accessTokenLifespan"] == 300
    assert not server.ask("GET", f"/{unique}").get("displayName")
    alice = server.ask("GET", f"/{unique}/users?username=alice")[0]
    assert alice["email"] == "alice@example.com"
    held = {role["name"] for role in server.ask("GET", f"/{unique}/users/{alice['id']}/role-mappings/realm")}
    assert "auditor" in held
    assert "engineer" not in held
    assert stack.preview(refresh=True) == {}

    program.realm = f"{unique}x"
    assert stack.preview()["replace"] > 0
    program.realm = unique
    assert stack.destroy() == {"delete": RESOURCES}
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        server.ask("GET", f"/{unique}")


def test_what_was_changed_by_hand_is_found_and_put_right(deploy: Deployer, server: Server, unique: str) -> None:
    stack = deploy(Everything(server, unique))
    stack.up()
    server.ask("PUT", f"/{unique}", {"accessTokenLifespan": 3600})
    client = server.ask("GET", f"/{unique}/clients?clientId=agent")[0]
    server.ask("PUT", f"/{unique}/clients/{client['id']}", {**client, "directAccessGrantsEnabled": True,
                                                            "redirectUris": ["*"]})  # fmt: skip
    alice = server.ask("GET", f"/{unique}/users?username=alice")[0]
    server.ask("DELETE", f"/{unique}/users/{alice['id']}")

    found = stack.preview(refresh=True)
    changed = {name: inputs for name, inputs in stack.changed.items() if inputs}
    assert found == {"create": 3, "update": 2}, changed
    stack.up(refresh=True)
    assert server.ask("GET", f"/{unique}")["accessTokenLifespan"] == 600
    assert len(server.ask("GET", f"/{unique}/clients?clientId=agent")[0]["redirectUris"]) == 2
    assert stack.preview(refresh=True) == {}


def test_what_exists_is_named_with_the_way_to_import_it_which_works(
    deploy: Deployer, server: Server, unique: str
) -> None:
    server.ask("POST", "", {"realm": unique, "enabled": True})
    server.ask("POST", f"/{unique}/users", {"username": "alice", "enabled": True})
    server.ask("POST", f"/{unique}/roles", {"name": "engineer"})
    server.ask("POST", f"/{unique}/groups", {"name": "research"})
    server.ask("POST", f"/{unique}/clients", {"clientId": "agent", "publicClient": True})
    imported: dict[str, str] = {}

    def program() -> None:
        opts = signed_in(server)

        def of(name: str) -> pulumi.ResourceOptions:
            return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(import_=imported.get(name)))

        keycloak.Realm("realm", realm=unique, opts=of("realm"))
        keycloak.User("user", realm_id=unique, username="alice", opts=of("user"))
        keycloak.Role("role", realm_id=unique, name="engineer", opts=of("role"))
        keycloak.Group("group", realm_id=unique, name="research", opts=of("group"))
        keycloak.openid.Client("client", realm_id=unique, client_id="agent", access_type="PUBLIC", opts=of("client"))

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up(continue_on_error=True)
    for line in stack.said.splitlines():
        if "pulumi import" in line:
            _, name, import_id = line.split("pulumi import ")[1].split("'")[0].split()
            imported[name] = import_id
    assert imported.keys() == {"realm", "user", "role", "group", "client"}
    assert stack.up()["import"] == 5
    assert stack.preview(refresh=True) == {}


def test_a_user_whose_password_is_refused_is_not_half_made(deploy: Deployer, server: Server, unique: str) -> None:
    password = "short"

    def program() -> None:
        opts = signed_in(server)
        realm = keycloak.Realm("realm", realm=unique, password_policy="length(12)", opts=opts)
        keycloak.User(
            "user",
            realm_id=realm.id,
            username="alice",
            initial_password=keycloak.UserInitialPasswordArgs(value=pulumi.Output.secret(password)),
            opts=opts,
        )

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "create user: Keycloak answers PUT" in stack.said
    assert "minimum length 12" in stack.said
    assert server.ask("GET", f"/{unique}/users?username=alice") == []

    password = "long enough, this one"
    assert stack.up() == {"create": 1}
    assert stack.preview(refresh=True) == {}


def test_attributes_composites_and_parents(deploy: Deployer, server: Server, unique: str) -> None:
    attributes: dict[str, str] | None = {"cost": "1##2", "place": "here"}
    parts = ["a", "b"]

    def program() -> None:
        opts = signed_in(server)
        realm = keycloak.Realm("realm", realm=unique, opts=opts)
        roles = {name: keycloak.Role(name, realm_id=realm.id, name=name, opts=opts) for name in ("a", "b")}
        keycloak.Role(
            "whole",
            realm_id=realm.id,
            name="the whole",
            attributes=attributes,
            composite_roles=[roles[name].id for name in parts],
            opts=opts,
        )
        parent = keycloak.Group("parent", realm_id=realm.id, name="parent", attributes=attributes, opts=opts)
        child = keycloak.Group("child", realm_id=realm.id, name="child", parent_id=parent.id, opts=opts)
        pulumi.export("path", child.path)

    stack = deploy(program)
    stack.up()
    assert stack.stack.outputs()["path"].value == "/parent/child"
    role = server.ask("GET", f"/{unique}/roles/the%20whole")
    assert role["attributes"] == {"cost": ["1", "2"], "place": ["here"]}
    assert stack.preview(refresh=True) == {}

    attributes, parts = {"cost": "3"}, ["b"]
    assert stack.up() == {"update": 2}
    role = server.ask("GET", f"/{unique}/roles/the%20whole")
    assert role["attributes"] == {"cost": ["3"]}
    assert [one["name"] for one in server.ask("GET", f"/{unique}/roles-by-id/{role['id']}/composites")] == ["b"]
    attributes = None
    assert stack.up() == {"update": 2}
    assert not server.ask("GET", f"/{unique}/roles/the%20whole").get("attributes")
    assert stack.preview(refresh=True) == {}


def test_a_secret_that_keycloak_makes_up_is_a_secret(deploy: Deployer, server: Server, unique: str) -> None:
    def program() -> None:
        opts = signed_in(server)
        realm = keycloak.Realm("realm", realm=unique, opts=opts)
        keycloak.openid.Client("c", realm_id=realm.id, client_id="c", access_type="CONFIDENTIAL", opts=opts)

    stack = deploy(program)
    stack.up()
    made_up = server.ask("GET", f"/{unique}/clients?clientId=c")[0]["secret"]
    assert made_up not in stack.plain_state() + stack.said
    assert stack.preview(refresh=True) == {}
