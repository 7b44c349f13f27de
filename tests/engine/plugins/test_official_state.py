"""State as the official plugins leave it previews as unchanged with the stand-ins.

``data/official.json`` is such a state, written down from the plugins' schemas and the sources of what they wrap: each
type that a stack of ours has, every default that a bridged plugin stores (``__defaults``), every empty text and zero
that it reads back, sets in another order, durations in another spelling. The vendor's own bytes did not write it:
see ``tests/engine/supply/test_official.py``.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pulumi_docker as docker
import pulumi_keycloak as keycloak
import pytest

from infra.supply.engine import ENGINE
from tests.engine.plugins.harness import Deployment, Engine, environment

FIXTURE = Path(__file__).parent / "data/official.json"
NAME = "official"


class Program:
    """What the state of the fixture was made from; two of its settings can be changed."""

    def __init__(self) -> None:
        self.memory_mib = 288
        self.display_name = "Praxis"

    def __call__(self) -> None:
        self._containers()
        self._realm()

    def _containers(self) -> None:
        label = {"praxis.stack": NAME}
        network = docker.Network(
            "network-data",
            name="praxis-official-data",
            driver="bridge",
            internal=True,
            options={"com.docker.network.bridge.inhibit_ipv4": "true"},
            labels=[docker.NetworkLabelArgs(label=key, value=value) for key, value in label.items()],
        )
        volumes = [docker.VolumeLabelArgs(label=key, value=value) for key, value in label.items()]
        data = docker.Volume(
            "volume-postgres",
            name="praxis-official-postgres",
            driver="local",
            labels=volumes,
            opts=pulumi.ResourceOptions(protect=True),
        )
        secrets = docker.Volume(
            "secrets-postgres",
            name="praxis-official-secrets-postgres",
            driver="local",
            driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=61011,gid=61001,mode=2750"},
            labels=volumes,
        )
        docker.Container(
            "service-postgres",
            name="praxis-official-postgres",
            image=f"sha256:{'9' * 64}",
            envs=["A=1", "B=2"],
            user="61001:61001",
            hostname="postgres",
            memory=self.memory_mib,
            memory_swap=self.memory_mib,
            restart="unless-stopped",
            read_only=True,
            capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
            security_opts=["no-new-privileges:true"],
            ulimits=[docker.ContainerUlimitArgs(name="core", soft=1, hard=1)],
            init=True,
            tmpfs={"/tmp": "size=16m,mode=1777"},
            mounts=[
                docker.ContainerMountArgs(type="volume", source=data.name, target="/var/lib/postgresql/data"),
                docker.ContainerMountArgs(type="volume", source=secrets.name, target="/run/secrets", read_only=True),
                docker.ContainerMountArgs(
                    type="bind",
                    source="/srv/praxis/config/postgres-0123456789abcdef",
                    target="/etc/praxis",
                    read_only=True,
                ),
            ],
            network_mode="bridge",
            dns=["127.0.0.1"],
            sysctls={"net.ipv4.ip_forward": "0"},
            networks_advanced=[docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["postgres"])],
            ports=[docker.ContainerPortArgs(internal=5432, external=15432, ip="127.0.0.1")],
            healthcheck=docker.ContainerHealthcheckArgs(
                tests=["CMD", "probe", "5432"], interval="4s", timeout="5s", start_period="120s", retries=5
            ),
            wait=True,
            wait_timeout=300,
            stop_timeout=30,
            destroy_grace_seconds=30,
            log_driver="json-file",
            log_opts={"max-size": "10m", "max-file": "3"},
            labels=[
                docker.ContainerLabelArgs(label=key, value=value)
                for key, value in {**label, "praxis.service": "postgres", "praxis.spec": "0f" * 32}.items()
            ],
            opts=pulumi.ResourceOptions(
                delete_before_replace=True, replace_on_changes=["healthcheck", "tmpfs", "labels"]
            ),
        )

    def _realm(self) -> None:
        admin = keycloak.Provider(
            "admin",
            url="http://127.0.0.1:8090",
            client_id="admin-cli",
            username="admin",
            password=pulumi.Output.secret("admin-password"),
            initial_login=False,
        )
        opts = pulumi.ResourceOptions(provider=admin)
        realm = keycloak.Realm(
            "realm",
            realm="praxis",
            display_name=self.display_name,
            enabled=True,
            registration_allowed=False,
            login_with_email_allowed=True,
            ssl_required="external",
            default_signature_algorithm="RS256",
            access_token_lifespan="10m0s",
            sso_session_idle_timeout="8h0m0s",
            security_defenses=keycloak.RealmSecurityDefensesArgs(
                brute_force_detection=keycloak.RealmSecurityDefensesBruteForceDetectionArgs(max_login_failures=10)
            ),
            opts=opts,
        )
        role = keycloak.Role("role", realm_id=realm.id, name="engineer", opts=opts)
        group = keycloak.Group("group", realm_id=realm.id, name="research", opts=opts)
        self._scope(realm, opts)
        sso, agent = self._clients(realm, opts)
        keycloak.openid.ClientDefaultScopes(
            "scopes",
            realm_id=realm.id,
            client_id=sso.id,
            default_scopes=["acr", "basic", "email", "praxis", "profile"],
            opts=opts,
        )
        keycloak.openid.ClientOptionalScopes(
            "optional-scopes", realm_id=realm.id, client_id=sso.id, optional_scopes=["address", "phone"], opts=opts
        )
        keycloak.openid.ClientServiceAccountRealmRole(
            "account-role",
            realm_id=realm.id,
            service_account_user_id=agent.service_account_user_id,
            role=role.name,
            opts=opts,
        )
        keycloak.openid.ClientServiceAccountRole(
            "account-client-role",
            realm_id=realm.id,
            service_account_user_id=agent.service_account_user_id,
            client_id="00000011-1111-4222-8333-444455556666",
            role="view-users",
            opts=opts,
        )
        keycloak.RealmEvents(
            "events", realm_id=realm.id, admin_events_enabled=True, events_listeners=["jboss-logging"], opts=opts
        )
        user = keycloak.User(
            "user",
            realm_id=realm.id,
            username="alice",
            email="alice@example.com",
            email_verified=True,
            first_name="Alice",
            last_name="Adams",
            enabled=True,
            initial_password=keycloak.UserInitialPasswordArgs(
                value=pulumi.Output.secret("alice-password"), temporary=False
            ),
            opts=opts,
        )
        keycloak.UserRoles(
            "user-roles", realm_id=realm.id, user_id=user.id, role_ids=[role.id], exhaustive=False, opts=opts
        )
        keycloak.UserGroups(
            "user-groups", realm_id=realm.id, user_id=user.id, group_ids=[group.id], exhaustive=True, opts=opts
        )

        self._directories(realm, opts)
        self._flows(realm, opts)

    @staticmethod
    def _flows(realm: keycloak.Realm, opts: pulumi.ResourceOptions) -> None:
        flow = keycloak.authentication.Flow("flow", realm_id=realm.id, alias="praxis-browser", opts=opts)
        subflow = keycloak.authentication.Subflow(
            "subflow",
            realm_id=realm.id,
            parent_flow_alias=flow.alias,
            alias="praxis-browser-second",
            requirement="CONDITIONAL",
            priority=20,
            opts=opts,
        )
        execution = keycloak.authentication.Execution(
            "execution",
            realm_id=realm.id,
            parent_flow_alias=subflow.alias,
            authenticator="conditional-user-role",
            requirement="REQUIRED",
            opts=opts,
        )
        keycloak.authentication.ExecutionConfig(
            "execution-config",
            realm_id=realm.id,
            execution_id=execution.id,
            alias="praxis-browser-role",
            config={"condUserRole": "praxis-mfa", "negate": "false"},
            opts=opts,
        )
        keycloak.authentication.Bindings("bindings", realm_id=realm.id, browser_flow=flow.alias, opts=opts)

    @staticmethod
    def _directories(realm: keycloak.Realm, opts: pulumi.ResourceOptions) -> None:
        common: dict[str, Any] = {
            "realm": realm.id, "enabled": True, "sync_mode": "FORCE", "store_token": False, "trust_email": False,
            "validate_signature": True, "opts": opts,
        }  # fmt: skip
        acme = keycloak.oidc.IdentityProvider(
            "directory",
            **common,
            alias="acme",
            display_name="Acme",
            gui_order="0",
            client_id="praxis",
            client_secret=pulumi.Output.secret("acme-secret"),
            issuer="https://acme.example.com",
            authorization_url="https://acme.example.com/authorize",
            token_url="http://directories:8200/acme/token",
            jwks_url="http://directories:8200/acme/keys",
            disable_user_info=True,
            default_scopes="openid profile email",
            extra_config={"clientAuthMethod": "client_secret_post", "pkceEnabled": "true", "pkceMethod": "S256"},
        )
        keycloak.saml.IdentityProvider(
            "saml-directory",
            **common,
            alias="old",
            display_name="Old",
            gui_order="1",
            entity_id="http://id.localhost:8080/realms/praxis",
            single_sign_on_service_url="https://old.example.com/saml",
            signing_certificate="MIIBAAAA",
            name_id_policy_format="Persistent",
            post_binding_response=True,
            want_assertions_signed=True,
            extra_config={"idpEntityId": "urn:old:idp"},
        )
        keycloak.CustomIdentityProviderMapping(
            "directory-mapper",
            realm=realm.id,
            identity_provider_alias=acme.alias,
            name="role-engineer",
            identity_provider_mapper="oidc-advanced-role-idp-mapper",
            extra_config={
                "syncMode": "FORCE",
                "claims": json.dumps([{"key": "roles", "value": r"Gateway\.Engineer"}]),
                "are.claim.values.regex": "true",
                "role": "engineer",
            },
            opts=opts,
        )

    @staticmethod
    def _scope(realm: keycloak.Realm, opts: pulumi.ResourceOptions) -> None:
        scope = keycloak.openid.ClientScope(
            "scope", realm_id=realm.id, name="praxis", include_in_token_scope=False, opts=opts
        )
        keycloak.openid.AudienceProtocolMapper(
            "audience",
            realm_id=realm.id,
            client_scope_id=scope.id,
            name="audience",
            included_custom_audience="praxis-gateway",
            add_to_id_token=False,
            opts=opts,
        )
        keycloak.openid.UserRealmRoleProtocolMapper(
            "roles",
            realm_id=realm.id,
            client_scope_id=scope.id,
            name="roles",
            claim_name="roles",
            multivalued=True,
            opts=opts,
        )
        keycloak.openid.GroupMembershipProtocolMapper(
            "department",
            realm_id=realm.id,
            client_scope_id=scope.id,
            name="department",
            claim_name="department",
            full_path=False,
            opts=opts,
        )

    @staticmethod
    def _clients(
        realm: keycloak.Realm, opts: pulumi.ResourceOptions
    ) -> tuple[keycloak.openid.Client, keycloak.openid.Client]:
        sso = keycloak.openid.Client(
            "sso",
            realm_id=realm.id,
            client_id="praxis-consoles",
            name="Praxis consoles",
            access_type="CONFIDENTIAL",
            client_secret=pulumi.Output.secret("sso-secret"),
            standard_flow_enabled=True,
            valid_redirect_uris=["http://traces.localhost:8080/oauth2/callback"],
            pkce_code_challenge_method="S256",
            opts=opts,
        )
        keycloak.openid.Client(
            "cli",
            realm_id=realm.id,
            client_id="praxis-cli",
            name="Praxis command line",
            access_type="PUBLIC",
            oauth2_device_authorization_grant_enabled=True,
            opts=opts,
        )
        agent = keycloak.openid.Client(
            "agent",
            realm_id=realm.id,
            client_id="agent-nightly-report",
            name="nightly-report",
            access_type="CONFIDENTIAL",
            client_secret=pulumi.Output.secret("agent-secret"),
            service_accounts_enabled=True,
            opts=opts,
        )
        return sso, agent


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
def stack(engine: Engine, program: Program, tmp_path: Path) -> Iterator[Deployment]:
    """The stack with the official plugins' state; nothing of it exists anywhere."""
    made = engine.deploy(NAME, program)
    workspace = made.stack.workspace
    state = json.loads(FIXTURE.read_text(encoding="utf-8"))
    # Its secrets stand there in the clear: they are encrypted when it is imported, for this stack.
    salt = workspace.stack_settings(NAME).encryption_salt
    state["deployment"]["secrets_providers"] = {"type": "passphrase", "state": {"salt": salt}}
    file = tmp_path / "state.json"
    file.write_text(json.dumps(state), encoding="utf-8")
    done = subprocess.run(
        [ENGINE.path(), "stack", "import", "--stack", NAME, "--file", file, "--non-interactive"],
        cwd=workspace.work_dir,
        env=environment(engine.folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    yield made
    workspace.remove_stack(NAME, force=True)


def test_it_previews_as_unchanged(stack: Deployment) -> None:
    assert stack.preview() == {}, {name: diffs for name, diffs in stack.changed.items() if diffs}


def test_a_change_is_still_seen_as_one(stack: Deployment, program: Program) -> None:
    program.memory_mib, program.display_name = 320, "Another"
    assert stack.preview() == {"update": 2}
    assert stack.changed["service-postgres"] == ["memory", "memorySwap"]
    assert stack.changed["realm"] == ["displayName"]
