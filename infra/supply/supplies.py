"""The two ways to have what a run of the program needs: engine, plugins and images.

``registries`` builds all of it from package registries. ``official`` takes the vendors': the command line and the
plugins by their published hashes, the images by digest. What of it is ours (LiteLLM with our hooks, the runtime, the
plugin for LiteLLM) is made the same way in both.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, Protocol

import docker

from infra.paths import cache, home
from infra.plugins.install import install
from infra.supply import pins, programs
from infra.supply.building import alone, build_missing, refuse_other_machines
from infra.supply.engine import Engine, build_engine, built_engine, engine_present
from infra.supply.host import connect, ensure_docker
from infra.supply.images import ImageBuilder
from infra.supply.pins import Pins
from infra.supply.progress import Say
from infra.supply.recipe import Build
from infra.supply.root import ensure_programs

Setting = Literal["auto", "registries", "official"]


class Supply(Protocol):
    """A way to have engine, plugins and images."""

    name: str
    engine: Engine

    def ready(self, say: Say, images: Collection[str] | None = None) -> None:
        """Have everything on this machine; quick when it is. ``say`` takes lines of progress; ``images`` are those
        that are needed, all unless given.

        Raises :class:`SupplyError`. What was finished before an error is not done again.
        """

    def builder(self, client: docker.DockerClient) -> ImageBuilder:
        """What makes its images."""

    def engine_ready(self) -> bool:
        """Whether its engine is there."""


class Registries:
    """Everything from package registries: the engine and the images are built, the plugins are ours."""

    name = "registries"

    def __init__(self, edge_build: Build) -> None:
        self.edge_build = edge_build
        self.engine = built_engine()

    def ready(self, say: Say, images: Collection[str] | None = None) -> None:
        """See :meth:`Supply.ready`."""
        ensure_docker(say)
        with alone(say):
            client = connect()
            refuse_other_machines(client)
            builder = self.builder(client)
            if builder.underneath_missing():
                ensure_programs({"mmdebstrap": "mmdebstrap debian-archive-keyring"}, say)
            build_missing(client, builder, {} if engine_present() else {"Pulumi engine": build_engine}, say, images)
        install(self.engine.home, Path(sys.executable))

    def builder(self, client: docker.DockerClient) -> ImageBuilder:
        """See :meth:`Supply.builder`."""
        return ImageBuilder(client, self.edge_build)

    def engine_ready(self) -> bool:
        """See :meth:`Supply.engine_ready`."""
        return engine_present()


class Official:
    """The vendors' own: programs and images that the lock pins.

    Raises:
        SupplyError: nothing is published for this kind of machine.
    """

    name = "official"

    def __init__(self, locked: Pins) -> None:
        self._pins = locked
        self._platform = programs.this_platform()
        self.engine = Engine(folder=engine_folder(locked, self._platform), home=home() / "pulumi-official")

    def ready(self, say: Say, images: Collection[str] | None = None) -> None:
        """See :meth:`Supply.ready`."""
        ensure_docker(say)
        with alone(say):
            client = connect()
            refuse_other_machines(client)
            build_missing(client, self.builder(client), self._downloads(), say, images)
        install(self.engine.home, Path(sys.executable), stand_ins=False)

    def builder(self, client: docker.DockerClient) -> ImageBuilder:
        """See :meth:`Supply.builder`."""
        return ImageBuilder(client, "official", self._pins.digests())

    def engine_ready(self) -> bool:
        """See :meth:`Supply.engine_ready`."""
        return not self._downloads()

    def _downloads(self) -> dict[str, Callable[[], object]]:
        """How to get each of the vendor's programs that is not there, by what it is."""
        folders = {programs.CLI: self.engine.folder} | {
            plugin: self.engine.home / "plugins" / f"resource-{plugin.name}-v{plugin.version}"
            for plugin in programs.PLUGINS
        }
        return {
            f"Pulumi {'engine' if one is programs.CLI else f'plugin {one.name}'} {one.version}": (
                lambda one=one, folder=folder: programs.install(one, self._platform, self._sha256(one), folder)  # type: ignore[misc]
            )
            for one, folder in folders.items()
            if not programs.installed(folder, self._sha256(one))
        }

    def _sha256(self, program: programs.Program) -> str:
        return self._pins.programs[program.name].sha256[self._platform]


def engine_folder(locked: Pins, of: programs.Platform) -> Path:
    """Where the vendor's engine is, or will be."""
    pinned = locked.programs[programs.CLI.name]
    return cache() / "artefacts" / f"pulumi-v{pinned.version}-{pinned.sha256[of][:12]}"


def supply_for(setting: Setting, *, environment: str = "") -> Supply:
    """The supply that a stack's ``supply`` setting means; ``auto`` that nobody decided on means ``registries``.

    ``environment``: the stack's own. A ``demo`` takes Traefik out of an unaffiliated wheel (pinned by hash), which is
    quicker than the build from source that everything else gets.

    Raises:
        SupplyError: ``official``, and the lock is not there or does not pin all that is wanted.
    """
    if setting == "official":
        return Official(pins.complete())
    return Registries("wheel" if environment == "demo" else "source")
