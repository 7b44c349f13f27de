"""A container's own health check, run now: the daemon runs it too, but seldom.

To run a program in a container takes a tenth of a second of a processor. Every few seconds for every part, that was a
third of a processor for a stack that nobody used; so whoever wants to know asks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from docker import APIClient
from docker.errors import APIError
from docker.models.containers import Container

POLL_S = 0.05
DEFAULT_TIMEOUT_NS = 30_000_000_000
"""Docker's own, where a check does not say how long it may take."""


def command(config: Mapping[str, Any]) -> list[str]:
    """What the daemon would run; empty where there is no check. ``config``: a container's, as it is inspected."""
    kind, *rest = (config.get("Healthcheck") or {}).get("Test") or ["NONE"]
    if kind == "CMD":
        return rest
    return [*(config.get("Shell") or ["/bin/sh", "-c"]), *rest] if kind == "CMD-SHELL" else []


def begin(api: APIClient, container_id: str, config: Mapping[str, Any]) -> str:
    """Begin the check; its id is for :func:`ended`. Raises ``APIError`` when the container does not run."""
    begun = str(api.exec_create(container_id, command(config))["Id"])
    api.exec_start(begun, detach=True)
    return begun


def ended(api: APIClient, check: str) -> bool | None:
    """Whether the check said healthy; ``None`` while it runs."""
    told = api.exec_inspect(check)
    return None if told["Running"] else bool(told["ExitCode"] == 0)


def passes(container: Container) -> bool:
    """Run the check of a container, as it was last looked at, and wait for its end as long as it may take. One that has
    none passes, one that does not run does not."""
    config = container.attrs["Config"]
    if not command(config):
        return True
    api = container.client.api  # type: ignore[union-attr]  # one that was looked at has a client
    until = time.monotonic() + (config["Healthcheck"].get("Timeout") or DEFAULT_TIMEOUT_NS) / 1e9
    try:
        check = begin(api, str(container.id), config)
        while (healthy := ended(api, check)) is None:
            if time.monotonic() > until:
                return False
            time.sleep(POLL_S)
    except APIError:
        return False
    return healthy
