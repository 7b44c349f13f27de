"""``python -m infra.plugins.standins.docker``: started by the engine."""

from __future__ import annotations

from pulumi.provider.experimental import provider as sdk

from config.versions import PULUMI_DOCKER
from infra.plugins.standins.core import StandIn
from infra.plugins.standins.docker.client import Daemon
from infra.plugins.standins.docker.container import ContainerType
from infra.plugins.standins.docker.plain import NetworkType, VolumeType
from infra.plugins.standins.serving import run
from infra.plugins.standins.values import plain


class DockerStandIn(StandIn):
    """Configured with the daemon's address: the provider's ``host``, else ``DOCKER_HOST``, else the local socket."""

    def __init__(self) -> None:
        super().__init__("docker", PULUMI_DOCKER)
        self.daemon = Daemon()
        self.register(NetworkType(self.daemon), VolumeType(self.daemon), ContainerType(self.daemon))

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        host = plain(request.args).get("host")
        self.daemon.host = str(host) if host else None
        return await super().configure(request)


if __name__ == "__main__":
    run(DockerStandIn(), PULUMI_DOCKER)
