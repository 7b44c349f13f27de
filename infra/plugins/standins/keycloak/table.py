"""Resource types that are one JSON object at one place: a table of properties says all there is to say of them."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from infra.plugins.standins.durations import SECOND, nanoseconds, written
from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.kinds import Call, ConflictError, GoneError, PluginError, ResourceType
from infra.plugins.standins.values import Plain

MANY = "##"
"""Between the values of an attribute that has several, in the one text that the official plugin makes of them."""


@dataclass(frozen=True)
class Field:
    """A property and where it is in Keycloak's JSON (a dotted path; dots inside a key are escaped as ``\\\\.``).

    ``absent``: what is sent at creation when the input is not given; None for nothing. ``empty``: what takes a value
    away again.
    """

    path: str
    to: Callable[[Any], Any] = lambda value: value
    back: Callable[[Any], Any] = lambda value: value
    absent: Any = None
    empty: Any = ""


def plainly(path: str, absent: Any = None) -> Field:
    """Kept as it is."""
    return Field(path, absent=absent, empty=False if isinstance(absent, bool) else "")


def flag(path: str) -> Field:
    """A boolean that Keycloak stores as text."""
    return Field(path, lambda value: str(value).lower(), lambda value: str(value).lower() == "true", empty=False)


def number(path: str) -> Field:
    """A number that Keycloak stores as text."""
    return Field(path, str, lambda value: int(value) if value else 0)


def span(path: str) -> Field:
    """A duration as Go writes it (``10m0s``); Keycloak counts seconds."""
    return Field(path, lambda text: nanoseconds(text) // SECOND, lambda count: written(int(count) * SECOND), empty=0)


def texts(path: str, absent: list[str] | None = None) -> Field:
    """A list of texts."""
    return Field(path, absent=absent, empty=[])


def joined(path: str) -> Field:
    """A list of texts that Keycloak stores as one."""
    return Field(path, MANY.join, lambda text: text.split(MANY) if text else [])


def attributes(path: str) -> Field:
    """A map of texts; in Keycloak each has a list of values."""
    return Field(
        path,
        lambda given: {key: value.split(MANY) for key, value in given.items()},
        lambda found: {key: MANY.join(values) for key, values in found.items()},
        empty={},
    )


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


def segment(text: str) -> str:
    """A name as one segment of a path."""
    return quote(text, safe="")


class TableType(ResourceType):
    """One JSON object: created by POST to a collection; read, replaced and deleted at its own path."""

    fields: ClassVar[Mapping[str, Field]]
    constant: ClassVar[Mapping[str, Any]] = {}
    """What goes into every object of this type (dotted paths)."""
    place: ClassVar[tuple[str, ...]] = ("realmId",)
    """Inputs that say where the object is, in the order in which an import names them before the id."""
    import_form: ClassVar[str] = "REALM/ID"

    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    @abstractmethod
    def collection(self, values: Plain) -> str:
        """Path of the collection, under ``/admin/realms``."""

    @abstractmethod
    def find(self, inputs: Plain, call: Call) -> str | None:
        """The id of the object that has the name in ``inputs`` already."""

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
                put(body, field.path, field.to(inputs[name]))
        return body

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        """Properties out of Keycloak's JSON; ``known`` is the last known state."""
        found = {name: pick(body, field.path) for name, field in self.fields.items()}
        return {name: self.fields[name].back(value) for name, value in found.items() if value is not None}

    def outputs(self, resource_id: str, values: Plain, call: Call) -> Plain:
        """What has to be asked for besides; ``values`` are the object's inputs or state."""
        return {}

    def finish(self, resource_id: str, inputs: Plain, call: Call) -> None:
        """What has to be done to a new object besides."""

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        body = self.body(inputs)
        for name, field in self.fields.items():
            if name not in inputs and field.absent is not None:
                put(body, field.path, field.absent)
        try:
            resource_id = self.identify(self.admin.post(self.collection(inputs), body, call), inputs, call)
        except ConflictError as error:
            raise self._exists(error, inputs, call) from None
        try:
            self.finish(resource_id, inputs, call)
            return resource_id, self._live(resource_id, inputs, call)
        except BaseException:
            # What is half made is in no state: none is left behind, so that the next run can make it whole.
            with suppress(PluginError, GoneError):
                self.delete(resource_id, inputs, call)
            raise

    def identify(self, answer: str, inputs: Plain, call: Call) -> str:
        """The id of a new object; ``answer`` is the last part of where Keycloak says it is."""
        return answer

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        if state:
            return resource_id, self._live(resource_id, state, call)
        values, own_id = self.located(resource_id)
        return own_id, {**values, **self._live(own_id, values, call)}

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        body, path = self.body(new), self.item(resource_id, new)
        for name in old.keys() - new.keys() - self.computed:
            if name in self.fields:
                put(body, self.fields[name].path, self.fields[name].empty)
        whole = merged(self.admin.get(path, call), body)
        for field in self.fields.values():
            if field.empty == {} and (value := pick(body, field.path)) is not None:
                put(whole, field.path, value)  # a map is replaced as a whole
        self.admin.put(path, whole, call)
        return self._live(resource_id, new, call)

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        self.admin.delete(self.item(resource_id, state), call)

    def located(self, import_id: str) -> tuple[Plain, str]:
        """What an import's id says of where the object is, and its own id.

        Raises:
            PluginError: it is not of the official plugin's form.
        """
        *place, own_id = import_id.split("/")
        if len(place) != len(self.place) or not own_id:
            raise PluginError(f"'{import_id}' is no import id for this type: it is {self.import_form}")
        return dict(zip(self.place, place, strict=True)), own_id

    def import_id(self, own_id: str, values: Plain) -> str:
        """The other way round."""
        return "/".join([*(str(values[name]) for name in self.place), own_id])

    def _live(self, resource_id: str, values: Plain, call: Call) -> Plain:
        found = self.admin.get(self.item(resource_id, values), call)
        live = self.state(found, values)
        return {**live, **self.outputs(resource_id, {**values, **live}, call)}

    def _exists(self, error: ConflictError, inputs: Plain, call: Call) -> PluginError:
        own_id = None
        with suppress(PluginError, GoneError):
            own_id = self.find(inputs, call)
        by = self.import_id(own_id, inputs) if own_id else self.import_form
        return PluginError(
            f"{error}. It exists already: take it over with 'pulumi import {self.token} {call.name} {by}', "
            "or delete it in Keycloak"
        )


def merged(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """``live`` with what is wanted in it; settings that nobody declared stay."""
    result = dict(live)
    for key, value in wanted.items():
        current = result.get(key)
        nested = isinstance(value, Mapping) and isinstance(current, Mapping)
        result[key] = merged(current, value) if nested else value  # type: ignore[arg-type]  # both are mappings
    return result
