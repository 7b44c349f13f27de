"""Waiting for a container to be healthy, by its own health check."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from docker.errors import APIError

from infra.plugins.standins.docker.client import Daemon
from infra.plugins.standins.kinds import Call, PluginError

POLL_S = 0.25
SOONER_S = (0.5, 1.0, 2.0, 3.0)
"""After so many seconds the check is run here. What starts slowly is left to the daemon: to run a program in a
container takes a tenth of a second of a processor, which whatever starts could use."""
LOG_LINES = 15


class Readiness:
    """Of one container. The daemon runs its health check every so many seconds, beginning when so many are over; for
    what starts quickly the same check is run sooner. (Docker 25's ``startInterval`` does that, older daemons ignore
    it.)"""

    def __init__(self, daemon: Daemon, container_id: str) -> None:
        self._api = daemon.api
        self._id = container_id
        self._began = time.monotonic()
        self._sooner = deque(SOONER_S)
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
                told = self._api.exec_inspect(self._check)
                if told["Running"]:
                    return False
                self._check = None
                return bool(told["ExitCode"] == 0)
            if self._sooner and time.monotonic() - self._began >= self._sooner[0]:
                self._sooner.popleft()
                self._check = self._begin(config)
        except APIError:
            self._check = None  # it does not run just now
        return False

    def _begin(self, config: dict[str, Any]) -> str:
        kind, *rest = config["Healthcheck"]["Test"]
        command = rest if kind == "CMD" else [*(config.get("Shell") or ["/bin/sh", "-c"]), *rest]
        begun = str(self._api.exec_create(self._id, command)["Id"])
        self._api.exec_start(begun, detach=True)
        return begun

    def _last_words(self, state: dict[str, Any]) -> str:
        checks = state["Health"].get("Log") or []
        said = str(checks[-1]["Output"]).strip() if checks else "it has not run yet"
        log = self._api.logs(self._id, tail=LOG_LINES).decode(errors="replace").strip()
        return (
            f" (state {state['Status']}, exit code {state['ExitCode']}, health {state['Health']['Status']})\n"
            f"last health check: {said or '(said nothing)'}\nlast lines of its log:\n{log or '(none)'}"
        )
