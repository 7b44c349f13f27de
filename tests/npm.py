"""Clients out of npm, each as the lock in its own folder pins it."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from infra.paths import cache

_MACHINES = {"x86_64": "x64", "aarch64": "arm64"}


class NoClientError(Exception):
    """It cannot be had here."""


def machine() -> str:
    """This machine as npm's packages are called for it.

    Raises:
        NoClientError: there is no build for it.
    """
    found = _MACHINES.get(platform.machine())
    if found is None:
        raise NoClientError("needs x86-64 or ARM64")
    return found


def or_skip(installed: Callable[[], Path]) -> Path:
    """The program, or the test is skipped with the reason why it cannot be had here."""
    try:
        return installed()
    except NoClientError as error:
        pytest.skip(str(error))


def run(home: Path, command: Sequence[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a client on a machine where nobody has used it before, with these variables and nothing else set."""
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **variables},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def fetched(folder: Path, name: str, program: str) -> Path:
    """A program; fetched by npm once for each lock, without running any script of its packages.

    Args:
        folder: where ``package.json`` and its lock are.
        name: what its folder in the cache is called by.
        program: its path under ``node_modules``.

    Raises:
        NoClientError: no npm here, or no registry.
    """
    if shutil.which("npm") is None:
        raise NoClientError(f"{name} needs npm")
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    place = cache() / "artefacts" / f"{name}-{lock[:16]}"
    found = place / "node_modules" / program
    if not found.is_file():
        place.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy2(folder / file, place / file)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not found.is_file():
            raise NoClientError(f"npm cannot fetch {name}: {done.stderr[:300]}")
    return found
