"""How people sign in where a role asks for a second factor: Keycloak's flows, as tables of steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

BROWSER, DIRECT_GRANT, BY_DIRECTORY = "praxis-browser", "praxis-direct-grant", "praxis-by-directory"
"""The flows: in a browser; with a password and no browser; after a directory has said who it is."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a flow: an ``authenticator`` of Keycloak's with its ``config``, or a subflow of ``steps``."""

    name: str
    requirement: Literal["REQUIRED", "ALTERNATIVE", "CONDITIONAL"]
    authenticator: str = ""
    config: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


def required(name: str, authenticator: str, **config: str) -> Step:
    """A step that has to be taken."""
    return Step(name=name, requirement="REQUIRED", authenticator=authenticator, config=config)


def alternative(name: str, authenticator: str = "", *steps: Step) -> Step:
    """A step that is enough."""
    return Step(name=name, requirement="ALTERNATIVE", authenticator=authenticator, steps=steps)


def flows(role: str, *, directories: bool = True) -> dict[str, tuple[Step, ...]]:
    """The steps of each flow; ``role``: whoever has it must give a second factor; ``directories``: whether people come
    by some.
    """
    must = required("role", "conditional-user-role", condUserRole=role, negate="false")
    any_of = Step(
        name="any-of",
        requirement="REQUIRED",
        steps=(
            alternative("security-key", "webauthn-authenticator"),
            # Only a step that is required is set up by somebody who has not: this one has a subflow to itself.
            alternative("code", "", required("code-form", "auth-otp-form")),
        ),
    )
    second_factor = Step(name="second-factor", requirement="CONDITIONAL", steps=(must, any_of))
    made: dict[str, tuple[Step, ...]] = {
        BROWSER: (
            alternative("session", "auth-cookie"),
            alternative("directory", "identity-provider-redirector"),
            alternative("forms", "", required("password", "auth-username-password-form"), second_factor),
        ),
        DIRECT_GRANT: (
            required("name", "direct-grant-validate-username"),
            required("password", "direct-grant-validate-password"),
            # After the password, so that nobody learns from the answer who has which role.
            Step(
                name="browser-only",
                requirement="CONDITIONAL",
                steps=(must, required("no", "deny-access-authenticator")),
            ),
            Step(  # as Keycloak's own flow has it
                name="own-code",
                requirement="CONDITIONAL",
                steps=(
                    required("configured", "conditional-user-configured"),
                    required("code", "direct-grant-validate-otp"),
                ),
            ),
        ),
    }
    if directories:
        # A flow in which no condition holds has not succeeded: one step of it always does.
        made[BY_DIRECTORY] = (required("known", "allow-access-authenticator"), second_factor)
    return made
