"""One generic provider: what a table of resource types cannot say is said here once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.rpc import UNKNOWN

from infra.plugins.standins.schema import ResourceSchema, load, resource
from infra.plugins.standins.values import Plain, is_unknown, plain, secrets_in, wrapped

DEFAULT_TIMEOUT_S = 600.0


class PluginError(Exception):
    """An operation failed; the message names the resource, what failed and what to do."""


class GoneError(Exception):
    """The resource is not there (any more)."""


class ResourceType(ABC):
    """One resource type of one provider: its table of facts, and its four operations.

    All operations get and give plain values. ``inputs`` are complete: checked, with defaults filled in.
    """

    token: str
    defaults: Mapping[str, Any] = {}
    """Inputs that the official provider stores when they are not given."""
    unordered: frozenset[str] = frozenset()
    """Lists whose order means nothing (sets, upstream)."""
    computed: frozenset[str] = frozenset()
    """Outputs, and inputs that the provider fills in by itself when they are not given."""

    def normalise(self, inputs: Plain) -> Plain:
        """Inputs as the official provider stores them."""
        return inputs

    @abstractmethod
    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        """Make it; returns id and outputs. ``deadline`` is on the monotonic clock."""

    @abstractmethod
    def read(self, resource_id: str, state: Plain) -> Plain:
        """The live state; ``state`` is the last known one, empty at an import. Raises ``GoneError``."""

    @abstractmethod
    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        """Change it in place; returns outputs."""

    @abstractmethod
    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        """Delete it. Not being there is fine."""


class StandIn(sdk.Provider):
    """Serves resource types by the rules of their official schema."""

    def __init__(self, package: str, version: str) -> None:
        self._text, content = load(package, version)
        self._content = content
        self._types: dict[str, ResourceType] = {}
        self._cancelled = threading.Event()

    def register(self, *types: ResourceType) -> None:
        """Serve these types; each must be in the official schema."""
        for one in types:
            if one.token not in self._content["resources"]:
                raise PluginError(f"{one.token} is not in the official schema")
            self._types[one.token] = one

    def schema_of(self, token: str) -> ResourceSchema:
        """The official schema's words on a type."""
        return resource(self._content, token)

    def type_of(self, token: str) -> ResourceType:
        """The table of one type.

        Raises:
            PluginError: this stand-in does not serve it.
        """
        token = own_type(token)
        if token not in self._types:
            served = ", ".join(sorted(self._types))
            raise PluginError(f"{token} is not served by this stand-in; it serves: {served}")
        return self._types[token]

    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        return sdk.GetSchemaResponse(schema=self._text)

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        kind, values = self.type_of(request.type), plain(request.new_inputs)
        failures = [sdk.CheckFailure(path, reason) for path, reason in self.schema_of(kind.token).problems(values)]
        if failures:
            return sdk.CheckResponse(inputs=request.new_inputs, failures=failures)
        complete = {**kind.defaults, **kind.normalise(values)}
        return sdk.CheckResponse(inputs=self._marked(kind, complete, request.new_inputs))

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        kind = self.type_of(request.type)
        rules = self.schema_of(kind.token)
        old, new = plain(request.old_state), plain(request.new_inputs)
        changed = [key for key in differences(kind, rules, old, new) if key not in request.ignore_changes]
        replaces = [key for key in changed if key in rules.replaces]
        return sdk.DiffResponse(
            changes=bool(changed),
            diffs=changed,
            replaces=replaces,
            detailed_diff={key: sdk.PropertyDiff(_kind(key, old, new, key in replaces), True) for key in changed},
        )

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        kind, inputs = self.type_of(request.type), plain(request.properties)
        if request.preview:
            unknown = dict.fromkeys(self.schema_of(kind.token).outputs - inputs.keys() - kind.computed, None)
            later = dict.fromkeys(kind.computed - inputs.keys(), UNKNOWN)
            return sdk.CreateResponse(properties=self._marked(kind, {**unknown, **inputs, **later}, request.properties))
        deadline = _deadline(request.timeout)
        resource_id, outputs = await self._do(f"create {request.name}", kind.create, inputs, deadline)
        return sdk.CreateResponse(resource_id, self._marked(kind, {**inputs, **outputs}, request.properties))

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        kind, state, inputs = self.type_of(request.type), plain(request.properties), plain(request.inputs)
        try:
            live = await self._do(f"read {request.name}", kind.read, request.resource_id, state)
        except GoneError:
            return sdk.ReadResponse()
        # A set that merely comes back in another order has not changed.
        live |= {
            key: state[key] for key in kind.unordered & live.keys() & state.keys() if same(live[key], state[key], True)
        }
        accepted = self.schema_of(kind.token).inputs
        if inputs:
            new_inputs = {key: live.get(key, value) for key, value in inputs.items()}
        else:  # an import: every input that can be read
            new_inputs = {key: value for key, value in live.items() if key in accepted and key not in kind.computed}
        merged = {**state, **live}
        return sdk.ReadResponse(
            request.resource_id,
            self._marked(kind, merged, request.properties),
            self._marked(kind, new_inputs, {**request.properties, **request.inputs}),
        )

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        kind, old, new = self.type_of(request.type), plain(request.olds), plain(request.news)
        kept = {key: value for key, value in old.items() if key in kind.computed}
        if request.preview:
            return sdk.UpdateResponse(self._marked(kind, {**kept, **new}, request.news))
        deadline = _deadline(request.timeout)
        outputs = await self._do(f"update {request.name}", kind.update, request.resource_id, old, new, deadline)
        return sdk.UpdateResponse(self._marked(kind, {**kept, **new, **outputs}, request.news))

    async def delete(self, request: sdk.DeleteRequest) -> None:
        kind, state = self.type_of(request.type), plain(request.properties)
        deadline = _deadline(request.timeout)
        try:
            await self._do(f"delete {request.name}", kind.delete, request.resource_id, state, deadline)
        except GoneError:
            return

    async def cancel(self) -> None:
        self._cancelled.set()

    async def _do(self, what: str, operation: Any, *arguments: Any) -> Any:
        if self._cancelled.is_set():
            raise PluginError(f"{what}: cancelled")
        try:
            return await asyncio.to_thread(operation, *arguments)
        except PluginError as error:
            raise PluginError(f"{what}: {error}") from None

    def _marked(
        self, kind: ResourceType, values: Plain, given: Mapping[str, PropertyValue]
    ) -> dict[str, PropertyValue]:
        return wrapped(values, self.schema_of(kind.token).secrets | secrets_in(given))


