"""Content hashes: what a build is made of decides its name, so nothing is built twice and nothing stale is used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

IGNORED_FOLDERS = frozenset({"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", "node_modules"})
IGNORED_SUFFIXES = frozenset({".pyc", ".md"})


def files_of(folder: Path) -> list[Path]:
    """All files below ``folder`` that can end in a build, sorted by their path."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and path.suffix not in IGNORED_SUFFIXES
        and not IGNORED_FOLDERS.intersection(path.relative_to(folder).parts)
    )


def folder_digest(folder: Path, *, without: frozenset[str] = frozenset()) -> str:
    """SHA-256 (hex) over the paths, contents and executable bits below ``folder``.

    ``without``: names of files right in it that do not count.
    """
    digest = hashlib.sha256()
    for path in files_of(folder):
        if path.parent == folder and path.name in without:
            continue
        executable = "x" if path.stat().st_mode & 0o100 else "-"
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{executable}\0{content}\n".encode())
    return digest.hexdigest()


def digest_of(parts: Iterable[str]) -> str:
    """SHA-256 (hex) over texts, in order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}\n".encode())
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of one file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
