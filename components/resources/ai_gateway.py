"""The whole gateway: the one place that composes the layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from components.resources.governance import Governance, GovernanceArgs
from components.resources.identity import Identity, IdentityArgs
from components.resources.realm import Secret
from components.resources.services import Layer, Services, ServicesArgs
from components.resources.target import Capability, Target, require
from components.spec import Blueprint
from config.stack import Stack

STORES = ("mlflow", "queue", "objects", "clickhouse", "langfuse", "langfuse-worker")
"""Services of the trace stores, whichever there is."""
NEEDED = (
    Capability.NETWORK,
    Capability.VOLUME,
    Capability.DATABASE,
    Capability.SECRETS,
    Capability.SERVICE,
    Capability.INGRESS,
    Capability.REACH,
)


@dataclass(frozen=True, kw_only=True)
class AiGatewayArgs:
    """``secret`` looks secrets up by name; only Keycloak's and LiteLLM's providers and the realm's objects get any."""

    target: Target
    stack: Stack
    plan: Blueprint
    secret: Secret


class AiGateway(pulumi.ComponentResource):
    """The whole gateway. Makes the networks, the data volumes, the delivery of secrets, and one component a layer.

    Raises:
        CapabilityError: the target cannot do what the stack asks for; raised before any resource is registered.
    """

    def __init__(self, name: str, args: AiGatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        require(args.target, NEEDED)
        super().__init__("praxis:index:AiGateway", name, None, opts)
        target, plan = args.target, args.plan
        child = pulumi.ResourceOptions(parent=self)
        for network in plan.networks:
            target.network(network, self)
        for volume in plan.volumes():
            target.volume(volume, self)
        target.deliver_secrets(plan.services, self)

        def made(layer: Layer, *services: str, after: Sequence[pulumi.Resource] = ()) -> None:
            picked = ServicesArgs(layer=layer, target=target, services=plan.pick(*services), after=after)
            Services(f"{name}-{layer}", picked, child)

        made("data", "postgres", "redis")
        made("edge", "edge")
        identity = Identity(
            f"{name}-identity",
            IdentityArgs(
                target=target,
                stack=args.stack,
                service=plan["keycloak"],
                ways_out=plan.pick("directories"),
                secret=args.secret,
            ),
            child,
        )
        # The order of registration is the order of needs: a service finds what it needs already made.
        made("observability", "collector", *STORES, "sso")
        made("gateway", "model", "litellm")
        Governance(f"{name}-governance", GovernanceArgs(target=target, stack=args.stack, secret=args.secret), child)
        # It is ready only when the keys that sign the realm's tokens can be fetched. What is in the realm, and
        # LiteLLM's teams, it asks for with the first request of each subject.
        made("custodian", "custodian", after=[identity.realm.resource])
        if plan.pick("egress"):
            made("egress", "egress")
        self.register_outputs({})
