"""Drives the plugin as the engine does, without an engine: check, diff, create, read, update, delete."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from pulumi.provider.experimental import provider as sdk
from pulumi.provider.experimental.property_value import PropertyValue

from infra.plugins.litellm.provider import LiteLLM
from infra.plugins.standins.values import plain, wrapped
from tests.played_litellm import MASTER

URL = "http://litellm.test"
Properties = dict[str, PropertyValue]


def urn(token: str) -> str:
    return f"urn:pulumi:stack::project::praxis:governance:Governance${token}::one"


@dataclass
class Resource:
    """What the engine keeps of one resource."""

    plugin: LiteLLM
    token: str
    resource_id: str
    inputs: Properties
    state: Properties

    @property
    def outputs(self) -> dict[str, Any]:
        return plain(self.state)

    def diff(self, **values: Any) -> sdk.DiffResponse:
        request = sdk.DiffRequest(urn(self.token), self.resource_id, self.state, wrapped(values), [])
        return asyncio.run(self.plugin.diff(request))

    def update(self, **values: Any) -> None:
        new = wrapped(values)
        request = sdk.UpdateRequest(urn(self.token), self.resource_id, self.state, new, 0, [], False)
        answer = asyncio.run(self.plugin.update(request))
        self.inputs, self.state = new, answer.properties or {}

    def refresh(self) -> bool:
        """Read it again; whether it is still there."""
        answer = asyncio.run(
            self.plugin.read(sdk.ReadRequest(urn(self.token), self.resource_id, self.state, self.inputs))
        )
        self.inputs, self.state = answer.inputs or {}, answer.properties or {}
        return bool(answer.resource_id)

    def delete(self) -> None:
        asyncio.run(self.plugin.delete(sdk.DeleteRequest(urn(self.token), self.resource_id, self.state, 0)))


class Driver:
    """One configured plugin."""

    def __init__(self, **settings: Any) -> None:
        self.plugin = LiteLLM()
        given = wrapped({"url": URL, "master_key": MASTER, **settings})
        asyncio.run(self.plugin.configure(sdk.ConfigureRequest({}, given, True, True)))

    def problems(self, token: str, **values: Any) -> list[tuple[str, str]]:
        answer = asyncio.run(self.plugin.check(sdk.CheckRequest(urn(token), {}, wrapped(values), b"seed")))
        return [(failure.property, failure.reason) for failure in answer.failures or []]

    def create(self, token: str, **values: Any) -> Resource:
        answer = asyncio.run(self.plugin.check(sdk.CheckRequest(urn(token), {}, wrapped(values), b"seed")))
        assert not answer.failures
        inputs = answer.inputs or {}
        made = asyncio.run(self.plugin.create(sdk.CreateRequest(urn(token), inputs, 0, False)))
        return Resource(self.plugin, token, made.resource_id or "", inputs, made.properties or {})

    def imported(self, token: str, resource_id: str) -> Resource:
        answer = asyncio.run(self.plugin.read(sdk.ReadRequest(urn(token), resource_id, {}, {})))
        return Resource(self.plugin, token, answer.resource_id or "", answer.inputs or {}, answer.properties or {})
