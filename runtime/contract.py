"""The one model that both sides share: who may use what, under which guards, at what price.

The operator's side writes it (``config`` builds a :class:`Policies` from a stack file and delivers it as
``policies.json``); the runtime reads it. :func:`resolve` is the only place where a role, a department and a
person's or agent's own settings are combined, so ``praxis explain``, the custodian and the hooks cannot disagree.

Nothing here does I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,40}$")]
"""A name that is safe in host names, container names and claims: lower case, digits and dashes."""

ToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/-]{1,128}$")]
"""A tool as an answer calls it; vendors allow letters, digits, ``_`` and ``-``, MCP's servers more."""

Usd = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
"""An amount in US dollars, exact (never a float: budgets are compared and summed)."""


def problems(error: ValidationError) -> str:
    """What is wrong with values that were given, each with its key."""
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())


def plain(usd: Decimal) -> str:
    """An amount as text: exact, without an exponent."""
    return format(usd.normalize(), "f")


NO_MODELS = "no-default-models"
"""LiteLLM reads an empty list as "all models"; this name of its own means none."""


class Model(BaseModel):
    """Base of every contract model: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Kind(StrEnum):
    """What a subject is. People and agents are governed by the same rules."""

    PERSON = "person"
    AGENT = "agent"


class GuardAction(StrEnum):
    """What a guard does with a finding."""

    ALLOW = "allow"
    MASK = "mask"
    BLOCK = "block"

    @property
    def severity(self) -> int:
        """0 for ``allow``, 1 for ``mask``, 2 for ``block``."""
        return list(GuardAction).index(self)


GuardCategory = Literal["credential", "card", "iban", "ssn", "email", "phone"]
"""What the input guard can find."""

CATEGORIES: tuple[GuardCategory, ...] = ("credential", "card", "iban", "ssn", "email", "phone")


class GuardPolicy(Model):
    """What happens to each category of finding in what a subject sends. The defaults are the safe ones."""

    credential: GuardAction = GuardAction.BLOCK
    card: GuardAction = GuardAction.MASK
    iban: GuardAction = GuardAction.MASK
    ssn: GuardAction = GuardAction.MASK
    email: GuardAction = GuardAction.ALLOW
    phone: GuardAction = GuardAction.ALLOW

    def action(self, category: GuardCategory) -> GuardAction:
        """The action for ``category``."""
        action: GuardAction = getattr(self, category)
        return action

    def stricter(self, other: GuardPolicy) -> GuardPolicy:
        """Category by category the more severe action of the two."""
        return GuardPolicy(**{c: max(self.action(c), other.action(c), key=lambda a: a.severity) for c in CATEGORIES})


class Limits(Model):
    """How fast a subject may go. ``None`` means no limit of that kind."""

    requests_per_minute: Annotated[int, Field(ge=1)] | None = None
    tokens_per_minute: Annotated[int, Field(ge=1)] | None = None
    concurrent_requests: Annotated[int, Field(ge=1)] | None = None

    def narrowed(self, other: Limits) -> Limits:
        """The smaller of the two, limit by limit."""
        return Limits(
            requests_per_minute=_smaller(self.requests_per_minute, other.requests_per_minute),
            tokens_per_minute=_smaller(self.tokens_per_minute, other.tokens_per_minute),
            concurrent_requests=_smaller(self.concurrent_requests, other.concurrent_requests),
        )


class Budget(Model):
    """What a subject may spend in one period; a request that could cost more than is left is refused with 429."""

    usd: Usd
    period: Literal["day", "week", "month"] = "month"
    soft_usd: Usd | None = None
    """From here on the audit chain says that the budget runs out; nothing is refused."""
    reserve_output_tokens: Annotated[int, Field(ge=1)] = 4096
    """Output tokens that are reserved for a request before it goes out: so many, or its own ``max_tokens`` when that is
    less. Programs ask for far more than they use; what is used is what is paid."""

    @model_validator(mode="after")
    def _softer(self) -> Budget:
        if self.soft_usd is not None and self.soft_usd > self.usd:
            raise ValueError(f"soft_usd ({self.soft_usd}) must not be more than usd ({self.usd})")
        return self

    @property
    def days(self) -> int:
        """Length of the period; a month counts 30 days."""
        return {"day": 1, "week": 7, "month": 30}[self.period]

    @property
    def usd_per_day(self) -> Decimal:
        """The daily rate, by which budgets of different periods are compared."""
        return self.usd / self.days

    @property
    def duration(self) -> str:
        """The period as LiteLLM writes it."""
        return f"{self.days}d"


class BudgetRaise(Model):
    """More money for a subject (``sub``), for a time; what is to last belongs into the stack file."""

    sub: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """What the operator calls the subject; it is not in the audit chain."""
    usd: Annotated[Decimal, Field(gt=0, max_digits=12, decimal_places=6)]
    seconds: Annotated[int, Field(ge=60, le=31 * 24 * 3600)]
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=200)]
    """The reason, for the audit chain."""


class Estimate(Model):
    """What a request could take. ``output_tokens``: as many as it allows for one answer; ``None``: it does not say."""

    input_tokens: Annotated[int, Field(ge=0, le=2**53)]
    output_tokens: Annotated[int, Field(ge=0, le=2**53)] | None = None
    answers: Annotated[int, Field(ge=1, le=1000)] = 1


class Tokens(Model):
    """What one request took. Input includes what was read from or written to a provider's cache, output the tokens of
    reasoning and of tool calls: vendors price those as output."""

    input: Annotated[int, Field(ge=0)] = 0
    output: Annotated[int, Field(ge=0)] = 0
    cache_read: Annotated[int, Field(ge=0)] = 0
    cache_write: Annotated[int, Field(ge=0)] = 0


class Price(Model):
    """What a model costs, in USD per million tokens. Cached input costs as much as other input unless it is said."""

    input: Usd
    output: Usd
    cache_read: Usd | None = None
    cache_write: Usd | None = None

    def cost(self, tokens: Tokens) -> Decimal:
        """USD for one request, unrounded."""
        read, write = tokens.cache_read, tokens.cache_write
        plain = max(tokens.input - read - write, 0)
        return (
            self.input * plain
            + (self.input if self.cache_read is None else self.cache_read) * read
            + (self.input if self.cache_write is None else self.cache_write) * write
            + self.output * tokens.output
        ) / Decimal(1_000_000)

    def most(self, input_tokens: int, output_tokens: int) -> Decimal:
        """USD that a request of so many tokens costs at most, whatever part of it goes into the cache."""
        dearest = max(self.input, self.cache_write or Decimal(0))
        return (dearest * input_tokens + self.output * output_tokens) / Decimal(1_000_000)


class Role(Model):
    """What everybody with this role may do."""

    models: tuple[str, ...]
    tools: tuple[ToolName, ...] | None = None
    """Tools that an answer may call; ``None`` for any, an empty list for none."""
    guards: GuardPolicy = GuardPolicy()
    limits: Limits = Limits()
    budget: Budget


class Narrowing(Model):
    """What a department, a person or an agent may set: it narrows the role, it never widens it."""

    models: tuple[str, ...] | None = None
    tools: tuple[ToolName, ...] | None = None
    guards: GuardPolicy | None = None
    limits: Limits | None = None
    budget: Budget | None = None


class Actor(Model):
    """An agent that may act for people: its own place, and the departments of the people it may act for."""

    role: Slug
    department: Slug
    on_behalf_of: tuple[Slug, ...]


class Policies(Model):
    """Everything that the runtime needs to decide about a request, for one stack.

    ``models`` maps the public model name to its price. ``subjects`` maps a declared name to what that one
    person or agent narrows; a subject that is not declared here (a person from a federated directory) simply
    has its role's and its department's policy. ``actors`` are the agents that may act for people.
    """

    stack: Slug
    environment: Literal["demo", "production"]
    models: dict[str, Price]
    roles: dict[Slug, Role]
    departments: dict[Slug, Narrowing]
    subjects: dict[Slug, Narrowing] = Field(default_factory=dict)
    actors: dict[Slug, Actor] = Field(default_factory=dict)


class EffectivePolicy(Model):
    """What one subject may do after role, department and own settings have been combined."""

    role: Slug
    department: Slug
    models: tuple[str, ...]
    tools: tuple[ToolName, ...] | None
    guards: GuardPolicy
    limits: Limits
    budget: Budget

    def litellm_key(self) -> dict[str, str | float | list[str] | None]:
        """What LiteLLM is told of a subject's key, in its own words; ``None`` for no limit."""
        return {
            "team_id": self.department,
            "models": list(self.models) or [NO_MODELS],
            "max_budget": float(self.budget.usd),
            "budget_duration": self.budget.duration,
            "rpm_limit": self.limits.requests_per_minute,
            "tpm_limit": self.limits.tokens_per_minute,
            "max_parallel_requests": self.limits.concurrent_requests,
        }

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON: the policy's identity in assertions and records."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class PolicyError(Exception):
    """A subject has no usable policy: its role or department is not declared in this stack."""


