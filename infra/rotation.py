"""What must follow when a secret has a new value, and which secrets cannot have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from components.blueprint import blueprint
from components.data import DATABASES
from config.stack import Stack
from runtime.store import AUDIT_KEY, PublicKey, Recipe


class Step(StrEnum):
    """One thing that must follow a rotation."""

    REDELIVERED = "redelivered by the agent"
    """The agent writes the new value into the memory of the services that read it; it does so by itself."""
    RESTART = "service restart"
    """Those services read it when they start."""
    DATABASE_ROLE = "database role"
    """PostgreSQL's role must get the same password; its container sees to that at each start."""
    KEYCLOAK = "Keycloak object"
    """A user or a client in Keycloak must get the same value."""
    LITELLM_KEYS = "keys in LiteLLM"
    """Every subject's key is derived from it and must be made again."""
    RECORD = "a new audit file"
    """The record of what was done with secrets begins anew; the old file is set aside by itself."""
    CLIENTS = "trust at clients"
    """Clients that trust the own authority must be given its new certificate."""


@dataclass(frozen=True, kw_only=True)
class AfterRotation:
    """``services`` read the secret; ``refused`` says why it cannot be rotated (empty: it can)."""

    steps: tuple[Step, ...]
    services: tuple[str, ...] = ()
    refused: str = ""


REFUSED = {
    "litellm-salt-key": "what LiteLLM has encrypted with it in its database could never be read again",
    "chain-private-key": "the change itself is signed, so it has a command of its own: ./praxis audit new-key",
    "chain-retired-key": "it is the audit chain's key before the present one: ./praxis audit new-key",
}
"""Secrets that ``secrets rotate`` does not touch, and why."""

_DATABASE = {"postgres-password", *(f"{database}-db-password" for database in DATABASES)}
_KEYCLOAK = {"keycloak-admin-password", "sso-client-secret"}
_AUTHORITY = {"ca-key", "ca-cert"}


def after_rotation(stack: Stack, name: str, recipes: Mapping[str, Recipe]) -> dict[str, AfterRotation]:
    """What must follow, for each secret that Praxis makes (``recipes``) and each that the stack file refers to.

    Applying the steps is not done here; this is the table that whoever applies them goes by.
    """
    readers = blueprint(stack, name).readers()
    return {
        secret: AfterRotation(
            steps=tuple(_steps(secret, stack, read=secret in readers)),
            services=readers.get(secret, ()),
            refused=_refused(secret, recipes.get(secret)),
        )
        for secret in (*recipes, *stack.secret_names())
    }


def _steps(secret: str, stack: Stack, *, read: bool) -> list[Step]:
    if secret in stack.secret_names():
        return [Step.REDELIVERED]  # the custodian reads a provider's key anew for each request
    subjects = {f"person-{person}-password" for person in stack.people}
    subjects |= {f"agent-{agent}-client-secret" for agent in stack.agents}
    steps = [Step.REDELIVERED, Step.RESTART] if read else []
    if secret in _DATABASE:
        steps.append(Step.DATABASE_ROLE)
    if secret in _KEYCLOAK | subjects:
        steps.append(Step.KEYCLOAK)
    if secret == "litellm-subject-seed":  # noqa: S105 - its name
        steps.append(Step.LITELLM_KEYS)
    if secret == AUDIT_KEY:
        steps.append(Step.RECORD)
    if secret in _AUTHORITY:
        steps.append(Step.CLIENTS)
    return steps


def _refused(secret: str, recipe: Recipe | None) -> str:
    if isinstance(recipe, PublicKey):
        return f"it is made from '{recipe.key}': rotate that"
    return REFUSED.get(secret, "")
