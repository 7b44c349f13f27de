"""Rights of a service account in Keycloak itself, and what a realm writes down."""

from __future__ import annotations

import httpx
import pulumi
import pulumi_keycloak as keycloak
import pytest
from pulumi import automation

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
