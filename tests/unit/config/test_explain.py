"""The line that each value comes from is the line that changes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.explain import FIELDS, Explained, explain
from config.load import check
from config.yaml import dotted, parse
from infra.paths import STACKS
from runtime.contract import PolicyError, resolve

FILE = STACKS / "laptop.yaml"
TEXT = FILE.read_text()


def explained(text: str, subject: str) -> dict[str, Explained]:
    document = parse(text, FILE)
    return {one.field: one for one in explain(check(document, FILE), document, subject)}


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(TEXT.splitlines(), 1) if text in line)


def test_a_person_with_nothing_of_its_own() -> None:
    found = explained(TEXT, "bob")
    assert found["budget"] == Explained(
        field="budget", value="20 USD per month", key="roles.analyst.budget", line=line_of("usd: 20")
    )
    assert found["guards.phone"] == Explained(
        field="guards.phone", value="mask", key="departments.finance.guards.phone", line=line_of("phone: mask")
    )
    assert found["limits.tokens_per_minute"] == Explained(
        field="limits.tokens_per_minute", value="no limit", key=None, line=None
    )
    assert found["guards.credential"].key == "roles.analyst.guards.credential"


def test_an_agent_that_is_narrower_than_its_role() -> None:
    found = explained(TEXT, "nightly-report")
    assert (found["budget"].key, found["budget"].value) == ("agents.nightly-report.budget", "0.5 USD per day")
    assert found["limits.requests_per_minute"].line == line_of("requests_per_minute: 60}")
    assert found["models"].key == "roles.analyst.models"
    assert (found["tools"].value, found["tools"].key) == ("any", None)


ACTS = "    description: Summarises"
ACTING = TEXT.replace(ACTS, "    owner: bob\n    on_behalf_of: [research]\n" + ACTS)


def test_an_agent_tells_who_answers_for_it_and_for_whom_it_acts() -> None:
    found = explained(ACTING, "nightly-report")
    first = ACTING.splitlines().index("    owner: bob") + 1
    for field, value, line in (("owner", "bob", first), ("on_behalf_of", "research", first + 1)):
        key = f"agents.nightly-report.{field}"
        assert found[field] == Explained(field=field, value=value, key=key, line=line)


def test_what_an_agent_may_do_for_a_person_comes_from_either() -> None:
    document = parse(ACTING, FILE)
    stack = check(document, FILE)
    found = {one.field: one for one in explain(stack, document, "alice", "nightly-report")}
    assert (found["budget"].key, found["budget"].value) == ("agents.nightly-report.budget", "0.5 USD per day")
    assert found["limits.requests_per_minute"].key == "agents.nightly-report.limits.requests_per_minute"
    assert found["guards.phone"].key == "departments.finance.guards.phone"
    assert found["models"].key == "roles.engineer.models"
    assert "owner" not in found
    with pytest.raises(PolicyError):
        list(explain(stack, document, "bob", "nightly-report"))


def test_a_second_factor_is_a_persons_alone() -> None:
    text = TEXT.replace("  analyst:\n", "  analyst:\n    mfa: true\n")
    found = explained(text, "bob")
    assert (found["mfa"].key, found["mfa"].line) == ("roles.analyst.mfa", line_of("  analyst:") + 1)
    assert "mfa" not in explained(text, "nightly-report")
    assert "mfa" not in explained(text, "alice")


def test_an_agents_tools() -> None:
    text = TEXT.replace(
        "    limits: {requests_per_minute: 60}", "    limits: {requests_per_minute: 60}\n    tools: [search]"
    )
    found = explained(text, "nightly-report")
    assert (found["tools"].value, found["tools"].key) == ("search", "agents.nightly-report.tools")


def test_nobody_of_that_name() -> None:
    with pytest.raises(KeyError):
        explained(TEXT, "mallory")


ACTIONS = st.sampled_from(["allow", "mask", "block"])
NARROWING = st.fixed_dictionaries(
    {}, optional={"limits": st.fixed_dictionaries({"requests_per_minute": st.integers(1, 300)}),
                  "budget": st.fixed_dictionaries({"usd": st.integers(0, 20)})}
)  # fmt: skip


@given(department=NARROWING, person=NARROWING)
def test_the_named_key_has_the_value_and_it_is_the_effective_one(
    department: dict[str, Any], person: dict[str, Any]
) -> None:
    raw = yaml.safe_load(TEXT)
    raw["departments"]["finance"] = department
    raw["people"]["bob"] |= person
    text = yaml.safe_dump(raw, sort_keys=False)
    document = parse(text, Path("t.yaml"))
    stack = check(document, Path("t.yaml"))
    policy = resolve(stack.policies("t"), role="analyst", department="finance", subject="bob")
    found = {one.field: one for one in explain(stack, document, "bob")}
    assert list(found) == [dotted(path) for path in FIELDS]
    assert found["limits.requests_per_minute"].value == str(policy.limits.requests_per_minute)
    assert found["budget"].value == f"{policy.budget.usd} USD per {policy.budget.period}"
    for field in ("limits.requests_per_minute", "budget"):
        key, line = found[field].key, found[field].line
        assert key is not None
        assert line is not None
        at: Any = raw
        for part in key.split("."):
            at = at[part]
        value = f"{at['usd']} USD per {at.get('period', 'month')}" if field == "budget" else str(at)
        assert value == found[field].value
        assert key.rpartition(".")[2] in text.splitlines()[line - 1]
