"""The stand-in for pulumi-keycloak, driven by the real engine, against a real server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pulumi
import pulumi_keycloak as keycloak
import pytest
from pulumi import automation

from infra.cli import begun
from infra.cli.begun import take_away
from infra.plugins.standins.keycloak.settings import Settings
from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.keycloak_server import Server, late_door, running

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well
PROTOCOL_PORT = 9
"""The "discard" port: nothing listens there."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_realm_is_left(server: Server, unique: str) -> Iterator[None]:
    yield
    if any(realm["realm"] == unique for realm in server.ask("GET", "")):
        server.ask("DELETE", f"/{unique}")


def signed_in(server: Server, **arguments: Any) -> pulumi.ResourceOptions:
    settings = {"url": server.url, "username": server.user, "password": pulumi.Output.secret(server.password)}
    provider = keycloak.Provider("admin", **{**settings, "initial_login": False, "client_id": "admin-cli", **arguments})
    return pulumi.ResourceOptions(provider=provider)


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


class Everything:
    """A realm with all that the stack's own has; its settings can be changed between runs."""

    def __init__(self, server: Server, realm: str) -> None:
        self.server = server
        self.realm = realm
        self.lifespan = "10m0s"
        self.email = "alice@example.org"
        self.display_name: str | None = "A realm"
        self.roles = ["engineer"]
        self.password = f"canary-password-{realm}"
        self.secret = f"canary-secret-{realm}"

    def __call__(self) -> None:
        opts = signed_in(self.server)
        realm = keycloak.Realm(
            "realm",
            realm=self.realm,
            display_name=self.display_name,
            access_token_lifespan=self.lifespan,
            sso_session_idle_timeout="8h0m0s",
            default_signature_algorithm="RS256",
            security_defenses=keycloak.RealmSecurityDefensesArgs(
                brute_force_detection=keycloak.RealmSecurityDefensesBruteForceDetectionArgs(max_login_failures=10)
            ),
            opts=opts,
        )
        scope = self._claims(realm, opts)
        roles = {
            name: keycloak.Role(f"role-{name}", realm_id=realm.id, name=name, description=f"an {name}", opts=opts)
            for name in ("engineer", "auditor")
        }
        group = keycloak.Group("group", realm_id=realm.id, name="research", opts=opts)
        user = keycloak.User(
            "alice",
            realm_id=realm.id,
            username="alice",
            email=self.email,
            email_verified=True,
            first_name="Alice",
            last_name="Doe",
            initial_password=keycloak.UserInitialPasswordArgs(value=pulumi.Output.secret(self.password)),
            opts=opts,
        )
        keycloak.UserRoles(
            "alice-roles",
            realm_id=realm.id,
            user_id=user.id,
            role_ids=[roles[name].id for name in self.roles],
            exhaustive=False,
            opts=opts,
        )
        keycloak.UserGroups("alice-groups", realm_id=realm.id, user_id=user.id, group_ids=[group.id], opts=opts)
        people = keycloak.openid.Client(
            "people",
            realm_id=realm.id,
            client_id="people",
            access_type="PUBLIC",
            direct_access_grants_enabled=True,
            oauth2_device_authorization_grant_enabled=True,
            opts=opts,
        )
        agent = keycloak.openid.Client(
            "agent",
            realm_id=realm.id,
            client_id="agent",
            name="An agent",
            access_type="CONFIDENTIAL",
            client_secret=pulumi.Output.secret(self.secret),
            service_accounts_enabled=True,
            standard_flow_enabled=True,
            valid_redirect_uris=["https://b.example/callback", "https://a.example/callback"],
            pkce_code_challenge_method="S256",
            opts=opts,
        )
        # The server gives that scope to a service account whenever its client is changed, so it has to be declared.
        for client, name, own in ((people, "people", []), (agent, "agent", ["service_account"])):
            keycloak.openid.ClientDefaultScopes(
                f"{name}-scopes",
                realm_id=realm.id,
                client_id=client.id,
                default_scopes=["basic", "profile", "roles", scope.name, *own],
                opts=opts,
            )
        keycloak.openid.ClientServiceAccountRealmRole(
            "agent-role",
            realm_id=realm.id,
            service_account_user_id=agent.service_account_user_id,
            role=roles["engineer"].name,
            opts=opts,
        )
        pulumi.export("path", group.path)

    def _claims(self, realm: keycloak.Realm, opts: pulumi.ResourceOptions) -> keycloak.openid.ClientScope:
        scope = keycloak.openid.ClientScope(
            "claims", realm_id=realm.id, name="claims", include_in_token_scope=False, opts=opts
        )
        place: dict[str, Any] = {"realm_id": realm.id, "client_scope_id": scope.id, "opts": opts}
        keycloak.openid.AudienceProtocolMapper(
            "audience", name="audience", included_custom_audience="the-gateway", add_to_id_token=False, **place
        )
        keycloak.openid.UserRealmRoleProtocolMapper(
            "roles", name="roles", claim_name="roles", multivalued=True, **place
        )
        keycloak.openid.GroupMembershipProtocolMapper(
            "department", name="department", claim_name="department", full_path=False, **place
        )
        keycloak.openid.HardcodedClaimProtocolMapper(
            "tenant", name="tenant", claim_name="tenant", claim_value="one", **place
        )
        return scope


RESOURCES = 17 + 2
"""Of the program above, with its provider and the stack itself."""


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


