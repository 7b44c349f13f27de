"""Where a document is kept that is not in the custody folder. ``place.json`` says it; ``store.age`` is then a copy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.store.backend import Backend
from runtime.store.document import StoreError
from runtime.store.folder import PLACE, Folder


@dataclass(frozen=True, kw_only=True)
class Place:
    """One place elsewhere.

    ``identity``: the same for the same document, by whatever way it is reached. ``settings``: what opened it last, as
    plain data without a secret. ``backend``: reaches it.
    """

    identity: str
    settings: Mapping[str, Any]
    backend: Backend = field(compare=False, repr=False)

    def text(self) -> bytes:
        """As it stands in the file."""
        return json.dumps({"identity": self.identity, "settings": self.settings}, indent=2).encode() + b"\n"


@dataclass(frozen=True)
class Noted:
    """What ``place.json`` says."""

    identity: str
    settings: Mapping[str, Any]


def noted(folder: Folder) -> Noted | None:
    """What ``place.json`` of ``folder`` says; None if the document is kept in the folder itself, or nowhere yet.

    Raises:
        StoreError: it cannot be read.
    """
    if not folder.has(PLACE):
        return None
    try:
        plain = json.loads(folder.read(PLACE))
        return Noted(str(plain["identity"]), dict(plain["settings"]))
    except (ValueError, KeyError, TypeError):
        fix = "put it back from a backup; or, if the stack file says where the store is kept, move it and store.age off"
        raise StoreError(f"{folder.path / PLACE} is damaged: {fix}") from None


def noted_in(custody: Path) -> Noted | None:
    """As :func:`noted`, of the folder's path.

    Raises:
        StoreError: it cannot be read.
    """
    return noted(Folder(custody))


def note(folder: Folder, place: Place | None) -> None:
    """Write down that the document is kept at ``place``; None: in the folder itself. The folder's lock is held.

    Raises:
        StoreError: it cannot be written.
    """
    if place is None:
        folder.delete(PLACE)
    elif not folder.has(PLACE) or folder.read(PLACE) != place.text():
        folder.replace(PLACE, place.text())
