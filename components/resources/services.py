"""The component of a layer that is services and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pulumi

from components.resources.target import Target
from components.spec import ServiceSpec

Layer = Literal["data", "edge", "observability", "gateway", "custodian", "egress"]


@dataclass(frozen=True, kw_only=True)
class ServicesArgs:
    """``services``: the specs of this layer, out of the stack's blueprint; ``after``: what must be there before."""

    layer: Layer
    target: Target
    services: Sequence[ServiceSpec]
    after: Sequence[pulumi.Resource] = ()


class Services(pulumi.ComponentResource):
    """The services of one layer. Makes one service for each spec in ``args.services``."""

    def __init__(self, name: str, args: ServicesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(f"praxis:{args.layer}:{args.layer.title()}", name, None, opts)
        for spec in args.services:
            args.target.service(spec, self, after=args.after)
        self.register_outputs({})
