"""What runs of a stack, as Docker tells it."""

from __future__ import annotations

import socket
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from docker.models.containers import Container
from docker.utils.socket import frames_iter

from infra import healthcheck
from infra.cli.console import CommandError, Exit
from infra.supply import host
from infra.supply.process import SupplyError

MIB = 1024 * 1024
SETTLED_S = 10.0
"""For what has just started: so long it may take to be ready before it is called anything else."""
SETTLING_POLL_S = 1.0


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """One service as it runs. Memory in MiB, as the kernel counts it for the limit, without reclaimable cache."""

    service: str
    state: str
    health: str
    image: str
    memory_mib: float
    limit_mib: int
    restarts: int

    @property
    def ready(self) -> bool:
        """Running, and healthy where it has a health check."""
        return self.state == "running" and self.health in ("healthy", "-")


def connect() -> docker.DockerClient:
    """A client of the Docker daemon.

    Raises:
        CommandError: it cannot be reached.
    """
    try:
        return host.connect()
    except SupplyError as error:
        raise CommandError(str(error), fix=error.fix, code=Exit.UNREACHABLE) from None


def statuses(stack: str) -> list[ServiceStatus]:
    """Every container of the stack, by service name, as its health check says now; what has just started has a
    moment to get ready."""
    until, found = time.monotonic() + SETTLED_S, _every(stack)
    # To run a check takes a tenth of a second, to tell one container's memory a whole one: all are asked at once.
    with ThreadPoolExecutor(max_workers=32) as pool:
        told = list(pool.map(_status, found))
        while any(one.health == "starting" for one in told) and time.monotonic() < until:
            time.sleep(SETTLING_POLL_S)
            told = list(pool.map(_again, found, told))
    return sorted(told, key=lambda status: status.service)


def _again(container: Container, before: ServiceStatus) -> ServiceStatus:
    if before.health != "starting":
        return before
    with suppress(NotFound):
        container.reload()
    return replace(before, state=container.attrs["State"]["Status"], health=_health(container))


def running(stack: str, service: str) -> bool:
    """Whether the service's container runs; False where no Docker daemon answers."""
    if host.docker_error():
        return False
    labels = [_label(stack), f"praxis.service={service}"]
    return bool(connect().containers.list(filters={"label": labels, "status": "running"}))


def _label(stack: str) -> str:
    return f"praxis.stack={stack}"


def _every(stack: str) -> list[Container]:
    found: list[Container] = connect().containers.list(all=True, filters={"label": _label(stack)})
    return found


def _status(container: Container) -> ServiceStatus:
    attributes: dict[str, Any] = container.attrs
    state = attributes["State"]
    running = state["Status"] == "running"
    return ServiceStatus(
        service=container.labels.get("praxis.service", container.name or "?"),
        state=state["Status"],
        health=_health(container),
        image=(container.image.tags or [str(container.image.short_id)])[0] if container.image else "?",
        memory_mib=round(_used(container) / MIB, 1) if running else 0.0,
        limit_mib=attributes["HostConfig"]["Memory"] // MIB,
        restarts=attributes["RestartCount"],
    )


def _health(container: Container) -> str:
    """``healthy`` as its own check says now; else what the daemon calls it; ``-`` where there is no check."""
    attributes: dict[str, Any] = container.attrs
    said = str(attributes["State"].get("Health", {}).get("Status", "-"))
    if said == "-" or attributes["State"]["Status"] != "running":
        return said
    if healthcheck.passes(container):
        return "healthy"
    return "unhealthy" if said == "healthy" else said


def _used(container: Container) -> int:
    """Bytes in use. Page cache that the kernel can take back is not counted (as ``docker stats`` does)."""
    stats: Any = container.stats(stream=False, one_shot=True)
    memory = stats.get("memory_stats", {})
    details = memory.get("stats", {})
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(0, int(memory.get("usage", 0)) - int(cache))


def remove_unknown(stack: str, known: Collection[str]) -> list[str]:
    """Remove the stack's containers whose ids are not ``known``; returns their names.

    A run that was killed may have made a container that no state tells of; it would hold networks and volumes.
    """
    unknown = [container for container in _every(stack) if container.id not in known]
    for container in unknown:
        with suppress(NotFound):
            container.remove(force=True)
    return [str(container.name) for container in unknown]


def remove_rest(stack: str, *, data: bool) -> None:
    """Remove networks of the stack, and with ``data`` its volumes, that no state tells of; after everything else."""
    client, of_stack = connect(), {"label": _label(stack)}
    for network in client.networks.list(filters=of_stack):
        network.remove()
    for volume in client.volumes.list(filters=of_stack) if data else ():
        volume.remove()


def mounted(stack: str) -> set[str]:
    """Host folders that containers of the stack mount."""
    return {str(mount.get("Source")) for container in _every(stack) for mount in container.attrs["Mounts"]}


def restart(stack: str, service: str) -> None:
    """Stop a service and start it again.

    Raises:
        CommandError: Docker cannot be reached, or does not run the service.
    """
    try:
        _container(stack, service).restart(timeout=10)
    except DockerException as error:
        raise CommandError(f"'{service}' does not start again: {error}") from None


def signal(stack: str, service: str, name: str) -> None:
    """Send a service's process a signal that does not end it.

    Raises:
        CommandError: Docker cannot be reached, or does not run the service.
    """
    try:
        _container(stack, service).kill(signal=name)
    except DockerException as error:
        raise CommandError(f"'{service}' cannot be told: {error}") from None


def ready(stack: str, service: str) -> bool:
    """Whether the service runs, and is healthy where it has a health check."""
    container = _container(stack, service)
    return bool(container.attrs["State"]["Status"] == "running" and _health(container) in ("healthy", "-"))


def run_in(stack: str, service: str, command: list[str], stdin: str = "") -> str:
    """What ``command`` prints in the service's container, as its user. A secret goes in by ``stdin`` alone.

    Raises:
        CommandError: Docker cannot be reached, or the command fails.
    """
    container, api = _container(stack, service), connect().api
    try:
        made = api.exec_create(container.id, command, stdin=True)["Id"]
        stream: Any = api.exec_start(made, socket=True)
        stream._sock.sendall(stdin.encode())
        stream._sock.shutdown(socket.SHUT_WR)
        frames: Any = frames_iter
        told = b"".join(data for _, data in frames(stream, tty=False)).decode(errors="replace")
        code = api.exec_inspect(made)["ExitCode"]
    except (DockerException, OSError) as error:
        raise CommandError(f"'{service}' cannot be asked: {error}", code=Exit.UNREACHABLE) from None
    if code != 0:
        raise CommandError(f"{command[0]} in '{service}' fails: {told.strip()[-300:]}")
    return told


def _container(stack: str, service: str) -> Container:
    labels = [_label(stack), f"praxis.service={service}"]
    found: list[Container] = connect().containers.list(all=True, filters={"label": labels})
    if not found:
        raise CommandError(f"'{service}' of stack '{stack}' does not run", fix=f"./praxis up {stack}")
    return found[0]