def test_a_changed_address_of_the_server_replaces_nothing(deploy: Deployer, server: Server, unique: str) -> None:
    url = server.url

    def program() -> None:
        keycloak.Realm("realm", realm=unique, opts=signed_in(server, url=url))

    stack = deploy(program)
    stack.up()
    url = f"{server.url}/"
    assert stack.up() == {"update": 1}
    assert stack.preview() == {}


def test_an_address_that_is_not_known_yet_needs_no_server_in_a_preview(
    deploy: Deployer, server: Server, unique: str
) -> None:
    def program() -> None:
        first = keycloak.Realm("first", realm=f"{unique}-1", opts=signed_in(server))
        later = keycloak.Provider(
            "later",
            url=first.internal_id.apply(lambda _: server.url),
            username=server.user,
            password=server.password,
            client_id="admin-cli",
        )
        keycloak.Realm("second", realm=unique, opts=pulumi.ResourceOptions(provider=later))

    stack = deploy(program)
    assert stack.preview() == {"create": 5}
    assert stack.up() == {"create": 5}
    assert stack.preview(refresh=True) == {}
    stack.destroy()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"password": "wrong"}, "refuses the sign-in of 'admin' to realm 'master': Invalid user credentials"),
        ({"url": f"http://127.0.0.1:{PROTOCOL_PORT}"}, f"Keycloak does not answer at http://127.0.0.1:{PROTOCOL_PORT}"),
        ({"red_hat_sso": True}, "redHatSso"),
    ],
    ids=["wrong password", "no server", "a setting that is not supported"],
)
def test_a_server_that_cannot_be_used_is_said_so(
    arguments: dict[str, Any], words: str, deploy: Deployer, server: Server, unique: str
) -> None:
    def program() -> None:
        keycloak.Realm("realm", realm=unique, opts=signed_in(server, **arguments, initial_login=True))

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert words in stack.said
    assert "Traceback" not in stack.said


def test_a_server_that_is_starting_is_waited_for(deploy: Deployer, server: Server, unique: str) -> None:
    with late_door(server, after_s=4) as url:
        stack = deploy(lambda: keycloak.Realm("realm", realm=unique, opts=signed_in(server, url=url)))
        assert stack.up() == {"create": 3}
        stack.destroy()


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


class Watcher:
    """A service account that may look at users, by a role of a client that Keycloak makes itself."""

    def __init__(self, server: Server, realm: str) -> None:
        self.server = server
        self.realm = realm
        self.details = False
        self.management = "realm-management"

    def __call__(self) -> None:
        opts = signed_in(self.server)
        realm = keycloak.Realm("realm", realm=self.realm, opts=opts)
        watcher = keycloak.openid.Client(
            "watcher",
            realm_id=realm.id,
            client_id="watcher",
            access_type="CONFIDENTIAL",
            client_secret=pulumi.Output.secret("canary-of-the-watcher"),
            service_accounts_enabled=True,
            opts=opts,
        )
        management = keycloak.openid.get_client_output(
            realm_id=realm.id,
            client_id=self.management,
            opts=pulumi.InvokeOutputOptions(provider=opts.provider, depends_on=[watcher]),
        )
        keycloak.openid.ClientServiceAccountRole(
            "may-look",
            realm_id=realm.id,
            service_account_user_id=watcher.service_account_user_id,
            client_id=management.id,
            role="view-users",
            opts=opts,
        )
        keycloak.RealmEvents(
            "events",
            realm_id=realm.id,
            admin_events_enabled=True,
            admin_events_details_enabled=self.details,
            events_listeners=["jboss-logging"],
            opts=opts,
        )


def test_a_service_account_gets_a_role_of_keycloaks_own_client(deploy: Deployer, server: Server, unique: str) -> None:
    program = Watcher(server, unique)
    stack = deploy(program)
    stack.up()
    assert stack.preview(refresh=True) == {}
    form = {"grant_type": "client_credentials", "client_id": "watcher", "client_secret": "canary-of-the-watcher"}
    bearer = {"Authorization": f"Bearer {server.token(unique, **form)['access_token']}"}
    for path, status in (("users", 200), ("clients", 403), ("admin-events", 403)):
        assert httpx.get(f"{server.url}/admin/realms/{unique}/{path}", headers=bearer).status_code == status
    program.details = True
    assert stack.up() == {"update": 1}
    assert server.ask("GET", f"/{unique}/events/config")["adminEventsDetailsEnabled"] is True

    # By hand: the role taken away, the events turned off.
    (management,) = server.ask("GET", f"/{unique}/clients?clientId=realm-management")
    (user,) = server.ask("GET", f"/{unique}/users?username=service-account-watcher")
    role = server.ask("GET", f"/{unique}/clients/{management['id']}/roles/view-users")
    server.ask("DELETE", f"/{unique}/users/{user['id']}/role-mappings/clients/{management['id']}", [role])
    server.ask("PUT", f"/{unique}/events/config", {"adminEventsEnabled": False})
    assert stack.preview(refresh=True) == {"create": 1, "update": 1}
    stack.up(refresh=True)
    assert server.ask("GET", f"/{unique}/events/config")["adminEventsEnabled"] is True
    assert stack.preview(refresh=True) == {}
    stack.destroy()


def test_a_client_that_is_not_there_is_not_found(deploy: Deployer, server: Server, unique: str) -> None:
    program = Watcher(server, unique)
    program.management = "nobody"
    with pytest.raises(automation.CommandError, match=f"realm '{unique}' has no client 'nobody'"):
        deploy(program).up()
