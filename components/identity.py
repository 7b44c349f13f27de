"""Layer 2, identity: Keycloak itself. What is inside its realm stands in :mod:`components.realm`."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_keycloak as keycloak

from components.federation import Federation, FederationArgs
from components.flows import BY_DIRECTORY, Flows, FlowsArgs
from components.realm import MFA_ROLE, REALM, Realm, RealmArgs, Secret
from components.spec import SECRETS_FOLDER, ServiceSpec, http_probe
from components.target import Target
from config.stack import Stack

ISSUER_INSIDE = f"http://keycloak:8080/realms/{REALM}"
"""The realm as the other services reach it; tokens name :func:`issuer` all the same."""


def public_url(stack: Stack, host: str) -> str:
    """Where a browser finds a console. Browsers resolve ``*.localhost`` by themselves (RFC 6761)."""
    return f"http://{host}.localhost:{stack.edge.http_port}"


def api_url(stack: Stack) -> str:
    """Where a program on this machine finds the gateway's API."""
    return f"http://localhost:{stack.edge.http_port}"


def issuer(stack: Stack) -> str:
    """The ``iss`` claim of the realm's tokens."""
    return f"{public_url(stack, 'id')}/realms/{REALM}"


def server(stack: Stack) -> ServiceSpec:
    """Keycloak. Its settings hold its database password, so the whole file is delivered as a secret."""
    settings = {
        "db-url": "jdbc:postgresql://postgres:5432/keycloak",
        "db-username": "keycloak",
        "db-password": "${keycloak-db-password}",
        "db-pool-initial-size": "1",
        "db-pool-min-size": "1",
        "db-pool-max-size": "10",
        "bootstrap-admin-username": "admin",
        "bootstrap-admin-password": "${keycloak-admin-password}",
        "hostname": public_url(stack, "id"),
        "hostname-backchannel-dynamic": "true",
        "http-enabled": "true",
        "proxy-headers": "xforwarded",
        "cache": "local",
        "log": "console",
        "log-level": "warn",
        # At debug level Hibernate lists what it has read from the database: clients with their secrets. Never that.
        "log-level-org.hibernate.orm.core": "warn",
    }
    return ServiceSpec(
        name="keycloak",
        image="keycloak",
        uid=61003,
        memory_mib=576,
        networks=("front", "data", *(("directories",) if stack.identity.openid() else ())),
        secrets={"keycloak.conf": "".join(f"{key}={value}\n" for key, value in settings.items())},
        env={"PRAXIS_CONFIG": f"{SECRETS_FOLDER}/keycloak.conf"},
        probe=http_probe(9000, "/health/ready", start_period_s=240),
        tmp_mib=64,
        # Langfuse asks the realm at the address that its tokens name, which inside leads nowhere by itself.
        aliases=("id.localhost",) if stack.observability.backend == "langfuse" else (),
        needs=("postgres",),
    )


@dataclass(frozen=True, kw_only=True)
class IdentityArgs:
    """``service``: Keycloak's spec; ``ways_out``: by which it reaches directories; ``secret`` gives passwords and
    client secrets by name."""

    target: Target
    stack: Stack
    service: ServiceSpec
    ways_out: tuple[ServiceSpec, ...]
    secret: Secret


class Identity(pulumi.ComponentResource):
    """Layer 2. Makes Keycloak's service, a ``keycloak.Provider`` for its admin API and a :class:`Realm`; where a role
    asks for a second factor, :class:`Flows`; where directories are declared, a :class:`Federation` and the service by
    which Keycloak reaches them."""

    realm: Realm

    def __init__(self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("praxis:identity:Identity", name, None, opts)
        reached = [args.target.service(way_out, self) for way_out in args.ways_out]
        args.target.service(args.service, self)
        provider = keycloak.Provider(
            f"{name}-admin",
            # Unknown until the server is ready, so a first preview asks nothing of a server that is not there yet.
            url=args.target.reach("keycloak"),
            client_id="admin-cli",
            username="admin",
            password=args.secret("keycloak-admin-password"),
            initial_login=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.realm = Realm(
            f"{name}-praxis",
            RealmArgs(
                stack=args.stack,
                secret=args.secret,
                consoles=tuple(public_url(args.stack, host) for host in ("traces", "console")),
                traces=public_url(args.stack, "traces"),
                provider=provider,
            ),
            pulumi.ResourceOptions(parent=self),
        )
        flows = self._flows(f"{name}-flows", args.stack, provider)
        if args.stack.identity.directories:
            Federation(
                f"{name}-federation",
                FederationArgs(
                    stack=args.stack,
                    realm=self.realm.id,
                    issuer=issuer(args.stack),
                    secret=args.secret,
                    provider=provider,
                    # Keycloak looks an address up before it takes it: the way there comes first.
                    ready=[self.realm, *flows, *reached],
                    after_sign_in=BY_DIRECTORY if flows else None,
                ),
                pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def _flows(self, name: str, stack: Stack, provider: keycloak.Provider) -> list[pulumi.Resource]:
        if self.realm.mfa is None:
            return []
        args = FlowsArgs(
            realm=self.realm.id,
            role=MFA_ROLE,
            directories=bool(stack.identity.directories),
            provider=provider,
            ready=[self.realm.mfa],
        )
        return [Flows(name, args, pulumi.ResourceOptions(parent=self))]
