"""``extraConfig``: settings of Keycloak's that the official plugin has no property for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from infra.plugins.standins.keycloak.table import TableType
from infra.plugins.standins.kinds import Call
from infra.plugins.standins.values import Plain


class WithExtras(TableType):
    """What has, besides its properties, an ``extraConfig``: texts put into one object of Keycloak's JSON as they are.

    As upstream, only what was declared there is read back.
    """

    extras_in: ClassVar[str] = "config"
    """The object."""

    def body(self, inputs: Plain) -> dict[str, Any]:
        body = super().body(inputs)
        for key, value in inputs.get("extraConfig", {}).items():
            body.setdefault(self.extras_in, {})[key] = value
        return body

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        found = body.get(self.extras_in) or {}
        extra = {key: found[key] for key in known.get("extraConfig", {}) if found.get(key)}
        more = {"extraConfig": extra} if extra or "extraConfig" in known else {}
        return {**super().state(body, known), **more}

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        extra = new.get("extraConfig", {})
        gone = dict.fromkeys(old.get("extraConfig", {}).keys() - extra.keys(), "")  # an empty text takes one away
        return super().update(resource_id, old, {**new, "extraConfig": {**extra, **gone}} if gone else new, call)
