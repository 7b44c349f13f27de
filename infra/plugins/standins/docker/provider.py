"""The provider: which types it serves, and how it finds the daemon. Docker's client is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Iterable

from infra.plugins.standins.core import StandIn
from infra.plugins.standins.kinds import ResourceType
from infra.plugins.standins.schema import load
from infra.plugins.standins.values import Plain


class DockerStandIn(StandIn):
    """Uses the daemon at the provider's ``host``, else at ``DOCKER_HOST``, else at the usual socket."""

    supported_settings = frozenset({"disableDockerDaemonCheck", "host"})

    def __init__(self) -> None:
        super().__init__(load("docker"))
        self._host: str | None = None

    def accept(self, given: Plain) -> None:
        self._host = str(given["host"]) if given.get("host") else None

    def make_types(self) -> Iterable[ResourceType]:
        from infra.plugins.standins.docker.client import Daemon
        from infra.plugins.standins.docker.container import ContainerType
        from infra.plugins.standins.docker.images import RemoteImageType
        from infra.plugins.standins.docker.storage import NetworkType, VolumeType

        daemon = Daemon(self._host)
        return [NetworkType(daemon), VolumeType(daemon), RemoteImageType(daemon), ContainerType(daemon)]
