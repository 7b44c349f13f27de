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


def explain(stack: Stack, document: Document, subject: str) -> Iterator[Explained]:
    """Every field of the effective policy of a declared subject, each with the key that decides it; and ``mfa`` of a
    person whose role asks for it.

    Raises:
        KeyError: no person and no agent of that name is declared.
    """
    declared = stack.subjects()[subject]
    own = ("people" if subject in stack.people else "agents", subject)
    layers: list[tuple[KeyPath, EffectivePolicy]] = [
        (("roles", declared.role), _resolved(stack, subject, department=False, own=False)),
        (("departments", declared.department), _resolved(stack, subject, department=True, own=False)),
        (own, _resolved(stack, subject, department=True, own=True)),
    ]
    for inner in FIELDS:
        path, value = None, _value(layers[0][1], inner)
        if (*layers[0][0], *inner) in document.lines:
            path = (*layers[0][0], *inner)
        for layer, policy in layers[1:]:
            if _value(policy, inner) != value:
                path, value = (*layer, *inner), _value(policy, inner)
        yield Explained(
            field=dotted(inner),
            value="any" if inner == ("tools",) and value is None else _text(value),
            key=dotted(path) if path else None,
            line=document.line(path) if path else None,
        )
    if subject in stack.people and stack.roles[declared.role].mfa:
        path = ("roles", declared.role, "mfa")
        yield Explained(field="mfa", value="at every sign-in", key=dotted(path), line=document.line(path))


def _resolved(stack: Stack, subject: str, *, department: bool, own: bool) -> EffectivePolicy:
    """The policy with only some of the layers."""
    declared, policies = stack.subjects()[subject], stack.policies("explained")
    kept = policies.model_copy(
        update={
            "departments": policies.departments if department else {declared.department: Narrowing()},
            "subjects": policies.subjects if own else {},
        }
    )
    return resolve(kept, role=declared.role, department=declared.department, subject=subject)


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
