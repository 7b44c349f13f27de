"""Resource types that are one JSON object at one place: a table of properties says all there is to say of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from infra.plugins.standins.core import PluginError, ResourceType
from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.values import Plain


@dataclass(frozen=True)
class Field:
    """A property and where it is in Keycloak's JSON (a dotted path; dots inside a key are escaped as ``\\\\.``)."""

    path: str
    to_rest: Callable[[Any], Any] = lambda value: value
    from_rest: Callable[[Any], Any] = lambda value: value


def text(path: str) -> Field:
    """Kept as it is."""
    return Field(path)


def flag(path: str) -> Field:
    """A boolean that Keycloak stores as text."""
    return Field(path, lambda value: "true" if value else "false", lambda value: str(value).lower() == "true")


def number(path: str) -> Field:
    """A number that Keycloak stores as text."""
    return Field(path, str, int)


def span(path: str) -> Field:
    """A duration as Go writes it (``10m0s``); Keycloak counts seconds."""
    return Field(path, seconds, written)


def seconds(duration: str) -> int:
    """Seconds of a duration text.

    Raises:
        PluginError: not a duration.
    """
    if not re.fullmatch(r"(\d+h)?(\d+m)?(\d+s)?", duration) or not duration:
        raise PluginError(f"'{duration}' is not a duration such as 10m0s")
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([hms])", duration))


def written(value_s: int) -> str:
    """Seconds as Go prints a duration."""
    hours, rest = divmod(int(value_s), 3600)
    minutes, left = divmod(rest, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{left}s"


def put(body: dict[str, Any], path: str, value: Any) -> None:
    """Set ``path`` in nested objects."""
    *parents, last = _steps(path)
    for step in parents:
        body = body.setdefault(step, {})
    body[last] = value


def pick(body: Mapping[str, Any], path: str) -> Any:
    """The value at ``path``, or None."""
    found: Any = body
    for step in _steps(path):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def _steps(path: str) -> list[str]:
    return [step.replace("\\.", ".") for step in re.split(r"(?<!\\)\.", path)]


class TableType(ResourceType):
    """One JSON object: created by POST to a collection, read, replaced and deleted at its own path."""

    fields: Mapping[str, Field]
    constant: Mapping[str, Any] = {}
    """What goes into every object of this type (dotted paths)."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    def collection(self, values: Plain) -> str:
        """Path of the collection, under ``/admin/realms``."""
        raise NotImplementedError

    def item(self, resource_id: str, values: Plain) -> str:
        """Path of one object."""
        return f"{self.collection(values)}/{resource_id}"

    def body(self, inputs: Plain) -> dict[str, Any]:
        """Keycloak's JSON for these inputs."""
        body: dict[str, Any] = {}
        for path, value in self.constant.items():
            put(body, path, value)
        for name, field in self.fields.items():
            if name in inputs:
                put(body, field.path, field.to_rest(inputs[name]))
        return body

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        """Properties out of Keycloak's JSON: those already known, or all of them at an import."""
        live: Plain = {}
        for name, field in self.fields.items():
            value = pick(body, field.path)
            if value is not None and (name in known or not known):
                live[name] = field.from_rest(value)
        return live

    def outputs(self, resource_id: str, inputs: Plain) -> Plain:
        """What only Keycloak knows."""
        return {}

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        resource_id = self.admin.post(self.collection(inputs), self.body(inputs))
        return resource_id, self.outputs(resource_id, inputs)

    def read(self, resource_id: str, state: Plain) -> Plain:
        state, resource_id = self.located(resource_id, state)
        found = self.admin.get(self.item(resource_id, state))
        return {**self.state(found, state), **self.outputs(resource_id, state)}

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        path = self.item(resource_id, new)
        self.admin.put(path, merge(self.admin.get(path), self.body(new)))
        return self.outputs(resource_id, new)

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        self.admin.delete(self.item(resource_id, state))

    def located(self, resource_id: str, state: Plain) -> tuple[Plain, str]:
        """State with what the path needs. An import names ``realm/id``, as with the official plugin."""
        if state or "/" not in resource_id:
            return state, resource_id
        realm, _, rest = resource_id.partition("/")
        return {"realmId": realm}, rest


def merge(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """``live`` with what is wanted in it; settings that nobody declared stay."""
    result = dict(live)
    for key, value in wanted.items():
        current = result.get(key)
        nested = isinstance(value, Mapping) and isinstance(current, Mapping)
        result[key] = merge(current, value) if nested else value  # type: ignore[arg-type]  # both are mappings
    return result
