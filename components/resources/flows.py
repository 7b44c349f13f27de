"""The flows of :mod:`components.flows`, made in Keycloak."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_keycloak as keycloak

from components.flows import BROWSER, DIRECT_GRANT, Step, flows

PRIORITY_STEP = 10
"""Between the priorities of two steps of a flow."""


@dataclass(frozen=True, kw_only=True)
class FlowsArgs:
    """``realm``: its name; ``role``: see :func:`flows`; ``directories``: whether people come by some; ``ready``: what
    must be there before the first step, the role above all: a condition on one that is not there does not hold."""

    realm: pulumi.Output[str]
    role: str
    directories: bool
    provider: keycloak.Provider
    ready: Sequence[pulumi.Resource]


class Flows(pulumi.ComponentResource):
    """The sign-in with a second factor. Makes an ``authentication.Flow`` for browsers, one for passwords without a
    browser and, where directories are declared, one for those who come by them; in each an ``Execution`` or ``Subflow``
    per step and an ``ExecutionConfig`` where a step has settings; and the ``Bindings`` by which the realm uses them.
    """

    def __init__(self, name: str, args: FlowsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("praxis:identity:Flows", name, None, opts)
        self._name = name
        self._args = args
        made = [
            one
            for alias, steps in flows(args.role, directories=args.directories).items()
            for one in self._flow(alias, steps)
        ]
        keycloak.authentication.Bindings(
            f"{name}-bindings",
            realm_id=args.realm,
            browser_flow=BROWSER,
            direct_grant_flow=DIRECT_GRANT,
            # Half a flow may lack the very step that it is made for.
            opts=self._opts(made),
        )
        self.register_outputs({})

    def _opts(self, after: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, provider=self._args.provider, depends_on=[*after])

    def _flow(self, alias: str, steps: tuple[Step, ...]) -> Iterator[pulumi.Resource]:
        flow = keycloak.authentication.Flow(
            f"{self._name}-{alias}", realm_id=self._args.realm, alias=alias, opts=self._opts(self._args.ready)
        )
        yield flow
        yield from self._steps(alias, flow.alias, steps)

    def _steps(self, path: str, parent: pulumi.Output[str], steps: tuple[Step, ...]) -> Iterator[pulumi.Resource]:
        """``path``: the names that lead there; ``parent``: the flow's alias, known when it is there."""
        before: list[pulumi.Resource] = []  # one after the other: Keycloak numbers them as they come
        for number, step in enumerate(steps, 1):
            name = f"{path}-{step.name}"
            where: dict[str, Any] = {
                "realm_id": self._args.realm,
                "parent_flow_alias": parent,
                "requirement": step.requirement,
            }
            where |= {"priority": number * PRIORITY_STEP, "opts": self._opts(before)}
            if step.steps:
                subflow = keycloak.authentication.Subflow(f"{self._name}-{name}", **where, alias=name)
                before = [subflow, *self._steps(name, subflow.alias, step.steps)]
            else:
                execution = keycloak.authentication.Execution(
                    f"{self._name}-{name}", **where, authenticator=step.authenticator
                )
                before = [execution, *self._config(name, execution, step)]
            yield from before

    def _config(self, name: str, execution: keycloak.authentication.Execution, step: Step) -> Iterator[pulumi.Resource]:
        if step.config:
            yield keycloak.authentication.ExecutionConfig(
                f"{self._name}-{name}-config",
                realm_id=self._args.realm,
                execution_id=execution.id,
                alias=name,
                config=dict(step.config),
                opts=self._opts(()),
            )
