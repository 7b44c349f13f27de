"""What an interrupted run was making in Keycloak.

Whether it was made, the state does not say. A container carries its stack's label and is taken over by the run that
makes it again; an object in Keycloak carries nothing, and who makes it again is told that it exists. It was only just
being made, so nothing depends on it yet: it is taken away, and made anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from infra.plugins.standins.keycloak.provider import KeycloakStandIn
from infra.plugins.standins.keycloak.settings import Settings
from infra.plugins.standins.keycloak.table import TableType
from infra.plugins.standins.kinds import Call, GoneError, PluginError

PATIENCE_S = 30.0


def take_away(held: Mapping[str, Any], settings: Settings) -> None:
    """Delete what creations that have begun and not ended may have made. ``held``: what the state holds; ``settings``:
    how Keycloak is signed in to. What cannot be deleted now is left: the run that meets it says so."""
    for kind, inputs in _creations(held, settings):
        now = time.monotonic()
        call = Call(name="", deadline=now + PATIENCE_S, patience_s=PATIENCE_S, cancelled=threading.Event())
        with suppress(PluginError, GoneError):
            own_id = kind.find(inputs, call)
            if own_id is not None:
                kind.delete(own_id, inputs, call)


def _creations(held: Mapping[str, Any], settings: Settings) -> Iterator[tuple[TableType, dict[str, Any]]]:
    begun = [one["resource"] for one in held.get("pending_operations") or [] if one["type"] == "creating"]
    ours = [one for one in begun if str(one["type"]).startswith("keycloak:")]
    served = KeycloakStandIn(settings).served if ours else {}
    for one in ours:
        kind = served.get(str(one["type"]))
        if isinstance(kind, TableType):  # others are made by setting them, which can be done twice
            yield kind, dict(one["inputs"])
