"""From a stack file to all its services, as data; and the one place that composes the layers."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.custodian import Custodian, CustodianArgs, custodian
from components.data import Data, DataArgs, postgres, redis
from components.directories import directories
from components.edge import Edge, EdgeArgs, edge
from components.egress import Egress, EgressArgs, egress
from components.gateway import Gateway, GatewayArgs, litellm, local_model
from components.governance import Governance, GovernanceArgs
from components.identity import Identity, IdentityArgs, server
from components.langfuse import langfuse
from components.observability import Observability, ObservabilityArgs, collector, mlflow, sso
from components.realm import Secret
from components.spec import Blueprint
from components.target import Capability, Target, require
from config.stack import Stack

MEMORY_LIMIT_MIB = {"mlflow": 3584, "langfuse": 10240}
"""What the hard limits may add up to, by the trace store: 3.5 GiB in the small profile, 10 GiB in the full one."""

NEEDED = (
    Capability.NETWORK,
    Capability.VOLUME,
    Capability.DATABASE,
    Capability.SECRETS,
    Capability.SERVICE,
    Capability.INGRESS,
    Capability.REACH,
)


def blueprint(stack: Stack, name: str) -> Blueprint:
    """All services of ``stack``; pure, so it can be rendered and tested without a machine."""
    return Blueprint(
        stack=name,
        services=(
            postgres(stack),
            redis(),
            edge(stack),
            server(stack),
            *local_model(stack),
            litellm(stack, name),
            collector(stack),
            *(langfuse(stack) if stack.observability.backend == "langfuse" else (mlflow(stack),)),
            custodian(stack, name),
            sso(stack),
            *egress(stack),
            *directories(stack),
        ),
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

        Data(f"{name}-data", DataArgs(target=target, services=plan.pick("postgres", "redis")), child)
        Edge(f"{name}-edge", EdgeArgs(target=target, service=plan["edge"]), child)
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
        store = ("mlflow", "queue", "objects", "clickhouse", "langfuse", "langfuse-worker")
        observed = ObservabilityArgs(target=target, services=plan.pick("collector", *store, "sso"))
        Observability(f"{name}-observability", observed, child)
        Gateway(f"{name}-gateway", GatewayArgs(target=target, services=plan.pick("model", "litellm")), child)
        Governance(f"{name}-governance", GovernanceArgs(target=target, stack=args.stack, secret=args.secret), child)
        custodian_args = CustodianArgs(target=target, service=plan["custodian"], realm=identity.realm.resource)
        Custodian(f"{name}-custodian", custodian_args, child)
        for way_out in plan.pick("egress"):
            Egress(f"{name}-egress", EgressArgs(target=target, service=way_out), child)
        self.register_outputs({})
