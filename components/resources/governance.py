"""What LiteLLM is told by declaration: a team for each department, a budget for each role.

Users and keys are not here: the custodian makes them when somebody comes (docs/decisions/0011-litellm-resources.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.resources import litellm
from components.resources.realm import Secret
from components.resources.target import Target
from config.stack import Stack
from runtime.contract import NO_MODELS, Narrowing, Role


@dataclass(frozen=True, kw_only=True)
class GovernanceArgs:
    """``secret`` gives LiteLLM's master key; ``target`` runs LiteLLM already."""

    target: Target
    stack: Stack
    secret: Secret


class Governance(pulumi.ComponentResource):
    """LiteLLM's objects. Makes: a ``litellm.Provider``; a ``Team`` per department; a ``Budget`` per role.

    All of them stay in LiteLLM when they are no longer declared, and when the stack goes down: with a team its keys
    would go, and what its database holds ends with the data or is kept with it. The next ``up`` adopts them.
    """

    def __init__(self, name: str, args: GovernanceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("praxis:governance:Governance", name, None, opts)
        provider = litellm.Provider(
            f"{name}-admin",
            litellm.ProviderArgs(
                # Known early: else every preview that makes LiteLLM's container again would show all of these changed.
                url=args.target.reach("litellm", in_preview=True),
                master_key=args.secret("litellm-master-key"),
            ),
            pulumi.ResourceOptions(parent=self),
        )
        kept = pulumi.ResourceOptions(parent=self, provider=provider, retain_on_delete=True)
        for role, declared in args.stack.roles.items():
            litellm.Budget(f"{name}-role-{role}", budget(role, declared), kept)
        for department, narrowing in args.stack.departments.items():
            litellm.Team(f"{name}-department-{department}", team(department, narrowing), kept)
        self.register_outputs({})


def budget(name: str, role: Role) -> litellm.BudgetArgs:
    """A role's budget and limits, in LiteLLM's words."""
    return litellm.BudgetArgs(
        budget_id=name,
        max_budget=float(role.budget.usd),
        budget_duration=role.budget.duration,
        rpm_limit=role.limits.requests_per_minute,
        tpm_limit=role.limits.tokens_per_minute,
        max_parallel_requests=role.limits.concurrent_requests,
    )


def team(name: str, department: Narrowing) -> litellm.TeamArgs:
    """A department's team. Its budget and limits narrow each member's own, so they are not the team's as a whole."""
    models = None if department.models is None else list(department.models) or [NO_MODELS]
    return litellm.TeamArgs(team_id=name, team_alias=name, models=models)
