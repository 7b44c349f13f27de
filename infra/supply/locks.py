"""``python -m infra.supply.locks``: write the hash-pinned locks again. They name versions and hashes, and no index."""

from __future__ import annotations

import sys
from pathlib import Path

from infra.paths import REPOSITORY, cache
from infra.supply.process import run
from infra.supply.python import IMAGE_PLATFORM, IMAGE_PYTHON, LOCKS, uv
from infra.supply.registries import uv_environment

HOST = ("--universal",)
IMAGE = ("--python-version", IMAGE_PYTHON, "--python-platform", IMAGE_PLATFORM)
PROJECT = REPOSITORY / "pyproject.toml"


def compile_lock(source: Path, lock: Path, *options: str) -> None:
    """Pin ``source`` (pyproject.toml or a requirements.in) and all it needs, with hashes. Raises :class:`SupplyError`.

    Versions that the lock already has stay if they still fit; ``--upgrade`` takes the newest.
    """
    run(
        [
            *(uv(), "pip", "compile", "--quiet", "--generate-hashes", "--no-emit-index-url", "--no-header"),
            "--no-emit-find-links",
            *options,
            *("-o", lock, source),
        ],
        what=f"locking {lock.relative_to(REPOSITORY)}",
        log=cache() / "logs/lock.log",
        env={**uv_environment(), "UV_CUSTOM_COMPILE_COMMAND": "make lock"},
        cwd=REPOSITORY,
    )


def main(arguments: list[str]) -> None:
    """Lock the host's packages, then those of each image that has a requirements.in."""
    compile_lock(PROJECT, LOCKS / "operate.txt", *HOST, *arguments)
    compile_lock(PROJECT, LOCKS / "extras.txt", *HOST, "--all-extras", *arguments)
    compile_lock(PROJECT, LOCKS / "dev.txt", *HOST, "--group", "dev", *arguments)
    for source in sorted((REPOSITORY / "images").glob("*/requirements.in")):
        compile_lock(source, source.with_suffix(".txt"), *IMAGE, *_own_options(source), *arguments)


def _own_options(source: Path) -> list[str]:
    """``# compile: OPTION…`` in the head of a requirements.in: what that lock needs besides."""
    heads = (line.partition("# compile:")[2] for line in source.read_text(encoding="utf-8").splitlines())
    return [word for head in heads for word in head.split()]


if __name__ == "__main__":
    main(sys.argv[1:])
