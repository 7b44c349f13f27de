"""The realm as code: roles, departments, people, agents and clients of one stack, inside a running Keycloak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_keycloak as keycloak

from components.realm import (
    AUDIENCE,
    AUDITOR,
    CLI_CLIENT,
    CUSTODIAN_CLIENT,
    DEMO_CLIENT,
    MANAGEMENT_CLIENT,
    MAY_LOOK,
    MFA_ROLE,
    REALM,
    SCOPES,
    SSO_CLIENT,
    TRACES_CLIENT,
    agent_client,
    agent_scope,
    agent_secret,
)
from config.keys import key_set
from config.stack import Agent, Person, Stack, Subject

Secret = Callable[[str], pulumi.Output[str]]
"""Looks a secret up by its name in the store; the value is marked secret."""


@dataclass(frozen=True, kw_only=True)
class RealmArgs:
    """``consoles``: base URLs of those behind the sign-in, for redirects after it; ``traces``: the trace store's."""

    stack: Stack
    secret: Secret
    consoles: tuple[str, ...]
    traces: str
    provider: keycloak.Provider


class Realm(pulumi.ComponentResource):
    """Everything inside the realm.

    Makes: a ``Realm`` and its ``RealmEvents``; a ``Role`` per role, one for auditors and, where a role asks for it, one
    for those who must give a second factor; a ``Group`` per department; a ``ClientScope`` with three mappers (audience,
    roles, department); clients for the consoles, the command line and the custodian, which gets a
    ``ClientServiceAccountRole`` for each thing that it may look at; per person a ``User``, ``UserRoles`` and
    ``UserGroups``; per agent a ``Client``, ``ClientServiceAccountRealmRole`` and ``UserGroups``;
    ``ClientDefaultScopes`` for every client by which somebody comes in. For each agent that may act for people a
    ``ClientScope`` that makes it an audience, which the command line's clients may ask for (``ClientOptionalScopes``).
    """

    id: pulumi.Output[str]
    """The realm's, for what else is made in it."""
    resource: keycloak.Realm
    """The realm without what is in it."""
    mfa: keycloak.Role | None
    """Whoever has this role must give a second factor; None if no role asks for one."""

    def __init__(self, name: str, args: RealmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("praxis:identity:Realm", name, None, opts)
        self._name = name
        self._args = args
        self._opts = pulumi.ResourceOptions(parent=self, provider=args.provider)
        self.resource = self._realm()
        self.id = self.resource.id
        self._scope = self._claims()
        with_mfa = args.stack.roles_with_mfa()
        self.mfa = self._role(MFA_ROLE) if with_mfa else None
        self._roles = {
            role: self._role(role, *([self.mfa] if self.mfa and role in with_mfa else []))
            for role in (*args.stack.roles, AUDITOR)
        }
        self._groups = {department: self._group(department) for department in args.stack.departments}
        self._agents: dict[str, keycloak.openid.Client] = {}
        self._command_line: dict[str, keycloak.openid.Client] = {}
        self._own_clients()
        self._custodian()
        for person, settings in args.stack.people.items():
            self._person(person, settings)
        for agent, declared in args.stack.agents.items():
            self._agent(agent, declared)
        self._on_behalf(args.stack.acting_agents())
        self.register_outputs({"realm": REALM})

    def _realm(self) -> keycloak.Realm:
        return keycloak.Realm(
            f"{self._name}-realm",
            realm=REALM,
            display_name="Praxis",
            enabled=True,
            registration_allowed=False,
            login_with_email_allowed=True,
            ssl_required="external",
            default_signature_algorithm="RS256",
            access_token_lifespan="10m0s",  # noqa: S106 - a duration
            sso_session_idle_timeout="8h0m0s",
            security_defenses=keycloak.RealmSecurityDefensesArgs(
                brute_force_detection=keycloak.RealmSecurityDefensesBruteForceDetectionArgs(max_login_failures=10)
            ),
            opts=self._opts,
        )

    def _claims(self) -> keycloak.openid.ClientScope:
        """The scope that puts audience, roles and department into every token, for people and agents alike."""
        scope = keycloak.openid.ClientScope(
            f"{self._name}-claims", realm_id=self.id, name="praxis", include_in_token_scope=False, opts=self._opts
        )
        keycloak.openid.AudienceProtocolMapper(
            f"{self._name}-claims-audience",
            realm_id=self.id,
            client_scope_id=scope.id,
            name="audience",
            included_custom_audience=AUDIENCE,
            add_to_id_token=False,
            opts=self._opts,
        )
        keycloak.openid.UserRealmRoleProtocolMapper(
            f"{self._name}-claims-roles",
            realm_id=self.id,
            client_scope_id=scope.id,
            name="roles",
            claim_name="roles",
            multivalued=True,
            opts=self._opts,
        )
        keycloak.openid.GroupMembershipProtocolMapper(
            f"{self._name}-claims-department",
            realm_id=self.id,
            client_scope_id=scope.id,
            name="department",
            claim_name="department",
            full_path=False,
            opts=self._opts,
        )
        return scope

    def _role(self, name: str, *given: keycloak.Role) -> keycloak.Role:
        """``given``: other roles that whoever has this one has by it."""
        return keycloak.Role(
            f"{self._name}-role-{name}",
            realm_id=self.id,
            name=name,
            composite_roles=[role.id for role in given] or None,
            opts=self._opts,
        )

    def _group(self, department: str) -> keycloak.Group:
        return keycloak.Group(
            f"{self._name}-department-{department}", realm_id=self.id, name=department, opts=self._opts
        )

    def _own_clients(self) -> None:
        """Those by which people sign in; agents have each their own."""
        secret, stack = self._args.secret, self._args.stack
        browser = {"access_type": "CONFIDENTIAL", "standard_flow_enabled": True}
        self._own_client(
            SSO_CLIENT,
            "Praxis consoles",
            **browser,
            client_secret=secret("sso-client-secret"),
            valid_redirect_uris=[f"{console}/oauth2/callback" for console in self._args.consoles],
            pkce_code_challenge_method="S256",
        )
        if stack.observability.backend == "langfuse":
            self._own_client(
                TRACES_CLIENT,
                "Praxis traces",
                **browser,
                client_secret=secret("langfuse-client-secret"),
                valid_redirect_uris=[f"{self._args.traces}/api/auth/callback/keycloak"],
            )
        self._command_line[CLI_CLIENT] = self._own_client(
            CLI_CLIENT, "Praxis command line", access_type="PUBLIC", oauth2_device_authorization_grant_enabled=True
        )
        if stack.environment == "demo":
            self._command_line[DEMO_CLIENT] = self._own_client(
                DEMO_CLIENT, "Praxis demonstration", access_type="PUBLIC", direct_access_grants_enabled=True
            )

    def _own_client(self, client_id: str, title: str, **settings: Any) -> keycloak.openid.Client:
        """``settings``: of ``keycloak.openid.Client``."""
        client = keycloak.openid.Client(
            f"{self._name}-client-{client_id}",
            realm_id=self.id,
            client_id=client_id,
            name=title,
            opts=self._opts,
            **settings,
        )
        self._scopes(client_id, client)
        return client

    def _custodian(self) -> None:
        """A service account that may look at accounts and at what is done to them, and change nothing."""
        client = keycloak.openid.Client(
            f"{self._name}-client-{CUSTODIAN_CLIENT}",
            realm_id=self.id,
            client_id=CUSTODIAN_CLIENT,
            name="Praxis custodian",
            access_type="CONFIDENTIAL",
            client_secret=self._args.secret("custodian-client-secret"),
            service_accounts_enabled=True,
            opts=self._opts,
        )
        # Which id its own client has, Keycloak alone knows.
        management = keycloak.openid.get_client_output(
            realm_id=self.id,
            client_id=MANAGEMENT_CLIENT,
            opts=pulumi.InvokeOutputOptions(provider=self._args.provider, parent=self, depends_on=[client]),
        )
        for role in MAY_LOOK:
            keycloak.openid.ClientServiceAccountRole(
                f"{self._name}-client-{CUSTODIAN_CLIENT}-{role}",
                realm_id=self.id,
                service_account_user_id=client.service_account_user_id,
                client_id=management.id,
                role=role,
                opts=self._opts,
            )
        keycloak.RealmEvents(
            f"{self._name}-events",
            realm_id=self.id,
            admin_events_enabled=True,
            events_listeners=["jboss-logging"],
            opts=self._opts,
        )

    def _scopes(self, name: str, client: keycloak.openid.Client, *more: str) -> None:
        keycloak.openid.ClientDefaultScopes(
            f"{self._name}-scopes-{name}",
            realm_id=self.id,
            client_id=client.id,
            # Names, not ids: Keycloak refuses a scope that does not exist, so ours has to be made first.
            default_scopes=sorted([*SCOPES, *more]),
            opts=pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(depends_on=[self._scope])),
        )

    def _person(self, name: str, person: Person) -> None:
        user = keycloak.User(
            f"{self._name}-person-{name}",
            realm_id=self.id,
            username=name,
            email=person.email,
            email_verified=True,
            first_name=person.given_name,
            last_name=person.family_name,
            enabled=True,
            initial_password=(
                keycloak.UserInitialPasswordArgs(value=self._args.secret(f"person-{name}-password"), temporary=False)
                if self._args.stack.environment == "demo"
                else None
            ),
            opts=self._opts,
        )
        roles = [person.role, *([AUDITOR] if person.auditor else [])]
        keycloak.UserRoles(
            f"{self._name}-person-{name}-roles",
            realm_id=self.id,
            user_id=user.id,
            role_ids=[self._roles[role].id for role in roles],
            exhaustive=False,
            opts=self._opts,
        )
        self._member(f"person-{name}", user.id, person)

    def _agent(self, name: str, agent: Agent) -> None:
        client = keycloak.openid.Client(
            f"{self._name}-agent-{name}",
            realm_id=self.id,
            client_id=agent_client(name),
            name=name,
            description=f"answered for by {agent.owner}" if agent.owner else None,
            access_type="CONFIDENTIAL",
            **self._proof(name, agent),
            service_accounts_enabled=True,
            standard_token_exchange_enabled=True if agent.on_behalf_of else None,
            opts=self._opts,
        )
        self._agents[name] = client
        # Keycloak gives every client with a service account this scope, again at each update of the client.
        self._scopes(f"agent-{name}", client, "service_account")
        keycloak.openid.ClientServiceAccountRealmRole(
            f"{self._name}-agent-{name}-role",
            realm_id=self.id,
            service_account_user_id=client.service_account_user_id,
            role=self._roles[agent.role].name,
            opts=self._opts,
        )
        self._member(f"agent-{name}", client.service_account_user_id, agent)

    def _on_behalf(self, agents: list[str]) -> None:
        """What lets people hand an agent a token that it may exchange: Keycloak wants it to be the token's audience."""
        scopes = []
        for name in agents:
            scope = keycloak.openid.ClientScope(
                f"{self._name}-for-{name}",
                realm_id=self.id,
                name=agent_scope(name),
                include_in_token_scope=False,
                opts=self._opts,
            )
            mapper = keycloak.openid.AudienceProtocolMapper(
                f"{self._name}-for-{name}-audience",
                realm_id=self.id,
                client_scope_id=scope.id,
                name=agent_client(name),
                included_client_audience=self._agents[name].client_id,
                add_to_id_token=False,
                opts=self._opts,
            )
            scopes += [scope, mapper]
        for client_id, client in self._command_line.items() if agents else ():
            keycloak.openid.ClientOptionalScopes(
                f"{self._name}-optional-scopes-{client_id}",
                realm_id=self.id,
                client_id=client.id,
                optional_scopes=sorted(map(agent_scope, agents)),
                opts=pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(depends_on=scopes)),
            )

    def _proof(self, name: str, agent: Agent) -> dict[str, Any]:
        """How an agent proves who it is, as settings of its client."""
        if agent.public_keys is None:
            return {"client_secret": self._args.secret(agent_secret(name))}
        keys = {"use.jwks.string": "true", "jwks.string": key_set(agent.public_keys)}
        return {"client_authenticator_type": "client-jwt", "extra_config": keys}

    def _member(self, who: str, user_id: pulumi.Output[str], subject: Subject) -> None:
        keycloak.UserGroups(
            f"{self._name}-{who}-department",
            realm_id=self.id,
            user_id=user_id,
            group_ids=[self._groups[subject.department].id],
            exhaustive=True,
            opts=self._opts,
        )
