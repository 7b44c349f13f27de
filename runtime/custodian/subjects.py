"""Who a caller is: a person or an agent with a role, a department and the policy that follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runtime.contract import EffectivePolicy, Kind, Policies, PolicyError, pick_role, resolve
from runtime.custodian.tokens import Claims

CredentialKind = Literal["oidc", "virtual-key"]

_SERVICE_ACCOUNT = "service-account-"
_AGENT = "agent-"


class NoPolicyError(Exception):
    """The caller is known, but has no role or department that this stack declares."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """A subject as the directory says: the part that outlives one credential."""

    sub: str
    name: str
    kind: Kind
    role: str
    department: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A verified caller with its policy."""

    identity: Identity
    policy: EffectivePolicy
    credential: CredentialKind
    demo: bool
    """Signed in by the means that only a demonstration has."""


def identify(policies: Policies, claims: Claims) -> Identity:
    """The identity in verified claims.

    An agent is the service account of its own client ``agent-<name>``: the client and the account must agree, so a
    person cannot become an agent by choosing a user name.

    Raises:
        NoPolicyError: no declared role or department is claimed, or the account is no agent's.
    """
    kind, name = Kind.PERSON, claims.username
    if name.startswith(_SERVICE_ACCOUNT):
        if name != f"{_SERVICE_ACCOUNT}{claims.client}" or not claims.client.startswith(_AGENT):
            raise NoPolicyError("this service account is not an agent's")
        kind, name = Kind.AGENT, claims.client.removeprefix(_AGENT)
    role = pick_role(policies, claims.roles)
    if role is None:
        raise NoPolicyError(f"'{name}' has no role in this gateway")
    if not claims.departments:
        raise NoPolicyError(f"'{name}' is in no department")
    return Identity(sub=claims.sub, name=name, kind=kind, role=role, department=claims.departments[0])


def with_policy(policies: Policies, identity: Identity, *, credential: CredentialKind, demo: bool) -> Subject:
    """The subject with what it may do.

    Raises:
        NoPolicyError: its role or department is not declared (any more).
    """
    try:
        policy = resolve(policies, role=identity.role, department=identity.department, subject=identity.name)
    except PolicyError as error:
        raise NoPolicyError(str(error)) from None
    return Subject(identity=identity, policy=policy, credential=credential, demo=demo)
