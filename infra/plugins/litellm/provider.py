"""The provider: which types it serves, and its settings. The HTTP client is loaded when it is needed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pulumi.provider.experimental import provider as sdk

from infra.plugins.standins.core import StandIn
from infra.plugins.standins.kinds import ResourceType
from infra.plugins.standins.values import Plain, is_unknown, plain

SCHEMA = Path(__file__).parent / "schema.json"
DEFAULT_TIMEOUT_S = 30.0


def schema() -> dict[str, Any]:
    """The published schema of this plugin's package."""
    content: dict[str, Any] = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return content


class LiteLLM(StandIn):
    """Talks to one LiteLLM with its master key. Everything that the schema names is served."""

    supported_settings = frozenset({"url", "master_key", "timeout_s"})
    secret_settings = frozenset({"master_key"})

    def __init__(self) -> None:
        super().__init__(schema())
        self._given: Plain = {}

    def accept(self, given: Plain) -> None:
        self._given = given

    def make_types(self) -> Iterable[ResourceType]:
        from infra.plugins.litellm.client import Admin, Settings
        from infra.plugins.litellm.governance import BudgetType, TeamType
        from infra.plugins.litellm.models import ModelType

        given = self._given
        settings = Settings(
            url=given.get("url", ""),
            master_key=given.get("master_key", ""),
            timeout_s=given.get("timeout_s", DEFAULT_TIMEOUT_S),
        )
        admin = Admin(settings)
        return [BudgetType(admin), ModelType(admin), TeamType(admin)]

    async def check_config(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        answer = await super().check_config(request)
        if not answer.failures:
            failures = [sdk.CheckFailure(name, why) for name, why in _unusable(plain(request.new_inputs))]
            answer = sdk.CheckResponse(inputs=answer.inputs, failures=failures)
        return answer

    async def check(self, request: sdk.CheckRequest) -> sdk.CheckResponse:
        answer = await super().check(request)
        # Nothing is filled in, so nothing is noted: as long as the provider's address is unknown, a preview compares
        # the program's own inputs with those of the state.
        inputs = {name: value for name, value in (answer.inputs or {}).items() if name != "__defaults"}
        return sdk.CheckResponse(inputs=inputs, failures=answer.failures)


def _unusable(given: Plain) -> Iterator[tuple[str, str]]:
    url, timeout_s = given["url"], given.get("timeout_s")
    if not is_unknown(url) and not url.startswith(("http://", "https://")):
        yield "url", f"'{url}' is no address: it begins with http:// or https://"
    if not is_unknown(given["master_key"]) and not given["master_key"].strip():
        yield "master_key", "must not be empty"
    if timeout_s is not None and not is_unknown(timeout_s) and float(timeout_s) <= 0:
        yield "timeout_s", f"must be more than 0 seconds, not {timeout_s}"
