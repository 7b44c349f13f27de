"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.contract import Kind


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
    email: str | None = None
    """A verified address, where the credential tells one."""
    auditor: bool = False
    """May look at other people's traces; an access token says so, a virtual key never."""
    issued: int | None = field(default=None, compare=False)
    """When the sign-in was that the credential comes from (seconds since 1970); None for a virtual key."""
