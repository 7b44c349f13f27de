"""From a stack file to all its services, as data."""

from __future__ import annotations

from components.custodian import custodian
from components.data import postgres, redis
from components.directories import directories
from components.edge import edge
from components.egress import egress
from components.gateway import litellm, local_model
from components.identity import server
from components.langfuse import langfuse
from components.observability import collector, mlflow, sso
from components.spec import Blueprint
from config.stack import Stack

MEMORY_LIMIT_MIB = {"mlflow": 3584, "langfuse": 10240}
"""What the hard limits may add up to, by the trace store: 3.5 GiB in the small profile, 10 GiB in the full one."""


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
