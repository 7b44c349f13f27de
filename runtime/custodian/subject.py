"""Who asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from runtime.contract import Kind, Policies, pick_department, pick_role


class UnauthenticatedError(Exception):
    """No credential, or none that is good. The message is for the caller and says nothing about why in detail."""


class ForbiddenError(Exception):
    """The caller is known and has no policy here."""


class UnavailableError(Exception):
    """It cannot be decided now (database, identity provider or LiteLLM is away): refuse, and say so."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One person or agent, as the credential proves it. ``sub`` is Keycloak's id and follows a request everywhere."""

    sub: str
    name: str
    kind: Kind
    role: str
    department: str
    credential: str
    demo: bool
    models: tuple[str, ...] = ()
    """The only ones that the credential is for; none: all that the policy allows."""
    email: str | None = None
    """A verified address, where the credential tells one."""
    auditor: bool = False
    """May look at other people's traces; an access token says so, a virtual key never."""
    actor: str = ""
    """Name of the agent that acts for it, by a token that it was given in exchange for the subject's; empty: none."""
    actor_sub: str = ""
    """Keycloak's id of that agent; the gate knows it, a token does not tell."""
    issued: int | None = field(default=None, compare=False)
    """When the sign-in was that the credential comes from (seconds since 1970); None for a virtual key."""


def placed(policies: Policies, name: str, roles: Iterable[str], departments: Iterable[str]) -> tuple[str, str]:
    """The role and the department that ``name`` has here, among those that Keycloak tells.

    Raises:
        ForbiddenError: none of them is of this stack.
    """
    role, department = pick_role(policies, roles), pick_department(policies, departments)
    if role is None or department is None:
        missing = "role" if role is None else "department"
        raise ForbiddenError(f"'{name}' has no {missing} in this gateway")
    return role, department
