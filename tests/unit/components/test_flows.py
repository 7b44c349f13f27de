"""Flows with a second factor: what no step of Keycloak's own would complain of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


class Outcome(Enum):
    """What becomes of one step, or of a flow."""

    SUCCESS = "in"
    SETUP = "in once it is set up"
    PASSED_OVER = "not this way"
    REFUSED = "no"


CREDENTIALS = {"auth-otp-form": "otp", "direct-grant-validate-otp": "otp", "webauthn-authenticator": "webauthn"}


@dataclass(frozen=True)
class SignIn:
    """Somebody at a flow, by the rules of Keycloak's ``DefaultAuthenticationFlow``. ``has``: credentials that are set
    up; ``gives``: what they give rightly."""

    must: bool
    has: frozenset[str]
    gives: frozenset[str]
    session: bool = False

    def flow(self, steps: tuple[Step, ...]) -> Outcome:
        """All that is required, where a condition that does not hold takes its subflow away; else one alternative."""
        steps = tuple(step for step in steps if not step.authenticator.startswith("conditional-"))
        needed = [step for step in steps if step.requirement != "ALTERNATIVE"]
        needed = [step for step in needed if step.requirement == "REQUIRED" or self._holds(step)]
        if needed:
            for step in needed:
                outcome = self.step(step)
                if outcome not in (Outcome.SUCCESS, Outcome.SETUP):
                    return Outcome.REFUSED
            return Outcome.SETUP if any(self.step(step) is Outcome.SETUP for step in needed) else Outcome.SUCCESS
        for step in steps:
            outcome = self.step(step)
            if step.requirement == "ALTERNATIVE" and outcome is not Outcome.PASSED_OVER:
                return outcome
        return Outcome.REFUSED

    def _holds(self, subflow: Step) -> bool:
        conditions = [step.authenticator for step in subflow.steps if step.authenticator.startswith("conditional-")]
        used = {CREDENTIALS[step.authenticator] for step in subflow.steps if step.authenticator in CREDENTIALS}
        holds = {"conditional-user-role": self.must, "conditional-user-configured": used <= self.has}
        return bool(conditions) and all(holds[one] for one in conditions)

    def step(self, step: Step) -> Outcome:
        """One step."""
        if step.steps:
            return self.flow(step.steps)
        if credential := CREDENTIALS.get(step.authenticator):
            if credential in self.has:
                return Outcome.SUCCESS if credential in self.gives else Outcome.REFUSED
            return Outcome.SETUP if step.requirement == "REQUIRED" else Outcome.PASSED_OVER
        return {
            "auth-cookie": Outcome.SUCCESS if self.session else Outcome.PASSED_OVER,
            "identity-provider-redirector": Outcome.PASSED_OVER,
            "direct-grant-validate-username": Outcome.SUCCESS,
            "allow-access-authenticator": Outcome.SUCCESS,
            "deny-access-authenticator": Outcome.REFUSED,
            "auth-username-password-form": self._password,
            "direct-grant-validate-password": self._password,
        }[step.authenticator]

    @property
    def _password(self) -> Outcome:
        return Outcome.SUCCESS if "password" in self.gives else Outcome.REFUSED


credentials = st.frozensets(st.sampled_from(["otp", "webauthn"]))
given_rightly = st.frozensets(st.sampled_from(["password", "otp", "webauthn"]))


@given(has=credentials, gives=given_rightly, alias=st.sampled_from(sorted(FLOWS)))
def test_nobody_who_must_comes_in_without_a_second_factor(
    has: frozenset[str], gives: frozenset[str], alias: str
) -> None:
    outcome = SignIn(must=True, has=has, gives=gives).flow(FLOWS[alias])
    if alias == DIRECT_GRANT:
        assert outcome is Outcome.REFUSED
    if outcome is Outcome.SUCCESS:
        assert has & gives
    if outcome is Outcome.SETUP:
        assert not has
    if alias == BROWSER and "password" not in gives:
        assert outcome is Outcome.REFUSED


@given(has=credentials, alias=st.sampled_from([BROWSER, BY_DIRECTORY]))
def test_whoever_gives_all_comes_in_or_sets_one_up(has: frozenset[str], alias: str) -> None:
    everything = frozenset({"password", "otp", "webauthn"})
    wanted = Outcome.SUCCESS if has else Outcome.SETUP
    assert SignIn(must=True, has=has, gives=everything).flow(FLOWS[alias]) is wanted


@given(has=credentials, alias=st.sampled_from([BROWSER, BY_DIRECTORY]))
def test_others_are_asked_for_a_password_alone(has: frozenset[str], alias: str) -> None:
    assert SignIn(must=False, has=has, gives=frozenset({"password"})).flow(FLOWS[alias]) is Outcome.SUCCESS


@given(has=credentials, gives=given_rightly)
def test_without_a_browser_others_come_in_as_by_keycloaks_own_flow(has: frozenset[str], gives: frozenset[str]) -> None:
    outcome = SignIn(must=False, has=has, gives=gives).flow(FLOWS[DIRECT_GRANT])
    allowed = "password" in gives and ("otp" not in has or "otp" in gives)
    assert outcome is (Outcome.SUCCESS if allowed else Outcome.REFUSED)


def test_a_session_that_has_begun_goes_on() -> None:
    nothing: frozenset[str] = frozenset()
    assert SignIn(must=True, has=nothing, gives=nothing, session=True).flow(FLOWS[BROWSER]) is Outcome.SUCCESS
