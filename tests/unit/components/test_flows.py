"""Flows with a second factor: what no step of Keycloak's own would complain of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from components.flows import BROWSER, BY_DIRECTORY, DIRECT_GRANT, Step, flows

FLOWS = flows("must")
every_flow = pytest.mark.parametrize("alias", sorted(FLOWS))


def within(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    """These steps, and those of every subflow."""
    yield steps
    for step in steps:
        if step.steps:
            yield from within(step.steps)


@every_flow
def test_nothing_is_passed_over(alias: str) -> None:
    """Beside a step that is required Keycloak takes no alternative, and says so in its log alone."""
    for steps in within(FLOWS[alias]):
        kinds = {step.requirement for step in steps}
        assert kinds <= {"REQUIRED", "CONDITIONAL"} or kinds == {"ALTERNATIVE"}


@every_flow
def test_a_step_is_a_subflow_or_an_authenticator_and_named_once(alias: str) -> None:
    for steps in within(FLOWS[alias]):
        assert all(bool(step.authenticator) != bool(step.steps) for step in steps)
        assert all(step.steps for step in steps if step.requirement == "CONDITIONAL")
        assert len({step.name for step in steps}) == len(steps)


@every_flow
def test_the_condition_is_the_role_and_stands_with_what_it_decides_about(alias: str) -> None:
    conditions = [
        steps for steps in within(FLOWS[alias]) for step in steps if step.authenticator == "conditional-user-role"
    ]
    (guarded,) = conditions
    (must, asked) = guarded
    assert must.config == {"condUserRole": "must", "negate": "false"}
    assert (must.requirement, asked.requirement) == ("REQUIRED", "REQUIRED")


@pytest.mark.parametrize("alias", [BROWSER, BY_DIRECTORY])
def test_who_has_no_second_factor_is_made_to_set_one_up(alias: str) -> None:
    """Keycloak lets somebody set up what is required; of what is an alternative it says that it is missing."""
    (code,) = (step for steps in within(FLOWS[alias]) for step in steps if step.authenticator == "auth-otp-form")
    assert code.requirement == "REQUIRED"


def test_who_must_give_one_gets_no_token_for_a_password() -> None:
    """And learns so after the password alone, so that nobody learns it without one."""
    name, password, browser_only, _ = FLOWS[DIRECT_GRANT]
    assert (name.requirement, password.requirement) == ("REQUIRED", "REQUIRED")
    assert password.authenticator == "direct-grant-validate-password"
    assert [step.authenticator for step in browser_only.steps] == ["conditional-user-role", "deny-access-authenticator"]


def test_the_flow_after_a_directory_succeeds_for_everybody_else() -> None:
    first, *others = FLOWS[BY_DIRECTORY]
    assert (first.authenticator, first.requirement) == ("allow-access-authenticator", "REQUIRED")
    assert [step.requirement for step in others] == ["CONDITIONAL"]
