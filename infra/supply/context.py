"""The build context of an image: its folder, and all that a Dockerfile of ours may copy but must not fetch itself.

Every step runs on the host, so a build needs no network and nothing of this host's settings can end in an image.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from infra.paths import REPOSITORY, cache
from infra.supply import maven
from infra.supply.content import files_of
from infra.supply.debian import scratch
from infra.supply.process import run
from infra.supply.python import install_locked
from infra.supply.recipe import Image
from infra.supply.registries import proxy_variables, uv_environment


@contextmanager
def assembled(image: Image) -> Iterator[Path]:
    """A folder, deleted afterwards, with everything that the image's Dockerfile copies.

    Raises :class:`SupplyError` if a step fails.
    """
    with TemporaryDirectory(prefix=f"{image.name}-", dir=scratch()) as name:
        context = Path(name)
        for file in files_of(image.folder):
            _copy(file, context / file.relative_to(image.folder))
        if image.copies_runtime:
            for file in files_of(REPOSITORY / "runtime"):
                _copy(file, context / file.relative_to(REPOSITORY))
        for _, tool in image.tools:
            _copy(tool.build(), context / "bin" / tool.binary)
        if image.wheel is not None:
            _program_of_wheel(image, context)
        for zip_file in image.maven:
            maven.unpack(maven.fetch(zip_file.coordinate, zip_file.sha256), context / zip_file.folder)
        if image.lock is not None:
            install_locked(
                image.lock,
                context / "site",
                log=_log(image, "python"),
                what=f"Python packages of image {image.name}",
                for_image=True,
            )
        prepare = image.folder / "prepare.py"
        if prepare.is_file():
            run(
                [sys.executable, prepare, context],
                what=f"preparing image {image.name}",
                log=_log(image, "prepare"),
                env={**uv_environment(), **proxy_variables()},
                cwd=image.folder,
            )
        yield context


@contextmanager
def packed(context: Path, modes: dict[str, int]) -> Iterator[IO[bytes]]:
    """The context as a tar file: owned by root, in one order, with ``modes`` (context path -> mode) where given.

    Modes are set here, not on the files: a file of mode 0111 could be read by nobody but root.
    """

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = "root"
        entry.mtime = 0
        entry.mode = modes.get(entry.name, 0o755 if entry.mode & 0o100 else 0o644)
        return entry

    with TemporaryFile(dir=scratch()) as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for path in sorted(context.iterdir()):
                archive.add(path, arcname=path.name, filter=plain)
        file.seek(0)
        yield file


def _program_of_wheel(image: Image, context: Path) -> None:
    assert image.wheel is not None  # noqa: S101 - the caller asked for it
    wheel = image.wheel
    unpacked = context / ".wheel"
    install_locked(
        image.folder / wheel.lock,
        unpacked,
        log=_log(image, "wheel"),
        what=f"the wheel of image {image.name}",
        for_image=True,
    )
    (context / "bin").mkdir(exist_ok=True)
    shutil.move(unpacked / "bin" / wheel.binary, context / "bin" / wheel.binary)
    shutil.rmtree(unpacked)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


def _log(image: Image, step: str) -> Path:
    return cache() / "logs" / f"{image.name}-{step}.log"
