"""A program with all that the stack's own realm has."""

from __future__ import annotations

import base64
import json
from typing import Any

import pulumi
import pulumi_keycloak as keycloak

from tests.engine.plugins.keycloak_server import Server, signed_in


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
        keycloak.openid.ClientOptionalScopes(
            "people-optional-scopes",
            realm_id=realm.id,
            client_id=people.id,
            optional_scopes=["phone", "address"],
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


RESOURCES = 18 + 2
"""Of the program above, with its provider and the stack itself."""
