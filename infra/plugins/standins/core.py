"""One generic provider: what a table of resource types cannot say is said here once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from typing import Any, ClassVar, ParamSpec, TypeVar

from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.runtime.rpc import UNKNOWN

from infra.plugins.standins.compare import differences, nothing, same
from infra.plugins.standins.kinds import Call, Function, GoneError, PluginError, ResourceType
from infra.plugins.standins.schema import Problem, ResourceSchema, function_rules, resource, settings
from infra.plugins.standins.values import Plain, blank, is_unknown, plain, secrets_in, wrapped

DEFAULT_TIMEOUT_S = 600.0
"""How long one operation may take when the program sets no ``custom_timeouts``."""
OVERTIME_S = 130.0
"""How long after its deadline an operation that waits for one answer is given up."""
PATIENCE_S, READ_PATIENCE_S = 90.0, 15.0
"""How long a server that does not answer is waited for: one that was just started; one that is only looked at."""
WORKERS = 64
"""Operations at once. Most of them wait: for a health check, or for a server."""
ENGINE_SETTINGS = frozenset({"version", "pluginDownloadURL"})
"""What the engine itself puts among a provider's settings."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class StandIn(sdk.Provider):
    """Serves resource types by the rules of their schema: an official one, or our own plugin's."""

    supported_settings: ClassVar[frozenset[str]] = frozenset()
    """Settings of the provider itself that this stand-in acts on; others are refused."""
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    """Settings that are kept as secrets even where the official schema forgets to."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._cancelled = threading.Event()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix=schema["name"])
        self.version: str = schema["version"]
        """The version of the plugin; of the official one, where this stands in for it."""
        self.rules = cache(lambda token: resource(self._schema, token))
        """The schema's words on a type."""

    @abstractmethod
    def make_types(self) -> Iterable[ResourceType]:
        """The tables of the types that are served. Asked for once, and only when one is needed."""

    def make_functions(self) -> Mapping[str, Function]:
        """The functions that are served, by token."""
        return {}

    @cached_property
    def functions(self) -> Mapping[str, Function]:
        """The functions by token."""
        return self.make_functions()

    @cached_property
    def served(self) -> Mapping[str, ResourceType]:
        """The types by token."""
        return {one.token: one for one in self.make_types()}

    def type_of(self, token: str) -> ResourceType:
        """The table of one type; ``token`` may have its parents' types before it, as in a URN.

        Raises:
            PluginError: this stand-in does not serve it.
        """
        token = token.rsplit("$", 1)[-1]
        if token not in self.served:
            served = ", ".join(sorted(self.served))
            raise PluginError(f"{token} is not served by this plugin; it serves: {served}")
        return self.served[token]

    def accept(self, given: Plain) -> None:
        """Take the provider's settings, already of their schema's types. Those not known yet are left out."""

    async def get_schema(self, request: sdk.GetSchemaRequest) -> sdk.GetSchemaResponse:
        return sdk.GetSchemaResponse(schema=json.dumps(self._schema))

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        rules = settings(self._schema)
        values = {key: value for key, value in plain(request.new_inputs).items() if key not in ENGINE_SETTINGS}
        problems = [*rules.problems(_decoded(rules, values)), *_unsupported(rules, values, self.supported_settings)]
        marked = rules.secrets | self.secret_settings
        inputs = {key: value.with_secret(value.is_secret or key in marked) for key, value in request.new_inputs.items()}
        return sdk.CheckResponse(inputs=inputs, failures=_failures(problems))

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        given = _decoded(settings(self._schema), plain(request.args))
        self.accept({key: value for key, value in given.items() if not is_unknown(value)})
        return sdk.ConfigureResponse(accept_secrets=True, supports_preview=True)

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        kind, values = self.type_of(request.type), plain(request.new_inputs)
        problems: list[Problem] = [
            *self.rules(kind.token).problems(values),
            *_unsupported(self.rules(kind.token), values, kind.supported),
            *(problem for path in kind.unsupported for problem in _unsupported_inside(values, path)),
        ]
        if not problems:
            problems = list(kind.problems(values))
        if problems:
            return sdk.CheckResponse(inputs=request.new_inputs, failures=_failures(problems))
        name = {"name": _auto_name(request)} if kind.autonamed and "name" not in values else {}
        complete = {**kind.defaults, **name, **values}
        filled = sorted(complete.keys() - values.keys())
        for path, defaults in kind.nested_defaults.items():
            complete = _filled(complete, path.split("."), defaults)
        # As bridged plugins note which inputs are not the program's own.
        inputs = self._marked(kind, complete, request.new_inputs) | wrapped({"__defaults": filled})
        return sdk.CheckResponse(inputs=inputs)

    async def diff(self, request: sdk.DiffRequest) -> sdk.DiffResponse:
        kind = self.type_of(request.type)
        rules = self.rules(kind.token)
        old, new = plain(request.old_state), plain(request.new_inputs)
        changed = [key for key in differences(kind, old, new) if key not in request.ignore_changes]
        replaces = [key for key in changed if key in rules.replaces]
        return sdk.DiffResponse(
            changes=bool(changed),
            diffs=changed,
            replaces=replaces,
            # As bridged plugins do: a name of the program's own choice cannot be held twice at a time.
            delete_before_replace=bool(replaces) and _keeps_own_name(kind, request),
            detailed_diff={key: sdk.PropertyDiff(_kind(key, old, new, key in replaces), True) for key in changed},
        )

    async def create(self, request: sdk.CreateRequest) -> sdk.CreateResponse:
        kind, inputs = self.type_of(request.type), plain(request.properties)
        if request.preview:
            outputs = self.rules(kind.token).outputs
            later = dict.fromkeys((kind.computed & outputs) - inputs.keys(), UNKNOWN)
            return sdk.CreateResponse(properties=self._marked(kind, {**inputs, **later}, request.properties))
        call = self._call(request.name, request.timeout)
        resource_id, made = await self._do(f"create {request.name}", call, kind.create, inputs, call)
        return sdk.CreateResponse(resource_id, self._marked(kind, {**inputs, **made}, request.properties))

    async def read(self, request: sdk.ReadRequest) -> sdk.ReadResponse:
        kind, state, inputs = self.type_of(request.type), plain(request.properties), plain(request.inputs)
        call = self._call(request.name, 0, READ_PATIENCE_S)
        try:
            resource_id, live = await self._do(
                f"read {request.name}", call, kind.read, request.resource_id, state, call
            )
        except GoneError:
            return sdk.ReadResponse()
        if not state:  # an import
            live = {**kind.defaults, **live}
            inputs = {key: live[key] for key in live.keys() & kind.supported if key not in kind.computed}
        # What merely comes back in another order or spelling has not changed.
        live |= {key: state[key] for key in live.keys() & state.keys() if same(kind, key, state[key], live[key])}
        read_inputs = {
            key: value if key in kind.create_only or same(kind, key, value, live.get(key, value)) else live[key]
            for key, value in inputs.items()
        }
        # What nobody declared and is there all the same, where "not declared" means "none".
        read_inputs |= {
            key: live[key]
            for key in kind.none_if_absent & live.keys() - inputs.keys()
            if not nothing(kind, key, live[key])
        }
        given = {**request.properties, **request.inputs}
        hidden = {key: value for key, value in request.inputs.items() if key.startswith("__")}
        return sdk.ReadResponse(
            resource_id,
            self._marked(kind, {**state, **live}, given),
            self._marked(kind, read_inputs, given) | hidden,
        )

    async def update(self, request: sdk.UpdateRequest) -> sdk.UpdateResponse:
        kind, old, new = self.type_of(request.type), plain(request.olds), plain(request.news)
        kept = {key: value for key, value in old.items() if key in kind.computed | kind.create_only}
        if request.preview:
            changed = differences(kind, old, new)
            later = {output for key in changed for output in kind.recomputed.get(key, ())}
            unknown = dict.fromkeys(later - new.keys(), UNKNOWN)
            return sdk.UpdateResponse(self._marked(kind, {**kept, **new, **unknown}, request.news))
        call = self._call(request.name, request.timeout)
        outputs = await self._do(f"update {request.name}", call, kind.update, request.resource_id, old, new, call)
        given = {**{key: value for key, value in request.olds.items() if key in kept}, **request.news}
        return sdk.UpdateResponse(self._marked(kind, {**kept, **new, **outputs}, given))

    async def delete(self, request: sdk.DeleteRequest) -> None:
        kind, state = self.type_of(request.type), plain(request.properties)
        call = self._call(request.name, request.timeout)
        try:
            await self._do(f"delete {request.name}", call, kind.delete, request.resource_id, state, call)
        except GoneError:
            return

    async def invoke(self, request: sdk.InvokeRequest) -> sdk.InvokeResponse:
        if request.tok not in self.functions:
            served = ", ".join(sorted(self.functions)) or "none"
            raise PluginError(f"{request.tok} is not served by this plugin; functions that it serves: {served}")
        function, rules = self.functions[request.tok], function_rules(self._schema, request.tok)
        given = plain(request.args)
        problems = [*rules.problems(given), *_unsupported(rules, given, function.supported)]
        if problems:
            return sdk.InvokeResponse(failures=_failures(problems))
        call = self._call(request.tok, 0, READ_PATIENCE_S)
        found = await self._do(request.tok, call, function.ask, given, call)
        known = {key: value for key, value in found.items() if key in rules.outputs}
        return sdk.InvokeResponse(return_value=wrapped(known, rules.secrets | function.secret))

    async def cancel(self) -> None:
        self._cancelled.set()

    def _call(self, name: str, timeout_s: float, patience_s: float = PATIENCE_S) -> Call:
        deadline = time.monotonic() + (timeout_s or DEFAULT_TIMEOUT_S)
        return Call(name=name, deadline=deadline, patience_s=patience_s, cancelled=self._cancelled)

    async def _do(self, what: str, call: Call, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        if self._cancelled.is_set():
            raise PluginError(f"{what}: cancelled")
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._pool, lambda: operation(*args, **kwargs))
        try:
            return await asyncio.wait_for(work, call.deadline - time.monotonic() + OVERTIME_S)
        except TimeoutError:
            raise PluginError(f"{what}: took too long and was given up; see custom_timeouts") from None
        except (PluginError, GoneError) as error:
            raise type(error)(f"{what}: {error}") from None

    def _marked(
        self, kind: ResourceType, values: Plain, given: Mapping[str, PropertyValue]
    ) -> dict[str, PropertyValue]:
        return wrapped(values, self.rules(kind.token).secrets | secrets_in(given))


