"""Fetching a file that is pinned by its hash: plain HTTPS, by the proxies and certificates of this host, resumed."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

from infra.supply.content import file_digest
from infra.supply.process import SupplyError
from infra.supply.registries import ca_bundle

TIMEOUT_S = 60.0
TRIES = 3
BLOCK_BYTES = 1 << 16
"""What is lost at most when an answer breaks off."""


def fetch(what: str, url: str, sha256: str, path: Path, *, fix: str) -> Path:
    """The file of this hash at ``path``, fetched from ``url`` if it is not there. What is half fetched is gone on with.

    ``what`` names it in messages; ``fix`` is what helps when it cannot be reached.
    Raises :class:`SupplyError` if it cannot be had or is not the pinned file, of which nothing is kept then.
    """
    if path.is_file() and file_digest(path) == sha256:
        return path
    partial = path.with_suffix(".partial")
    download(what, url, partial, fix=fix)
    found = file_digest(partial)
    if found != sha256:
        partial.unlink()
        raise SupplyError(f"{what}: sha256 is {found}, pinned is {sha256}", fix="do not use it: ask who serves it")
    return partial.replace(path)


def download(what: str, url: str, to: Path, *, fix: str) -> None:
    """Fetch ``url`` into a file, in several tries if need be. Raises :class:`SupplyError`."""
    to.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, TRIES + 1):
        try:
            _download(url, to)
            return
        except httpx.HTTPError as error:
            if attempt == TRIES or isinstance(error, httpx.HTTPStatusError):
                raise SupplyError(f"{what} could not be fetched: {error}", fix=fix) from None


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
            for block in answer.iter_bytes(BLOCK_BYTES):
                file.write(block)
