"""Which images are on this machine, by name: written by who builds them, read by the program that runs them."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.paths import home
from infra.supply.process import SupplyError

_TABLE_LOCK = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Built:
    """An image on this machine: its name for people and its id (``sha256:…``), which says what is in it."""

    reference: str
    id: str


def built_images() -> dict[str, str]:
    """Image name -> id, as last built on this machine (``PRAXIS_HOME/images.json``).

    Raises :class:`SupplyError` if nothing has been built.
    """
    return {name: each.id for name, each in image_table().items()}


def image_table() -> dict[str, Built]:
    """Image name -> what was last built. Raises :class:`SupplyError` if nothing has been."""
    file = _table_file()
    if not file.is_file():
        raise SupplyError("no images have been built on this machine", fix="./praxis up STACK builds them")
    return {name: Built(**entry) for name, entry in json.loads(file.read_text(encoding="utf-8")).items()}


def record(built: Mapping[str, Built]) -> None:
    """Write down what is on this machine now; other images' entries stay. Safe from several threads."""
    with _TABLE_LOCK:
        file = _table_file()
        known = image_table() if file.is_file() else {}
        if all(known.get(name) == each for name, each in built.items()):
            return
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = file.with_suffix(".partial")
        entries = {name: asdict(each) for name, each in {**known, **built}.items()}
        partial.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        partial.replace(file)


def _table_file() -> Path:
    return home() / "images.json"
