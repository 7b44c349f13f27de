"""``resolve``: a narrowing never widens, whatever is declared."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import load_stack
from infra.paths import STACKS
from runtime.contract import (
    CATEGORIES,
    Budget,
    GuardAction,
    GuardPolicy,
    Limits,
    Narrowing,
    Policies,
    PolicyError,
    Price,
    Role,
    Tokens,
    pick_department,
    pick_role,
    resolve,
)
from tests.stacks import with_mfa

MODELS = ("small", "large", "local")
actions = st.sampled_from(list(GuardAction))
guards = st.builds(GuardPolicy, **dict.fromkeys(CATEGORIES, actions))
limit = st.none() | st.integers(1, 10_000)
limits = st.builds(Limits, requests_per_minute=limit, tokens_per_minute=limit, concurrent_requests=limit)
budgets = st.builds(
    Budget,
    usd=st.decimals(0, 10_000, places=2, allow_nan=False),
    period=st.sampled_from(["day", "week", "month"]),
)
models = st.lists(st.sampled_from(MODELS), unique=True).map(tuple)
tools = st.none() | st.lists(st.sampled_from(["search", "shell", "mcp__wiki__read"]), unique=True).map(tuple)
roles = st.builds(Role, models=models, tools=tools, guards=guards, limits=limits, budget=budgets)
narrowings = st.builds(
    Narrowing,
    models=st.none() | models,
    tools=tools,
    guards=st.none() | guards,
    limits=st.none() | limits,
    budget=st.none() | budgets,
)


def policies(role: Role, department: Narrowing, subject: Narrowing) -> Policies:
    price = Price(input=Decimal(1), output=Decimal(2))
    return Policies(
        stack="test",
        environment="production",
        models=dict.fromkeys(MODELS, price),
        roles={"role": role},
        departments={"department": department},
        subjects={"subject": subject},
    )


@given(roles, narrowings, narrowings)
def test_no_narrowing_widens(role: Role, department: Narrowing, subject: Narrowing) -> None:
    result = resolve(policies(role, department, subject), role="role", department="department", subject="subject")
    assert set(result.models) <= set(role.models)
    for listed in (role.tools, department.tools, subject.tools):
        assert listed is None or (result.tools is not None and set(result.tools) <= set(listed))
    assert result.budget.usd_per_day <= role.budget.usd_per_day
    for category in CATEGORIES:
        assert result.guards.action(category).severity >= role.guards.action(category).severity
    for field in Limits.model_fields:
        own, base = getattr(result.limits, field), getattr(role.limits, field)
        assert base is None or (own is not None and own <= base)


@given(roles, narrowings, narrowings, narrowings)
def test_the_digest_changes_with_the_policy_and_only_then(
    role: Role, department: Narrowing, subject: Narrowing, other: Narrowing
) -> None:
    one, two = (
        resolve(policies(role, department, by), role="role", department="department", subject="subject")
        for by in (subject, other)
    )
    assert (one.digest() == two.digest()) == (one == two)


def test_an_undeclared_role_or_department_has_no_policy() -> None:
    laptop = load_stack("laptop", STACKS).policies("laptop")
    with pytest.raises(PolicyError, match="role 'pilot' is not declared"):
        resolve(laptop, role="pilot", department="finance", subject="bob")
    with pytest.raises(PolicyError, match="department 'legal' is not declared"):
        resolve(laptop, role="analyst", department="legal", subject="bob")


def test_an_undeclared_subject_has_the_policy_of_role_and_department() -> None:
    laptop = load_stack("laptop", STACKS).policies("laptop")
    policy = resolve(laptop, role="analyst", department="finance", subject="somebody-federated")
    assert policy.guards.phone is GuardAction.MASK
    assert policy.limits.requests_per_minute == 300


def test_the_first_declared_role_wins_when_a_token_claims_several() -> None:
    laptop = load_stack("laptop", STACKS).policies("laptop")
    assert pick_role(laptop, ["offline_access", "analyst", "engineer"]) == "engineer"
    assert pick_role(laptop, ["offline_access"]) is None
    assert pick_department(laptop, ["finance", "nowhere", "research"]) == "research"
    assert pick_department(laptop, ["nowhere"]) is None


def test_a_price_counts_per_million_tokens() -> None:
    assert Price(input=Decimal(3), output=Decimal(15)).cost(Tokens(input=1_000, output=200)) == Decimal("0.006")


def test_the_runtime_is_told_nothing_of_second_factors() -> None:
    """The sign-in asks for them; a token is proof that it did."""
    laptop = load_stack("laptop", STACKS)
    changed = with_mfa(laptop, "engineer")
    assert changed.roles_with_mfa() == ["engineer"]
    assert changed.policies("laptop") == laptop.policies("laptop")
    assert type(changed.policies("laptop").roles["engineer"]) is Role