def _failures(problems: list[Problem]) -> list[sdk.CheckFailure]:
    return [sdk.CheckFailure(path, reason) for path, reason in problems]


def _unsupported(rules: ResourceSchema, values: Plain, supported: frozenset[str]) -> Iterator[Problem]:
    for key, value in values.items():
        if key in rules.inputs and key not in supported and not blank(value):
            yield key, f"is not supported by this plugin; it acts on: {', '.join(sorted(supported))}"


def _unsupported_inside(values: Any, path: str) -> Iterator[Problem]:
    *parents, last = path.split(".")
    for holder in _holders(values, parents):
        if not blank(holder.get(last)):
            yield path, "is not supported by this plugin"


def _holders(value: Any, parents: list[str]) -> Iterator[Plain]:
    """The objects at the end of a path through objects and lists of objects."""
    if isinstance(value, list):
        for item in value:
            yield from _holders(item, parents)
    elif isinstance(value, dict):
        if parents:
            yield from _holders(value.get(parents[0]), parents[1:])
        else:
            yield value


def _filled(value: Any, path: list[str], defaults: Mapping[str, Any]) -> Any:
    """``value`` with defaults in every object at the end of ``path`` that is there."""
    if isinstance(value, list):
        return [_filled(item, path, defaults) for item in value]
    if not isinstance(value, dict):
        return value
    if not path:
        return {**defaults, **value}
    step, *rest = path
    return {**value, step: _filled(value[step], rest, defaults)} if step in value else value


