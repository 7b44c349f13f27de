"""What the tests of pulumi-docker's stand-in make containers of."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_docker

from tests.engine.plugins.conftest import LABEL

HEALTHY = pulumi_docker.ContainerHealthcheckArgs(tests=["CMD", "true"], interval="1s", timeout="5s", retries=3)
IN_ITS_PLACE = pulumi.ResourceOptions(delete_before_replace=True)


def labels(stack: str) -> list[pulumi_docker.ContainerLabelArgs]:
    return [pulumi_docker.ContainerLabelArgs(label=LABEL, value=stack)]


def sleeper(name: str, image: str, **arguments: Any) -> dict[str, Any]:
    """A container that runs, and ends at once when it is told to."""
    return {
        "name": name,
        "image": image,
        "entrypoints": ["sleep"],
        "command": ["3600"],
        "init": True,
        "labels": labels(name),
        "destroy_grace_seconds": 1,
        "network_mode": "none",
        **arguments,
    }
