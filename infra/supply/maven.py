"""Artefacts of a Maven repository, fetched as Maven does: plain HTTPS, from the repository its settings name."""

from __future__ import annotations

import zipfile
from pathlib import Path

from infra.paths import cache
from infra.supply import fetching
from infra.supply.process import SupplyError
from infra.supply.registries import maven_repository


def fetch(coordinate: str, sha256: str) -> Path:
    """The file of ``group:artefact:version:type`` in the cache, fetched if it is not there.

    Raises :class:`SupplyError` if it cannot be had or is not the pinned file.
    """
    group, artefact, version, kind = coordinate.split(":")
    path = cache() / "downloads" / f"{sha256[:16]}-{artefact}-{version}.{kind}"
    url = f"{maven_repository()}/{group.replace('.', '/')}/{artefact}/{version}/{artefact}-{version}.{kind}"
    fix = "check the network, mirrors in ~/.m2/settings.xml, HTTPS_PROXY; or set PRAXIS_MAVEN_REPOSITORY"
    return fetching.fetch(coordinate, url, sha256, path, fix=fix)


def unpack(archive: Path, to: Path) -> None:
    """Unpack a zip without its single top folder. Keeps modes. Raises :class:`SupplyError` on a path out of it."""
    with zipfile.ZipFile(archive) as bundle:
        for entry in bundle.infolist():
            inner = Path(*Path(entry.filename).parts[1:])
            target = to / inner
            if not target.resolve().is_relative_to(to.resolve()):
                raise SupplyError(f"{archive.name}: {entry.filename} would leave the folder")
            if entry.is_dir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with bundle.open(entry) as source, target.open("wb") as out:
                while block := source.read(1 << 20):
                    out.write(block)
            mode = entry.external_attr >> 16 & 0o777
            target.chmod(mode or 0o644)
