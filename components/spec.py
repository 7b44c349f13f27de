"""A service as data: what a part of the gateway needs to run, on any target.

Nothing here knows Pulumi or a target. A blueprint (all services of a stack) is a pure function of the stack file, so
it can be rendered, added up and tested without any machine.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

_SECRET = re.compile(r"\$\{([a-z][a-z0-9-]*)\}")
SECRETS_FOLDER = "/run/secrets"
CONFIG_FOLDER = "/etc/praxis"
AGENT_IMAGE = "runtime"
"""Of the secrets agent, which every target runs beside the services."""
SECRET = re.compile(r"\$\{([a-z][a-z0-9-]*)\}")
"""How a template names a secret."""

NetworkName = Literal["public", "front", "data", "models", "telemetry", "traces", "egress", "directories", "outside"]

OPEN_NETWORKS: frozenset[NetworkName] = frozenset({"public", "outside"})
"""Networks with a way out: ``public`` holds the edge alone, ``outside`` the egress and the way to the directories."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """How a service says that it is ready: a command in its container that exits 0."""

    command: tuple[str, ...]
    interval_s: int = 15
    """Each time takes a tenth of a second of a processor."""
    timeout_s: int = 5
    start_period_s: int = 120
    """Failures within this time after the start do not count; the first success does."""
    retries: int = 3


@dataclass(frozen=True, kw_only=True)
class PublishedPort:
    """A port of the service that the host's loopback (or a load balancer) offers."""

    name: str
    container_port: int
    host_port: int


@dataclass(frozen=True, kw_only=True)
class VolumeMount:
    """Data that outlives the container. The image owns ``path`` with the service's uid."""

    volume: str
    path: str


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """One long-running part of the gateway."""

    name: str
    """Name within the stack, and its host name on every network it is on."""
    image: str
    """Key in the image table: a folder under ``images/``."""
    uid: int
    """User and group id it runs as from its first instruction."""
    memory_mib: int
    """Hard limit, with no swap beyond it."""
    networks: tuple[NetworkName, ...]
    aliases: tuple[str, ...] = ()
    """Other names that it is known by on its networks."""
    probe: Probe | None = None
    command: tuple[str, ...] = ()
    """Arguments after the image's entry point; empty means the image's own."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Never a secret: this is what ``docker inspect`` shows."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """File name under /run/secrets -> template whose ``${name}`` parts are names of secrets in the store."""
    optional_secrets: tuple[str, ...] = ()
    """Of those files the ones that it runs without: left out while a secret in them is missing, expired or revoked."""
    config_files: Mapping[str, str] = field(default_factory=dict)
    """Path under /etc/praxis -> content."""
    ports: tuple[PublishedPort, ...] = ()
    volumes: tuple[VolumeMount, ...] = ()
    tmp_mib: int = 16
    """Size of its /tmp, a tmpfs (counted against the memory limit when used)."""
    cpus: float | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)
    """Kernel settings of its own network namespace."""
    needs: tuple[str, ...] = ()
    """Services that must be ready before this one starts."""
    stop_grace_s: int = 10

    def secret_names(self) -> set[str]:
        """Names of the secrets that it is given."""
        return {name for template in self.secrets.values() for name in _SECRET.findall(template)}

    def digest(self) -> str:
        """SHA-256 (hex) over the whole spec: two services with the same digest were declared alike."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def http_probe(port: int, path: str, *, start_period_s: int = 120) -> Probe:
    """Ready when GET on 127.0.0.1 answers 2xx (the ``probe`` command that every image of ours has)."""
    return Probe(command=("probe", str(port), path), start_period_s=start_period_s)


def tcp_probe(port: int) -> Probe:
    """Ready when the port accepts a connection."""
    return Probe(command=("probe", str(port)))


@dataclass(frozen=True)
class Blueprint:
    """All services of one stack, in the order in which they are declared."""

    stack: str
    services: tuple[ServiceSpec, ...]

    def __getitem__(self, name: str) -> ServiceSpec:
        return next(service for service in self.services if service.name == name)

    def pick(self, *names: str) -> tuple[ServiceSpec, ...]:
        """The named services that this stack has, in the order of ``names``."""
        return tuple(spec for name in names for spec in self.services if spec.name == name)

    def readers(self) -> dict[str, tuple[str, ...]]:
        """Name of a secret -> the services that are given it."""
        found: dict[str, list[str]] = {}
        for service in self.services:
            for name in sorted({name for file in service.secrets.values() for name in SECRET.findall(file)}):
                found.setdefault(name, []).append(service.name)
        return {name: tuple(services) for name, services in found.items()}

    @property
    def networks(self) -> tuple[NetworkName, ...]:
        """Every network that a service is on, in first-use order."""
        return tuple(dict.fromkeys(network for service in self.services for network in service.networks))

    @property
    def memory_mib(self) -> int:
        """The hard limits, added up."""
        return sum(service.memory_mib for service in self.services)

    def volumes(self) -> tuple[str, ...]:
        """Names of the data volumes, sorted."""
        return tuple(sorted({mount.volume for service in self.services for mount in service.volumes}))
