"""Artefacts of a Maven repository, fetched as Maven does: plain HTTPS, from the repository its settings name."""

from __future__ import annotations

import ssl
import zipfile
from pathlib import Path

import httpx

from infra.paths import cache
from infra.supply.content import file_digest
from infra.supply.process import SupplyError
from infra.supply.registries import ca_bundle, maven_repository

TIMEOUT_S = 60.0
TRIES = 3


def fetch(coordinate: str, sha256: str) -> Path:
    """The file of ``group:artefact:version:type`` in the cache, fetched if it is not there.

    Raises :class:`SupplyError` if it cannot be had or is not the pinned file.
    """
    group, artefact, version, kind = coordinate.split(":")
    path = cache() / "downloads" / f"{sha256[:16]}-{artefact}-{version}.{kind}"
    if path.is_file() and file_digest(path) == sha256:
        return path
    url = f"{maven_repository()}/{group.replace('.', '/')}/{artefact}/{version}/{artefact}-{version}.{kind}"
    partial = path.with_suffix(".partial")
    partial.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, TRIES + 1):
        try:
            _download(url, partial)
            break
        except httpx.HTTPError as error:
            if attempt == TRIES or isinstance(error, httpx.HTTPStatusError):
                raise SupplyError(
                    f"{coordinate} could not be fetched: {error}",
                    fix="check the network, mirrors in ~/.m2/settings.xml, HTTPS_PROXY; or set PRAXIS_MAVEN_REPOSITORY",
                ) from None
    found = file_digest(partial)
    if found != sha256:
        partial.unlink()
        raise SupplyError(
            f"{coordinate}: sha256 is {found}, pinned is {sha256}", fix="do not use it: ask who serves it"
        )
    partial.replace(path)
    return path


def _download(url: str, to: Path) -> None:
    """Fetch ``url``, going on where an earlier try broke off if the server can."""
    have = to.stat().st_size if to.exists() else 0
    bundle = ca_bundle()
    trust = ssl.create_default_context(cafile=str(bundle) if bundle else None)
    headers = {"Range": f"bytes={have}-"} if have else {}
    with (
        httpx.Client(verify=trust, timeout=TIMEOUT_S, follow_redirects=True) as client,
        client.stream("GET", url, headers=headers) as answer,
    ):
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return
        answer.raise_for_status()
        with to.open("ab" if answer.status_code == httpx.codes.PARTIAL_CONTENT else "wb") as file:
            for block in answer.iter_bytes(1 << 20):
                file.write(block)


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
