"""What both supplies do alike: build the images that are missing, some at once, one process at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import docker
from docker.errors import APIError

from infra.paths import cache
from infra.supply.artefacts import drop_build_caches
from infra.supply.built import record
from infra.supply.images import ImageBuilder, untagged
from infra.supply.process import SupplyError
from infra.supply.progress import Progress, Say
from infra.supply.python import IMAGE_ARCHITECTURE

WORKERS = 2
"""One step that computes and one that waits for the network: more only get in each other's way on two cores."""
LAST = ("collector", "traefik", "sso")
"""Images that wait for Go, which builds one program at a time."""


def build_missing(
    client: docker.DockerClient,
    builder: ImageBuilder,
    jobs: Mapping[str, Callable[[], object]],
    say: Say,
    images: Collection[str] | None = None,
) -> None:
    """Build every image (of ``images``, if given) that is not here, and do ``jobs`` (what -> how) before them.

    Raises:
        SupplyError: one of it cannot be done.
    """
    found = {name: builder.present(name) for name in builder.names() if images is None or name in images}
    record({name: built for name, built in found.items() if built is not None})
    missing = sorted((name for name, built in found.items() if built is None), key=lambda name: (name in LAST, name))
    todo = dict(jobs)
    if missing and builder.underneath_missing():
        todo["image base"] = builder.base
    todo |= {f"image {name}": lambda name=name: record({name: builder.build(name)}) for name in missing}  # type: ignore[misc]
    if not todo:
        return
    say(f"to build: {', '.join(todo)}")
    run_all(todo, Progress(say, len(todo)))
    drop_build_caches()
    drop_inner_stages(client)


def all_built(builder: ImageBuilder, images: Collection[str]) -> bool:
    """Whether every one of these images is here, as this version makes it."""
    return all(builder.present(name) for name in images)


def drop_inner_stages(client: docker.DockerClient) -> None:
    """Delete the images that only building needed; what a container holds stays."""
    if os.environ.get("PRAXIS_KEEP_BUILD_CACHES"):
        return
    for stage in untagged(client):
        with suppress(APIError):
            client.images.remove(stage)


def refuse_other_machines(client: docker.DockerClient) -> None:
    """Raises :class:`SupplyError` if the daemon's machine cannot run the images."""
    architecture = str(client.version()["Arch"])
    if architecture != IMAGE_ARCHITECTURE:
        raise SupplyError(
            f"images are for {IMAGE_ARCHITECTURE}, and this Docker daemon runs {architecture}",
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
def alone(say: Say) -> Iterator[None]:
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