def resolve(policies: Policies, *, role: str, department: str, subject: str, actor: str = "") -> EffectivePolicy:
    """The effective policy of a subject, or of one for whom the agent ``actor`` acts.

    Models are intersected, limits and budgets take the smaller value, guards the stricter action: a
    narrowing that tries to widen has no effect at run time (``config`` refuses it before that). An agent may for
    somebody what both may.

    Raises:
        PolicyError: role or department is not declared, or the agent may not act for people of this department.
    """
    own = _alone(policies, role=role, department=department, subject=subject)
    if not actor:
        return own
    agent = policies.actors.get(actor)
    if agent is None or department not in agent.on_behalf_of:
        raise PolicyError(f"agent '{actor}' may not act for people of department '{department}'")
    theirs = _alone(policies, role=agent.role, department=agent.department, subject=actor)
    return _narrow(own, Narrowing(**{name: getattr(theirs, name) for name in Narrowing.model_fields}))


def _alone(policies: Policies, *, role: str, department: str, subject: str) -> EffectivePolicy:
    base = policies.roles.get(role)
    if base is None:
        raise PolicyError(f"role '{role}' is not declared in stack '{policies.stack}'")
    if department not in policies.departments:
        raise PolicyError(f"department '{department}' is not declared in stack '{policies.stack}'")
    result = EffectivePolicy(
        role=role,
        department=department,
        **{name: getattr(base, name) for name in Role.model_fields},
    )
    for narrowing in (policies.departments[department], policies.subjects.get(subject)):
        if narrowing is not None:
            result = _narrow(result, narrowing)
    return result


