"""Rights of a service account in Keycloak itself, and what a realm writes down."""

from __future__ import annotations

import httpx
import pulumi
import pulumi_keycloak as keycloak
import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pulumi import automation

from components.realm import agent_client
from config.keys import Key, key_set
from infra.cli.agents import ASSERTION, assertion
from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.keycloak_server import Server, signed_in

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


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


class Robot:
    """An agent's client that proves itself by keys, or by a secret where there are none."""

    def __init__(self, server: Server, realm: str, *keys: Key) -> None:
        self.server = server
        self.realm = realm
        self.keys = keys

    def __call__(self) -> None:
        opts = signed_in(self.server)
        realm = keycloak.Realm("realm", realm=self.realm, opts=opts)
        by_keys = {
            "client_authenticator_type": "client-jwt",
            "extra_config": {
                "use.jwks.string": "true",
                "jwks.string": key_set(key.as_pem(private=False).decode() for key in self.keys),
            },
        }
        keycloak.openid.Client(
            "robot",
            realm_id=realm.id,
            client_id=agent_client("robot"),
            access_type="CONFIDENTIAL",
            service_accounts_enabled=True,
            opts=opts,
            **(by_keys if self.keys else {"client_secret": pulumi.Output.secret("canary-of-the-robot")}),
        )

    def signs_in(self, key: Key) -> bool:
        """Whether Keycloak takes the word that is signed with ``key``."""
        at = f"{self.server.url}/realms/{self.realm}"
        form = {
            "grant_type": "client_credentials", "client_id": agent_client("robot"), "client_assertion_type": ASSERTION,
            "client_assertion": assertion("robot", at, key),
        }  # fmt: skip
        answer = httpx.post(f"{at}/protocol/openid-connect/token", data=form, timeout=30)
        assert answer.status_code in (200, 400, 401), answer.text
        return answer.status_code == 200


def test_an_agent_signs_in_by_keys_of_its_own(deploy: Deployer, server: Server, unique: str) -> None:
    rsa, curve, edwards = RSAKey.generate_key(2048), ECKey.generate_key("P-256"), OKPKey.generate_key("Ed25519")
    program = Robot(server, unique, rsa, curve, edwards)
    stack = deploy(program)
    stack.up()
    assert stack.preview(refresh=True) == {}
    assert [program.signs_in(key) for key in (rsa, curve, edwards)] == [True, True, True]
    assert not program.signs_in(RSAKey.generate_key(2048)), "nobody else's"
    program.keys = (curve,)
    assert stack.up() == {"update": 1}
    assert (program.signs_in(curve), program.signs_in(rsa)) == (True, False)

    # By hand: a key of somebody's own.
    (client,) = server.ask("GET", f"/{unique}/clients?clientId=agent-robot")
    attributes = {"jwks.string": key_set([rsa.as_pem(private=False).decode()])}
    server.ask("PUT", f"/{unique}/clients/{client['id']}", {**client, "attributes": client["attributes"] | attributes})
    assert program.signs_in(rsa)
    assert stack.preview(refresh=True) == {"update": 1}
    stack.up(refresh=True)
    assert (program.signs_in(curve), program.signs_in(rsa)) == (True, False)

    program.keys = ()
    assert stack.up() == {"update": 1}
    assert not program.signs_in(curve)
    form = {"grant_type": "client_credentials", "client_id": "agent-robot", "client_secret": "canary-of-the-robot"}
    assert server.token(unique, **form)["access_token"]
    stack.destroy()
