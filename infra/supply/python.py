"""uv, and Python packages for images and tools: from hash-pinned locks, never built here. Standard library only."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from pathlib import Path

from infra.paths import REPOSITORY, cache
from infra.supply.process import SupplyError, run
from infra.supply.registries import uv_environment

LOCKS = REPOSITORY / "locks"
UV_LOCK = LOCKS / "uv.txt"
ENVIRONMENTS = (LOCKS / "operate.txt", LOCKS / "extras.txt", LOCKS / "dev.txt")
"""What the command line needs; with all extras (``PRAXIS_EXTRAS=1``); and what development needs on top."""
IMAGE_PYTHON = "3.11"
IMAGE_PLATFORM = "x86_64-manylinux_2_36"
IMAGE_ARCHITECTURE = "amd64"
"""Debian 12's Python and C library on x86-64: what every image of ours has, whatever the host runs."""


def environment_folder(lock: Path) -> Path:
    """Where the virtual environment of ``lock`` is, for this Python, or will be."""
    pinned = hashlib.sha256(lock.read_bytes() + UV_LOCK.read_bytes()).hexdigest()[:12]
    return cache() / "python" / f"{lock.stem}-{sys.version_info.major}.{sys.version_info.minor}-{pinned}"


def uv_folder() -> Path:
    """Where the environment is that uv itself is installed in."""
    return cache() / "python" / f"uv-{hashlib.sha256(UV_LOCK.read_bytes()).hexdigest()[:12]}"


def uv() -> Path:
    """uv beside this Python (the bootstrap put it there), else on PATH. Raises :class:`SupplyError` without one."""
    beside = Path(sys.executable).parent / "uv"
    found = beside if beside.is_file() else shutil.which("uv") or os.environ.get("UV")
    if not found:
        raise SupplyError("uv is not installed", fix="start by ./praxis, which gets it")
    return Path(found)


def install_locked(lock: Path, target: Path, *, log: Path, what: str, for_image: bool) -> None:
    """Install exactly what ``lock`` names into the folder ``target``, each file checked against its hash.

    Dependencies are not looked at: a lock is complete, and some leave out on purpose what a package claims to need.
    ``for_image`` takes the wheels of the image's Python and platform instead of this host's.
    """
    platform = ("--python-version", IMAGE_PYTHON, "--python-platform", IMAGE_PLATFORM) if for_image else ()
    run(
        [
            *(uv(), "pip", "install", "--quiet", "--python", sys.executable, "--target", target, *platform),
            *("--only-binary", ":all:", "--no-deps", "--require-hashes", "--link-mode", "copy", "-r", lock),
        ],
        what=what,
        log=log,
        env=uv_environment(),
    )
