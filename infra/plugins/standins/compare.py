"""Whether declared inputs and known state mean the same: what decides between no change, update and replacement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.plugins.standins.durations import nanoseconds
from infra.plugins.standins.kinds import ResourceType
from infra.plugins.standins.values import Plain, blank, is_unknown


def differences(kind: ResourceType, old: Plain, new: Plain) -> list[str]:
    """Names of the inputs that are not as the state has them, sorted."""
    changed = {key for key, value in new.items() if not same(kind, key, value, old.get(key))}
    removed = {
        key
        for key, value in old.items()
        if key in kind.supported and key not in new and key not in kind.computed and not nothing(kind, key, value)
    }
    return sorted((changed | removed) - kind.create_only)


def same(kind: ResourceType, path: str, new: Any, old: Any) -> bool:
    """Whether ``new`` (declared) asks for nothing but ``old`` (known), both at ``path``."""
    if is_unknown(new):
        return False
    if nothing(kind, path, new) and nothing(kind, path, old):
        return True
    if isinstance(new, Mapping) or isinstance(old, Mapping):
        return _same_objects(kind, path, new or {}, old or {})
    if isinstance(new, list) or isinstance(old, list):
        return _same_lists(kind, path, new or [], old or [])
    if path in kind.durations:
        return _same_durations(new, old)
    return bool(new == old)


def nothing(kind: ResourceType, path: str, value: Any) -> bool:
    """Whether a value says as much as none at all."""
    return value is None if path in kind.exact else blank(value)


def _same_objects(kind: ResourceType, path: str, new: Any, old: Any) -> bool:
    if not isinstance(new, Mapping) or not isinstance(old, Mapping):
        return False
    return all(
        same(kind, f"{path}.{key}", new.get(key), old.get(key))
        for key in new.keys() | old.keys()
        if key in new or f"{path}.{key}" not in kind.computed
    )


def _same_lists(kind: ResourceType, path: str, new: Any, old: Any) -> bool:
    if not isinstance(new, list) or not isinstance(old, list) or len(new) != len(old):
        return False
    if path not in kind.sets:
        return all(same(kind, path, one, other) for one, other in zip(new, old, strict=True))
    return _matched([[index for index, other in enumerate(old) if same(kind, path, one, other)] for one in new])


def _matched(choices: list[list[int]]) -> bool:
    """Whether each may have one of its choices with none taken twice (augmenting paths, Kuhn 1955).

    One that says little is the same as many; taking the first that fits could take the only one of another.
    """
    taken: dict[int, int] = {}

    def place(one: int, tried: set[int]) -> bool:
        for choice in choices[one]:
            if choice not in tried:
                tried.add(choice)
                if choice not in taken or place(taken[choice], tried):
                    taken[choice] = one
                    return True
        return False

    return all(place(one, set()) for one in range(len(choices)))


def _same_durations(new: Any, old: Any) -> bool:
    try:
        return nanoseconds(str(new or "0s")) == nanoseconds(str(old or "0s"))
    except ValueError:
        return bool(new == old)
