"""The seam that makes "same code" true: what every target can do for a component.

A component never asks which target it runs on. What a target cannot do is in its ``capabilities`` and is refused by
:func:`require` before any resource is registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol

import pulumi

from components.spec import NetworkName, ServiceSpec


class Capability(StrEnum):
    """What a stack may ask of a target. The documentation's target matrix is made from this table."""

    NETWORK = "private networks"
    VOLUME = "data volumes"
    DATABASE = "PostgreSQL"
    SECRETS = "secrets as files in memory"
    SERVICE = "long-running services"
    INGRESS = "published ports"
    REACH = "a way in for the operator"
    BUCKET = "object storage"
    JOB = "run-once jobs"


class CapabilityError(Exception):
    """The target cannot do what the stack asks for. Nothing was registered."""


class Target(Protocol):
    """A place to run. Every method registers resources under ``parent`` and returns what others depend on."""

    name: str
    capabilities: frozenset[Capability]

    def network(self, name: NetworkName, parent: pulumi.Resource) -> None:
        """A network that services join by name; only those in ``OPEN_NETWORKS`` have a way out."""
        ...

    def volume(self, name: str, parent: pulumi.Resource) -> None:
        """A data volume. It outlives its containers and is deleted only with the stack's data."""
        ...

    def deliver_secrets(self, services: Iterable[ServiceSpec], parent: pulumi.Resource) -> None:
        """Bring each service's secrets to it as files in memory, at every start, without showing them to Pulumi."""
        ...

    def service(
        self, spec: ServiceSpec, parent: pulumi.Resource, after: Sequence[pulumi.Resource] = ()
    ) -> pulumi.Resource:
        """Run ``spec`` when its needs and ``after`` are ready; the result is ready when its probe says so."""
        ...

    def reach(self, service: str, *, in_preview: bool = False) -> pulumi.Output[str]:
        """Base URL by which the operator's side reaches an admin API, known once ``service`` is ready.

        ``in_preview``: a preview knows it already (:func:`early`), where the target can tell it before that.
        """
        ...


def early(value: str, after: pulumi.Output[Any]) -> pulumi.Output[str]:
    """``value``, as an output that a preview knows; in an update it comes when ``after`` is there, and not before.

    For what depends on a server and asks nothing of it in a preview: an address that was unknown for as long as the
    server is made again would let every object inside it look changed.
    """

    async def known() -> bool:
        return True

    async def awaited() -> str:
        await after.future(with_unknowns=True)
        return value

    return pulumi.Output(after.resources(), awaited(), known())


def require(target: Target, wanted: Iterable[Capability]) -> None:
    """Refuse what ``target`` cannot do.

    Raises:
        CapabilityError: naming every capability that is missing.
    """
    missing = [capability.value for capability in wanted if capability not in target.capabilities]
    if missing:
        raise CapabilityError(f"target '{target.name}' cannot give: {', '.join(missing)}")
