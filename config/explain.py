"""Where each value of a subject's effective policy comes from: role, department, the subject itself, or a default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.stack import Stack
from config.yaml import Document, KeyPath, dotted
from runtime.contract import CATEGORIES, EffectivePolicy, Limits, Narrowing, resolve

FIELDS: tuple[KeyPath, ...] = (
    ("models",),
    ("tools",),
    *(("guards", category) for category in CATEGORIES),
    *(("limits", limit) for limit in Limits.model_fields),
    ("budget",),
)
"""Key paths within a role, a department or a subject."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """One value. ``key`` and ``line`` (from 1) are where the stack file gives it; ``None`` for a default."""

    field: str
    value: str
    key: str | None
    line: int | None


def explain(stack: Stack, document: Document, subject: str, actor: str = "") -> Iterator[Explained]:
    """Every field of the effective policy of a declared subject, or of one for whom the agent ``actor`` acts, each with
    the key that decides it; then what else is said of the subject: ``mfa``, ``owner``, ``on_behalf_of``.

    Raises:
        KeyError: no person and no agent of that name is declared.
        PolicyError: the agent may not act for this person.
    """
    layers = _layers(stack, subject)
    actors = _layers(stack, actor) if actor else []
    both = _resolved(stack, subject, actor=actor)
    for inner in FIELDS:
        path, own = _decided(document, layers, inner)
        value = _value(both, inner)
        if value != own:
            path, _ = _decided(document, actors, inner)
        text = "any" if inner == ("tools",) and value is None else _text(value)
        yield _explained(document, dotted(inner), text, path)
    if not actor:
        yield from _besides(stack, document, subject)


_Layers = list[tuple[KeyPath, EffectivePolicy]]


def _layers(stack: Stack, subject: str) -> _Layers:
    declared = stack.subjects()[subject]
    own = ("people" if subject in stack.people else "agents", subject)
    return [
        (("roles", declared.role), _resolved(stack, subject, department=False, own=False)),
        (("departments", declared.department), _resolved(stack, subject, own=False)),
        (own, _resolved(stack, subject)),
    ]


def _decided(document: Document, layers: _Layers, inner: KeyPath) -> tuple[KeyPath | None, Any]:
    """The key that decides about a field, None for a default, and the value."""
    path, value = None, _value(layers[0][1], inner)
    if (*layers[0][0], *inner) in document.lines:
        path = (*layers[0][0], *inner)
    for layer, policy in layers[1:]:
        if _value(policy, inner) != value:
            path, value = (*layer, *inner), _value(policy, inner)
    return path, value


def _besides(stack: Stack, document: Document, subject: str) -> Iterator[Explained]:
    if subject in stack.people:
        role = stack.people[subject].role
        if stack.roles[role].mfa:
            yield _explained(document, "mfa", "at every sign-in", ("roles", role, "mfa"))
        return
    agent = stack.agents[subject]
    if agent.owner:
        yield _explained(document, "owner", agent.owner, ("agents", subject, "owner"))
    if agent.on_behalf_of:
        text = ", ".join(agent.on_behalf_of)
        yield _explained(document, "on_behalf_of", text, ("agents", subject, "on_behalf_of"))


def _explained(document: Document, field: str, value: str, path: KeyPath | None) -> Explained:
    return Explained(
        field=field,
        value=value,
        key=dotted(path) if path else None,
        line=document.line(path) if path else None,
    )


def _resolved(
    stack: Stack, subject: str, *, department: bool = True, own: bool = True, actor: str = ""
) -> EffectivePolicy:
    """The policy with all of the layers, or only some."""
    declared, policies = stack.subjects()[subject], stack.policies("explained")
    kept = policies.model_copy(
        update={
            "departments": policies.departments if department else {declared.department: Narrowing()},
            "subjects": policies.subjects if own else {},
        }
    )
    return resolve(kept, role=declared.role, department=declared.department, subject=subject, actor=actor)


def _value(policy: EffectivePolicy, path: KeyPath) -> Any:
    value: Any = policy
    for part in path:
        value = getattr(value, str(part))
    return value


def _text(value: Any) -> str:
    if value is None:
        return "no limit"
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if hasattr(value, "usd"):
        soft = "" if value.soft_usd is None else f", told from {value.soft_usd} USD on"
        return f"{value.usd} USD per {value.period}{soft}"
    return str(value)