def own_type(qualified: str) -> str:
    """A resource's own type, out of what a URN holds: its parents' types, joined by ``$``, and its own."""
    return qualified.rsplit("$", 1)[-1]


def differences(kind: ResourceType, rules: ResourceSchema, old: Plain, new: Plain) -> list[str]:
    """Inputs that are not as the state has them, sorted."""
    changed = {key for key, value in new.items() if not same(value, old.get(key), key in kind.unordered)}
    removed = {key for key in old if key in rules.inputs and key not in new and key not in kind.computed}
    return sorted(key for key in changed | removed if key != "__defaults")


def same(new: Any, old: Any, unordered: bool) -> bool:
    """Whether two values mean the same; an empty list, map or text is the same as none."""
    if is_unknown(new):
        return False
    if new in ([], {}, "", None) and old in ([], {}, "", None):
        return True
    if unordered and isinstance(new, list) and isinstance(old, list):
        return sorted(map(_text, new)) == sorted(map(_text, old))
    return _text(new) == _text(old)


def _text(value: Any) -> str:
    return json.dumps(_full(value), sort_keys=True)


def _full(value: Any) -> Any:
    """Without what stands for nothing: ``None``, empty lists and maps inside."""
    if isinstance(value, dict):
        return {key: _full(item) for key, item in value.items() if item not in (None, [], {})}
    return [_full(item) for item in value] if isinstance(value, list) else value


def _kind(key: str, old: Plain, new: Plain, replaces: bool) -> sdk.PropertyDiffKind:
    kinds = sdk.PropertyDiffKind
    if key not in old:
        return kinds.ADD_REPLACE if replaces else kinds.ADD
    if key not in new:
        return kinds.DELETE_REPLACE if replaces else kinds.DELETE
    return kinds.UPDATE_REPLACE if replaces else kinds.UPDATE


def _deadline(timeout_s: float) -> float:
    return time.monotonic() + (timeout_s or DEFAULT_TIMEOUT_S)
