"""Waiting for a container to be healthy, by its own health check."""

from __future__ import annotations

import time
from typing import Any

from docker.errors import APIError

from infra import healthcheck
from infra.plugins.standins.docker.client import Daemon
from infra.plugins.standins.kinds import Call, PluginError

POLL_S = 0.25
SOON_S = (0.5, 1.0, 2.0, 3.0)
"""After so many seconds the check is run for the first times."""
EVERY_S = 3.0
"""And then so often: each time takes a tenth of a second of a processor, which whatever starts could use."""
LOG_LINES = 15


class Readiness:
    """Of one container. The daemon runs its health check so seldom that here the same check is run meanwhile. (Docker
    25's ``startInterval`` does that; older daemons ignore it, or refuse it.)"""

    def __init__(self, daemon: Daemon, container_id: str) -> None:
        self._api = daemon.api
        self._id = container_id
        self._began = time.monotonic()
        self._looked = 0
        self._check: str | None = None

    def wait(self, timeout_s: float, call: Call) -> None:
        """Until a health check has said healthy.

        Raises:
            PluginError: it has no health check, or is not healthy in time; with what it said last.
        """
        limit = call.sooner(timeout_s)
        while True:
            found = self._api.inspect_container(self._id)
            state, restart = found["State"], found["HostConfig"]["RestartPolicy"]["Name"]
            if "Health" not in state:
                raise PluginError("'wait' needs a health check, and neither the program nor the image has one")
            if state["Health"]["Status"] == "healthy" or self._passes(found["Config"]):
                return
            if limit.expired:
                raise PluginError(f"not healthy after {timeout_s:g} s{self._last_words(state)}")
            if state["Status"] in ("exited", "dead") and restart in ("", "no"):
                raise PluginError(f"it ended before it was healthy{self._last_words(state)}")
            call.pause(POLL_S, "the container to be healthy")

    def _passes(self, config: dict[str, Any]) -> bool:
        """Whether a check that was begun here has ended well; else, when it is time, one is begun."""
        try:
            if self._check is not None:
                healthy = healthcheck.ended(self._api, self._check)
                if healthy is not None:
                    self._check = None
                return healthy is True
            if time.monotonic() - self._began >= self._next_s():
                self._looked += 1
                self._check = healthcheck.begin(self._api, self._id, config)
        except APIError:
            self._check = None  # it does not run just now
        return False

    def _next_s(self) -> float:
        """When it is time for the next look, in seconds after the first."""
        if self._looked < len(SOON_S):
            return SOON_S[self._looked]
        return SOON_S[-1] + EVERY_S * (self._looked - len(SOON_S) + 1)

    def _last_words(self, state: dict[str, Any]) -> str:
        checks = state["Health"].get("Log") or []
        said = str(checks[-1]["Output"]).strip() if checks else "it has not run yet"
        log = self._api.logs(self._id, tail=LOG_LINES).decode(errors="replace").strip()
        return (
            f" (state {state['Status']}, exit code {state['ExitCode']}, health {state['Health']['Status']})\n"
            f"last health check: {said or '(said nothing)'}\nlast lines of its log:\n{log or '(none)'}"
        )
