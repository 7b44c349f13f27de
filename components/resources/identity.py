"""Layer 2, identity, made: Keycloak, and what is inside its realm."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_keycloak as keycloak

from components.flows import BY_DIRECTORY
from components.identity import issuer, public_url
from components.realm import MFA_ROLE
from components.resources.federation import Federation, FederationArgs
from components.resources.flows import Flows, FlowsArgs
from components.resources.realm import Realm, RealmArgs, Secret
from components.resources.target import Target
from components.spec import ServiceSpec
from config.stack import Stack


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
