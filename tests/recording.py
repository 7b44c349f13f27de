"""The second implementation of the Target seam: it records what components ask for. It keeps the seam honest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pulumi

from components.resources.target import Capability
from components.spec import NetworkName, ServiceSpec


class Recorded(pulumi.CustomResource):
    """Stands for a service that some target runs."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("recording:index:Service", name, {}, opts)


@dataclass
class RecordingTarget:
    """A :class:`components.resources.target.Target` that makes one empty resource a service."""

    name: str = "recording"
    capabilities: frozenset[Capability] = frozenset(Capability)
    networks: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    receivers: list[str] = field(default_factory=list)
    services: dict[str, ServiceSpec] = field(default_factory=dict)
    after: dict[str, list[pulumi.Resource]] = field(default_factory=dict)

    def network(self, name: NetworkName, parent: pulumi.Resource) -> None:
        self.networks.append(name)

    def volume(self, name: str, parent: pulumi.Resource) -> None:
        self.volumes.append(name)

    def deliver_secrets(self, services: Iterable[ServiceSpec], parent: pulumi.Resource) -> None:
        self.receivers.extend(spec.name for spec in services if spec.secrets)

    def service(
        self, spec: ServiceSpec, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()
    ) -> pulumi.Resource:
        missing = set(spec.needs) - set(self.services)
        assert not missing, f"{spec.name} is made before what it needs: {missing}"
        self.services[spec.name] = spec
        self.after[spec.name] = list(after)
        return Recorded(f"service-{spec.name}", pulumi.ResourceOptions(parent=parent, depends_on=list(after)))

    def reach(self, service: str, *, in_preview: bool = False) -> pulumi.Output[str]:
        assert service in self.services, f"{service} cannot be reached before it is made"
        return pulumi.Output.from_input(f"http://reach.test/{service}")
