"""The look at networks and volumes: whether they are there, by name. What they are set to, Pulumi's refresh sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker

from infra.drift.findings import Finding, Kind, Seen
from infra.drift.names import resource_name

NETWORK, VOLUME = "docker:index/network:Network", "docker:index/volume:Volume"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A network or a volume as it stands in the state of the last ``up``."""

    type: str
    urn: str
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name in Docker."""
        return str(self.inputs["name"])


def declared_in(deployment: Mapping[str, Any]) -> list[Declared]:
    """The networks and volumes of a state."""
    return [
        Declared(type=one["type"], urn=one["urn"], inputs=one["inputs"])
        for one in deployment.get("resources") or []
        if one["type"] in (NETWORK, VOLUME) and one.get("id") and not one.get("delete")
    ]


def missing(stack: str, declared: Iterable[Declared], there: Mapping[str, set[str]]) -> Iterator[Finding]:
    """A finding for each that is not ``there`` (type -> names)."""
    for one in declared:
        if one.name not in there[one.type]:
            yield Finding(
                resource=resource_name(one.urn, one.inputs),
                path="state",
                kind=Kind.MISSING,
                declared="present",
                live="missing",
                urn=one.urn,
                repair=f"./praxis up {stack}",
            )


def look(client: docker.DockerClient, stack: str, declared: list[Declared]) -> Seen:
    """Every network and volume of the stack."""
    there = {
        NETWORK: {str(one["Name"]) for one in client.api.networks()},
        VOLUME: {str(one["Name"]) for one in client.api.volumes()["Volumes"] or []},
    }
    return Seen(findings=tuple(missing(stack, declared, there)))