def _auto_name(request: sdk.CheckRequest) -> str:
    """A name made of the resource's own and a few digits; the one it has, if it was made up before."""
    defaults, name = request.old_inputs.get("__defaults"), request.old_inputs.get("name")
    if name is not None and defaults is not None and any(one.value == "name" for one in defaults.value or ()):  # type: ignore[union-attr]  # a list
        return str(name.value)
    return f"{request.name}-{hashlib.sha256(request.random_seed).hexdigest()[:7]}"


def _keeps_own_name(kind: ResourceType, request: sdk.DiffRequest) -> bool:
    if not kind.autonamed:
        return False
    made_up = request.new_inputs.get("__defaults")
    if made_up is not None and any(one.value == "name" for one in made_up.value or ()):  # type: ignore[union-attr]  # a list
        return False
    new, old = request.new_inputs.get("name"), request.old_state.get("name")
    return new is None or old is None or is_unknown(new.value) or new.value == old.value


def _decoded(rules: ResourceSchema, values: Plain) -> Plain:
    """Settings of their own types: what is not a text comes to a provider as JSON text."""
    decoded: Plain = {}
    for key, value in values.items():
        typed = rules.inputs.get(key, {}).get("type") not in (None, "string")
        if typed and isinstance(value, str) and not is_unknown(value):
            try:
                decoded[key] = json.loads(value)
            except ValueError:
                decoded[key] = value
        else:
            decoded[key] = value
    return decoded


def _kind(key: str, old: Plain, new: Plain, replaces: bool) -> sdk.PropertyDiffKind:
    kinds = sdk.PropertyDiffKind
    if key not in old:
        return kinds.ADD_REPLACE if replaces else kinds.ADD
    if key not in new:
        return kinds.DELETE_REPLACE if replaces else kinds.DELETE
    return kinds.UPDATE_REPLACE if replaces else kinds.UPDATE