def pick_role(policies: Policies, claimed: Iterable[str]) -> str | None:
    """The declared role among the claimed ones; the first in the order of the stack file when there are several."""
    return _first(policies.roles, claimed)


def pick_department(policies: Policies, claimed: Iterable[str]) -> str | None:
    """The declared department among the claimed ones; the first in the order of the stack file."""
    return _first(policies.departments, claimed)


def _first(declared: Iterable[str], claimed: Iterable[str]) -> str | None:
    names = set(claimed)
    return next((name for name in declared if name in names), None)


def _narrow(policy: EffectivePolicy, by: Narrowing) -> EffectivePolicy:
    update: Mapping[str, object] = {
        "tools": _common(policy.tools, by.tools),
        "models": policy.models if by.models is None else tuple(m for m in policy.models if m in set(by.models)),
        "guards": policy.guards if by.guards is None else policy.guards.stricter(by.guards),
        "limits": policy.limits if by.limits is None else policy.limits.narrowed(by.limits),
        "budget": policy.budget if by.budget is None else _smaller_budget(policy.budget, by.budget),
    }
    return policy.model_copy(update=update)


def _common(a: tuple[str, ...] | None, b: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if a is None or b is None:
        return b if a is None else a
    return tuple(name for name in a if name in set(b))


def _smaller_budget(a: Budget, b: Budget) -> Budget:
    return min(a, b, key=lambda budget: budget.usd_per_day)


def _smaller(a: int | None, b: int | None) -> int | None:
    values = [value for value in (a, b) if value is not None]
    return min(values, default=None)


def litellm_name(sub: str, actor: str) -> str:
    """What LiteLLM's key of a subject is called and made by: its own, or the one for when the agent ``actor`` acts for
    it."""
    return f"{sub}/{actor}" if actor else sub


def litellm_alias(name: str, token: str) -> str:
    """The alias of a key.

    Args:
        name: as :func:`litellm_name` gives it.
        token: LiteLLM's hash of the key. A key that was made from an earlier seed has another.
    """
    return f"{name}.{token[:8]}"
