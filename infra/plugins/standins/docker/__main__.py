"""``python -m infra.plugins.standins.docker``: started by the engine."""

from __future__ import annotations

from infra.plugins.standins.docker.provider import DockerStandIn
from infra.plugins.standins.serving import run

if __name__ == "__main__":
    run(DockerStandIn())
