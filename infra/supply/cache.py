"""What the supply leaves on disk: shown, and deleted where nothing uses it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException

from infra.paths import cache
from infra.supply import pins
from infra.supply.artefacts import GoTool, delete_read_only
from infra.supply.built import image_table
from infra.supply.engine import ENGINE
from infra.supply.images import ImageBuilder, untagged
from infra.supply.process import SupplyError
from infra.supply.programs import this_platform
from infra.supply.python import ENVIRONMENTS, environment_folder, uv_folder
from infra.supply.recipe import BASE, load, names
from infra.supply.supplies import engine_folder

OURS = "praxis/"
DIRECT = ("go", "toolchain", "uv", "downloads", "scratch")
"""Folders that only building needs."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """``bytes`` on disk of one thing; an image counts what it adds to those under it."""

    name: str
    bytes: int
    used: bool


def entries() -> list[Entry]:
    """Everything that builds left here, by name. Docker's part is missing if its daemon does not answer."""
    on_disk = [Entry(name=_shown(path), bytes=size_of(path), used=used) for path, used in _folders()]
    return sorted([*on_disk, *(entry for entry, _ in _images())], key=lambda entry: entry.name)


def prune() -> int:
    """Delete what is not in use; the number of bytes freed. Images that a container still holds stay."""
    freed = 0
    for path, used in list(_folders()):
        if not used:
            freed += size_of(path)
            delete_read_only(path)
    for entry, client in list(_images()):
        if entry.used:
            continue
        try:
            client.images.remove(entry.name)
            freed += entry.bytes
        except APIError as error:
            if error.status_code != 409:  # 409: a container holds it
                raise SupplyError(f"deleting image {entry.name}: {error.explanation}") from None
    return freed


def size_of(folder: Path) -> int:
    """Bytes below ``folder``; a file with several names counts once, links count nothing."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            status = (Path(parent) / name).lstat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def _folders() -> Iterator[tuple[Path, bool]]:
    used = _used_folders()
    for group in ("artefacts", "python"):
        for folder in sorted(path for path in (cache() / group).glob("*") if path.is_dir()):
            yield folder, folder in used
    for name in DIRECT:
        if (cache() / name).is_dir():
            yield cache() / name, False


def _used_folders() -> set[Path]:
    environments = {Path(sys.prefix), uv_folder(), *map(environment_folder, ENVIRONMENTS)}
    return environments | {tool.path().parent for tool in _tools()} | _vendors_engine()


def _vendors_engine() -> set[Path]:
    try:
        return {engine_folder(pins.complete(), this_platform())}
    except SupplyError:
        return set()


def _tools() -> Iterator[GoTool]:
    yield ENGINE
    for name in names():
        for _, tool in load(name, "source").tools:
            yield tool


def _images() -> Iterator[tuple[Entry, docker.DockerClient]]:
    try:
        client = docker.from_env()
        images = client.df()["Images"] or []
        used = _used_references(client)
    except (DockerException, OSError):
        return
    base = max((int(each["Size"]) for each in images if _is_base(each)), default=0)
    for image in images:
        for reference in (tag for tag in image.get("RepoTags") or [] if tag.startswith(OURS)):
            yield Entry(name=reference, bytes=_own_bytes(image, reference, base), used=reference in used), client
    sizes = {image["Id"]: _own_bytes(image, "", base) for image in images}
    for stage in untagged(client):
        yield Entry(name=stage, bytes=sizes.get(stage, 0), used=False), client


def _used_references(client: docker.DockerClient) -> set[str]:
    """The images that stacks use and those under them, which share their layers and spare the next build."""
    try:
        used = {each.reference for each in image_table().values()}
    except SupplyError:
        return set()
    builders = ImageBuilder(client, "source"), ImageBuilder(client, "official", pins.read().digests())
    return used.union(*(builder.underneath() for builder in builders))


def _is_base(image: dict[str, Any]) -> bool:
    return any(tag.startswith(f"{OURS}{BASE}:") for tag in image.get("RepoTags") or [])


def _own_bytes(image: dict[str, Any], reference: str, base: int) -> int:
    """What an image adds: packages on top of the base, anything else on top of all that it shares."""
    size, shared = int(image["Size"]), max(int(image.get("SharedSize", 0)), 0)
    if _is_base(image):
        return size
    return max(size - (base if reference.partition(":")[0].endswith("-packages") else shared), 0)


def _shown(path: Path) -> str:
    return path.relative_to(cache()).as_posix()
