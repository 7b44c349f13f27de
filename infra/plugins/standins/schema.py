"""What an official schema says of one resource type: properties, types, secrets, replace rules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.plugins.standins.values import is_unknown

FOLDER = Path(__file__).resolve().parents[1] / "schemas"

_PYTHON: dict[str, type | tuple[type, ...]] = {"string": str, "boolean": bool, "integer": int, "number": (int, float)}


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
    def outputs(self) -> frozenset[str]:
        """Names of all output properties."""
        return frozenset(self.raw["properties"])

    @cached_property
    def secrets(self) -> frozenset[str]:
        """Properties that are secret whatever they are given."""
        both = {**self.raw["inputProperties"], **self.raw["properties"]}
        return frozenset(name for name, rule in both.items() if rule.get("secret"))

    @cached_property
    def replaces(self) -> frozenset[str]:
        """Inputs whose change needs a new resource."""
        return frozenset(name for name, rule in self.inputs.items() if rule.get("willReplaceOnChanges"))

    def problems(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What is wrong with input ``values``, as (property, reason)."""
        for name in self.raw.get("requiredInputs", ()):
            if name not in values:
                yield name, "is required"
        yield from self._object(self.inputs, values, "")

    def _object(self, rules: Mapping[str, Any], values: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
        for name, value in values.items():
            if name == "__defaults":  # how bridged providers note which inputs they filled in
                continue
            if name not in rules:
                yield f"{path}{name}", f"no such property of {self.token}"
            else:
                yield from self._value(rules[name], value, f"{path}{name}")

    def _value(self, rule: Mapping[str, Any], value: Any, path: str) -> Iterator[tuple[str, str]]:
        if is_unknown(value) and isinstance(value, str):
            return
        reference = rule.get("$ref", "")
        if reference.startswith("#/types/"):
            kind = self.types[reference.removeprefix("#/types/")]
            if "properties" not in kind:
                return
            if not isinstance(value, dict):
                yield path, "must be an object"
                return
            for name in kind.get("required", ()):
                if name not in value:
                    yield f"{path}.{name}", "is required"
            yield from self._object(kind["properties"], value, f"{path}.")
        elif rule.get("type") == "array":
            if not isinstance(value, list):
                yield path, "must be a list"
                return
            for index, item in enumerate(value):
                yield from self._value(rule["items"], item, f"{path}[{index}]")
        elif rule.get("type") == "object":
            if not isinstance(value, dict):
                yield path, "must be an object"
        elif not isinstance(value, _PYTHON.get(rule.get("type", ""), object)) or (
            rule.get("type") != "boolean" and isinstance(value, bool)
        ):
            yield path, f"must be of type {rule.get('type')}"


def load(package: str, version: str) -> tuple[str, dict[str, Any]]:
    """The text and the content of one official schema."""
    text = (FOLDER / f"pulumi-{package}-{version}.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return text, content


def resource(schema: Mapping[str, Any], token: str) -> ResourceSchema:
    """One resource type of a loaded schema."""
    return ResourceSchema(token, schema["resources"][token], schema["types"])
