"""The vendor's Pulumi command line and its two official plugins: published archives, each pinned by its SHA-256.

``PRAXIS_PULUMI_MIRROR`` names an internal mirror of where they are published; what is under it is laid out alike.
"""

from __future__ import annotations

import os
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from config import versions
from infra.paths import cache
from infra.supply import fetching
from infra.supply.process import SupplyError

PUBLISHED = "https://github.com/pulumi"
FIX = "check the network and HTTPS_PROXY; or set PRAXIS_PULUMI_MIRROR to where a mirror has them"
Platform = Literal["linux-amd64", "linux-arm64", "darwin-arm64"]
PLATFORMS: tuple[Platform, ...] = ("linux-amd64", "linux-arm64", "darwin-arm64")
"""Machines that the command line may run on; which one the Docker daemon runs on is another question."""
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Program:
    """One published program. ``checksums`` is the name of the vendor's file of checksums for it."""

    name: str
    version: str
    repository: str
    checksums: str

    def archive(self, of: Platform) -> str:
        """Name of the archive for one kind of machine."""
        if self.name == "pulumi":
            return f"pulumi-v{self.version}-{of.replace('amd64', 'x64')}.tar.gz"
        return f"pulumi-resource-{self.name}-v{self.version}-{of}.tar.gz"

    def url(self, file: str) -> str:
        """Where a file of this release is."""
        mirror = (os.environ.get("PRAXIS_PULUMI_MIRROR") or PUBLISHED).rstrip("/")
        return f"{mirror}/{self.repository}/releases/download/v{self.version}/{file}"


def _plugin(name: str, version: str) -> Program:
    file = f"pulumi-{name}_{version}_checksums.txt"
    return Program(name=name, version=version, repository=f"pulumi-{name}", checksums=file)


CLI = Program(
    name="pulumi",
    version=versions.PULUMI_SDK,
    repository="pulumi",
    checksums=f"pulumi-{versions.PULUMI_SDK}-checksums.txt",
)
PLUGINS = (_plugin("docker", versions.PULUMI_DOCKER), _plugin("keycloak", versions.PULUMI_KEYCLOAK))
PROGRAMS = (CLI, *PLUGINS)


def this_platform() -> Platform:
    """What this process runs on. Raises :class:`SupplyError` if nothing is published for it."""
    here = f"{platform.system().lower()}-{_MACHINES.get(platform.machine().lower(), platform.machine().lower())}"
    for known in PLATFORMS:
        if here == known:
            return known
    raise SupplyError(f"supply: official runs on {', '.join(PLATFORMS)}; this is {here}", fix="set supply: registries")


def fetch(program: Program, of: Platform, sha256: str) -> Path:
    """The archive, in the cache. Raises :class:`SupplyError` if it cannot be had or is not the pinned one."""
    file = program.archive(of)
    return fetching.fetch(file, program.url(file), sha256, _kept(sha256, file), fix=FIX)


def install(program: Program, of: Platform, sha256: str, folder: Path) -> None:
    """Have the programs of the archive in ``folder``: whole and from the pinned archive, or not at all.

    Raises:
        SupplyError: as :func:`fetch`.
    """
    if installed(folder, sha256):
        return
    archive = fetch(program, of, sha256)
    partial = folder.with_name(f"{folder.name}.partial.{os.getpid()}")
    _unpack(archive, partial)
    (partial / ".sha256").write_text(sha256, encoding="ascii")
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.old.{os.getpid()}"))
    partial.rename(folder)
    archive.unlink(missing_ok=True)


def installed(folder: Path, sha256: str) -> bool:
    """Whether what is in ``folder`` came out of the archive of this hash."""
    mark = folder / ".sha256"
    return mark.is_file() and mark.read_text(encoding="ascii") == sha256


def _unpack(archive: Path, to: Path) -> None:
    """The archive's regular files, by their last name: no path, link or owner of it means anything."""
    to.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as bundle:
        for entry in bundle:
            source = bundle.extractfile(entry) if entry.isreg() else None
            if source is None:
                continue
            target = to / PurePosixPath(entry.name).name
            with source, target.open("wb") as out:
                while block := source.read(1 << 20):
                    out.write(block)
            target.chmod(0o755 if entry.mode & 0o100 else 0o644)


def _kept(sha256: str, file: str) -> Path:
    return cache() / "downloads" / f"{sha256[:16]}-{file}"
