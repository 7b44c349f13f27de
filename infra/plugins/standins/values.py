"""Between the engine's property values and plain Python: secrets and unknowns survive the way there and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime.rpc import UNKNOWN

Plain = dict[str, Any]


def plain(properties: Mapping[str, PropertyValue]) -> Plain:
    """Plain values: whole numbers become ``int``; nulls and the engine's own keys (``__…``) are left out.

    Raises:
        TypeError: an asset, archive or resource, which no property of a stand-in takes.
    """
    return {key: _plain(value) for key, value in properties.items() if _counts(key, value)}


def secrets_in(properties: Mapping[str, PropertyValue]) -> frozenset[str]:
    """Names of the properties that hold a secret anywhere inside."""
    return frozenset(key for key, value in properties.items() if value.contains_secret())


def wrapped(values: Mapping[str, Any], secret: Iterable[str] = ()) -> dict[str, PropertyValue]:
    """Property values; those named in ``secret`` are marked as secrets, as a whole."""
    marked = frozenset(secret)
    return {key: _wrap(value).with_secret(key in marked) for key, value in values.items() if value is not None}


def is_unknown(value: Any) -> bool:
    """Whether the value itself is not known yet (in a preview)."""
    return isinstance(value, str) and value == UNKNOWN


def known(value: Any, otherwise: Any) -> Any:
    """The value, or ``otherwise`` if there is none or it is not known yet."""
    return otherwise if value is None or is_unknown(value) else value


def blank(value: Any) -> bool:
    """Whether a value says as much as none at all: providers of this kind do not tell the two apart."""
    if isinstance(value, Mapping):
        return all(blank(item) for item in value.values())
    return value is None or value is False or value in ("", 0) or value == []


def _counts(key: str, value: PropertyValue) -> bool:
    return value.value is not None and not key.startswith("__")


def _plain(value: PropertyValue) -> Any:
    inner = value.value
    if isinstance(inner, Computed):
        return UNKNOWN
    if isinstance(inner, bool | str) or inner is None:
        return inner
    if isinstance(inner, float):
        return int(inner) if inner.is_integer() else inner
    if isinstance(inner, Mapping):
        return {key: _plain(item) for key, item in inner.items() if _counts(key, item)}
    if isinstance(inner, tuple):
        return [_plain(item) for item in inner]
    raise TypeError(f"a value of kind {value.type.value} is not supported here")


def _wrap(value: Any) -> PropertyValue:
    if isinstance(value, bool | str) or value is None:
        return PropertyValue(value)
    if isinstance(value, int | float):
        return PropertyValue(float(value))
    if isinstance(value, Mapping):
        return PropertyValue({key: _wrap(item) for key, item in value.items() if item is not None})
    return PropertyValue([_wrap(item) for item in value])
