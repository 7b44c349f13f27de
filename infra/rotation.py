"""What must follow when a secret has a new value, and which secrets cannot have one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from components.blueprint import blueprint
from components.data import databases
from components.realm import agent_secret
from config.stack import Stack
from runtime.store import AUDIT_KEY, PublicKey, Recipe


class Step(StrEnum):
    """One thing that must follow a rotation, in the order in which they are done."""

    REDELIVERED = "redelivered by the agent"
    """The agent writes the new value into the memory of the services that read it; it does so by itself."""
    CERTIFICATE = "Traefik's certificate"
    """Edge and egress must read their certificates again."""
    REDIS_USER = "Redis's users"
    """Redis must read the file with its users' passwords again."""
    DATABASE_ROLE = "database role"
    """PostgreSQL's role must get the same password."""
    KEYCLOAK = "Keycloak object"
    """A user or a client in Keycloak must get the same value, and Pulumi's state must know."""
    LITELLM = "LiteLLM's provider"
    """Pulumi's state must know what to sign in to LiteLLM with."""
    RESTART = "service restart"
    """Services that read it at their start alone must start again."""
    LITELLM_KEYS = "keys in LiteLLM"
    """Every subject's key is derived from it: the custodian makes new ones, and the old ones must go."""
    CLIENTS = "trust at clients"
    """Clients that trust the own authority must be given its new certificate."""
    RECORD = "a new audit file"
    """The record of what was done with secrets begins anew; the old file is set aside by itself."""


@dataclass(frozen=True, kw_only=True)
class AfterRotation:
    """``services`` read the secret, ``restarts`` those that must start again; ``refused`` says why it cannot be
    rotated (empty: it can)."""

    steps: tuple[Step, ...]
    services: tuple[str, ...] = ()
    restarts: tuple[str, ...] = ()
    refused: str = ""


REFUSED = {
    "litellm-salt-key": "what LiteLLM has encrypted with it in its database could never be read again",
    "langfuse-salt": "what Langfuse has hashed with it (the keys of its projects) would match nothing any more",
    "langfuse-encryption-key": "what Langfuse has encrypted with it in its database could never be read again",
    "langfuse-project-key": "Langfuse makes it at its first start and never again; a new one is made in its pages",
    "langfuse-login": "it is made from 'langfuse-project-key'",
    "chain-private-key": "the change itself is signed, so it has a command of its own: ./praxis audit new-key",
    "chain-retired-key": "it is the audit chain's key before the present one: ./praxis audit new-key",
}
"""Secrets that ``secrets rotate`` does not touch, and why."""

READ_AT_START = ("keycloak", "mlflow", "queue", "objects", "clickhouse", "langfuse", "langfuse-worker", "sso")
"""Services that take a new value at their start alone, in the order in which they are restarted."""

PREVIOUS_NEEDED = ("keycloak-admin-password", "redis-password")
"""Secrets whose value before is needed to bring the new one into use; it is kept until that is done."""

_KEYCLOAK = {"keycloak-admin-password", "sso-client-secret", "custodian-client-secret", "langfuse-client-secret"}
_AUTHORITY = {"ca-key", "ca-cert"}


def after_rotation(stack: Stack, name: str, recipes: Mapping[str, Recipe]) -> dict[str, AfterRotation]:
    """What must follow, for each secret that Praxis makes (``recipes``) and each that the stack file refers to.

    Doing it is :mod:`infra.cli.rotating`'s.
    """
    readers = blueprint(stack, name).readers()
    return {
        secret: AfterRotation(
            steps=tuple(_steps(secret, stack, readers.get(secret, ()))),
            services=readers.get(secret, ()),
            restarts=_restarts(secret, readers.get(secret, ())),
            refused=_refused(secret, recipes.get(secret)),
        )
        for secret in (*recipes, *stack.secret_names())
    }


def family(secret: str, recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
    """``secret`` and whatever is made from it, in the order in which it is made."""
    found = [secret]
    for name, recipe in recipes.items():
        if name not in found and set(recipe.needs) & set(found):
            found.append(name)
    return tuple(found)


def directory_secrets(stack: Stack) -> dict[str, str]:
    """Name of a client secret -> the directory that has given it."""
    return {each.client_secret.removeprefix("secret://"): name for name, each in stack.identity.openid().items()}


def _restarts(secret: str, services: tuple[str, ...]) -> tuple[str, ...]:
    if secret == "keycloak-admin-password":  # noqa: S105 - its name
        return ()  # Keycloak reads it when its database is made, and never again
    return tuple(service for service in READ_AT_START if service in services)


def _steps(secret: str, stack: Stack, services: tuple[str, ...]) -> list[Step]:
    if secret in directory_secrets(stack):
        return [Step.KEYCLOAK]
    if secret in stack.secret_names():
        return [Step.REDELIVERED]  # the custodian reads a provider's key anew for each request
    subjects = {f"person-{person}-password" for person in stack.people}
    subjects |= {agent_secret(agent) for agent in stack.agents_with_secret()}
    steps = [Step.REDELIVERED] if services else []
    if {"edge", "egress"} & set(services):
        steps.append(Step.CERTIFICATE)
    if secret == "redis-password":  # noqa: S105 - its name
        steps.append(Step.REDIS_USER)
    if secret in {"postgres-password", *(f"{database}-db-password" for database in databases(stack))}:
        steps.append(Step.DATABASE_ROLE)
    if secret in _KEYCLOAK | subjects:
        steps.append(Step.KEYCLOAK)
    if secret == "litellm-master-key":  # noqa: S105 - its name
        steps.append(Step.LITELLM)
    if _restarts(secret, services):
        steps.append(Step.RESTART)
    if secret == "litellm-subject-seed":  # noqa: S105 - its name
        steps.append(Step.LITELLM_KEYS)
    if secret in _AUTHORITY:
        steps.append(Step.CLIENTS)
    if secret == AUDIT_KEY:
        steps.append(Step.RECORD)
    return steps


def _refused(secret: str, recipe: Recipe | None) -> str:
    if isinstance(recipe, PublicKey):
        return f"it is made from '{recipe.key}': rotate that"
    return REFUSED.get(secret, "")
