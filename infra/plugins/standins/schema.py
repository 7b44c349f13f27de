"""What an official schema says of one resource type: properties, types, secrets, replace rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.plugins.standins.values import is_unknown

FOLDER = Path(__file__).resolve().parents[1] / "schemas"
DESCRIBED = (
    "keycloak:authentication/flow:Flow",
    "keycloak:authentication/subflow:Subflow",
    "keycloak:index/role:Role",
    "keycloak:index/group:Group",
    "keycloak:openid/client:Client",
    "keycloak:openid/clientScope:ClientScope",
)
"""Types with a property named ``description``. The copies of the schemas have lost all descriptions, these too."""

_PYTHON: dict[str, type | tuple[type, ...]] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}
_NAMED = {"string": "a text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}

Problem = tuple[str, str]
"""(path of a property, what is wrong with it)"""


@dataclass(frozen=True)
class ResourceSchema:
    """One resource of an official schema; ``types`` holds the schema's shared object types."""

    token: str
    raw: Mapping[str, Any]
    types: Mapping[str, Any]

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Input properties by name."""
        inputs: Mapping[str, Any] = self.raw["inputProperties"]
        return inputs

    @cached_property
    def required(self) -> frozenset[str]:
        """Inputs that must be given."""
        return frozenset(self.raw.get("requiredInputs", ()))

    @cached_property
    def outputs(self) -> frozenset[str]:
        """Names of all output properties."""
        return frozenset(self.raw["properties"])

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Properties that are secret whatever they are given, or hold one that is."""
        both = {**self.raw["inputProperties"], **self.raw["properties"]}
        return frozenset(name for name, rule in both.items() if self._secret(rule))

    @cached_property
    def replaces(self) -> frozenset[str]:
        """Inputs whose change needs a new resource."""
        return frozenset(name for name, rule in self.inputs.items() if rule.get("willReplaceOnChanges"))

    def nested(self, rule: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The object type that a property's rule names, for itself or for its items; None if it names none."""
        reference = str(rule.get("$ref") or rule.get("items", {}).get("$ref") or "")
        found: Mapping[str, Any] | None = self.types.get(reference.removeprefix("#/types/"))
        return found if found is not None and "properties" in found else None

    def problems(self, values: Mapping[str, Any]) -> Iterator[Problem]:
        """What is wrong with input ``values``."""
        for name in sorted(self.required - values.keys()):
            yield name, "is required"
        yield from self._object(self.inputs, values, "")

    def _object(self, rules: Mapping[str, Any], values: Mapping[str, Any], path: str) -> Iterator[Problem]:
        for name, value in values.items():
            if name in rules:
                yield from self._value(rules[name], value, f"{path}{name}")
            else:
                close = get_close_matches(name, rules, n=1)
                meant = f"; did you mean '{close[0]}'?" if close else f"; there are: {', '.join(sorted(rules))}"
                yield f"{path}{name}", f"no such property{meant}"

    def _value(self, rule: Mapping[str, Any], value: Any, path: str) -> Iterator[Problem]:
        if is_unknown(value):
            return
        if "$ref" in rule:
            yield from self._referred(rule, value, path)
        elif rule.get("type") == "array":
            if not isinstance(value, list):
                yield path, "must be a list"
                return
            for index, item in enumerate(value):
                yield from self._value(rule["items"], item, f"{path}[{index}]")
        elif rule.get("type") == "object":
            if not isinstance(value, dict):
                yield path, "must be a map"
                return
            for key, item in value.items():
                yield from self._value(rule.get("additionalProperties", {}), item, f"{path}.{key}")
        else:
            yield from _scalar(str(rule.get("type", "")), value, path)

    def _referred(self, rule: Mapping[str, Any], value: Any, path: str) -> Iterator[Problem]:
        kind = self.nested(rule)
        if kind is None:
            return
        if not isinstance(value, dict):
            yield path, "must be an object"
            return
        for name in kind.get("required", ()):
            if name not in value:
                yield f"{path}.{name}", "is required"
        yield from self._object(kind["properties"], value, f"{path}.")

    def _secret(self, rule: Mapping[str, Any]) -> bool:
        kind = self.nested(rule)
        inside = kind["properties"].values() if kind is not None else ()
        return bool(rule.get("secret")) or any(self._secret(one) for one in inside)


def _scalar(kind: str, value: Any, path: str) -> Iterator[Problem]:
    wanted = _PYTHON.get(kind, object)
    if not isinstance(value, wanted) or (kind != "boolean" and isinstance(value, bool)):
        yield path, f"must be {_NAMED.get(kind, kind)}"


def load(package: str) -> dict[str, Any]:
    """The content of one official schema, with the ``version`` that its file is named by."""
    (file,) = FOLDER.glob(f"pulumi-{package}-*.schema.json")
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    content["version"] = file.name.removeprefix(f"pulumi-{package}-").removesuffix(".schema.json")
    for token in DESCRIBED:
        for part in ("inputProperties", "properties"):
            if token in content["resources"]:
                content["resources"][token][part].setdefault("description", {"type": "string"})
    return content


def resource(schema: Mapping[str, Any], token: str) -> ResourceSchema:
    """One resource type of a loaded schema."""
    return ResourceSchema(token, schema["resources"][token], schema["types"])


def function_rules(schema: Mapping[str, Any], token: str) -> ResourceSchema:
    """One function of a loaded schema, in the same form."""
    raw = schema["functions"][token]
    given, found = raw["inputs"], raw["outputs"]
    return ResourceSchema(
        token,
        {
            "inputProperties": given["properties"],
            "requiredInputs": given.get("required", []),
            "properties": found["properties"],
        },
        schema["types"],
    )


def settings(schema: Mapping[str, Any]) -> ResourceSchema:
    """The provider's own settings, in the same form."""
    raw = {"properties": {}, **schema["provider"]}
    return ResourceSchema(f"pulumi:providers:{schema['name']}", raw, schema["types"])
