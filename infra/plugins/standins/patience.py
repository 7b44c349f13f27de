"""Asking a server that may be starting: waited for within bounds, one wait for all, nothing done twice unasked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from infra.plugins.standins.kinds import Call, PluginError

PAUSE_S = 1.0
NOT_READY = frozenset({httpx.codes.BAD_GATEWAY, httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.GATEWAY_TIMEOUT})
"""What a server that is starting says, or a proxy in front of one."""


class Patient:
    """Asks one server. ``server`` is its name in messages; ``connect`` gives the client, when it is first needed."""

    def __init__(self, server: str, url: str, connect: Callable[[], httpx.Client]) -> None:
        self._server = server
        self._url = url
        self._connect = connect
        self._silent_since: float | None = None

    def ask(self, method: str, path: str, call: Call, *, once: bool = False, **arguments: Any) -> httpx.Response:
        """Ask; while the server does not answer or says it is not ready, ask again, within ``call``'s bounds.

        ``once``: what may have been done must not be done twice.

        Raises:
            PluginError: it did not answer in time, or the engine cancelled.
        """
        while True:
            try:
                answer = self._connect().request(method, path, **arguments)
            except httpx.TransportError as error:
                unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
                problem = f"{self._server} does not answer at {self._url}: {str(error) or type(error).__name__}"
                if once and not unsent:
                    raise PluginError(problem) from None
            else:
                if answer.status_code not in NOT_READY:
                    self._silent_since = None
                    return answer
                problem = f"{self._server} at {self._url} is not ready (HTTP {answer.status_code})"
            self._give_up_late(problem, call)
            call.pause(PAUSE_S, f"{self._server} to answer")

    def _give_up_late(self, problem: str, call: Call) -> None:
        """The wait is one for all: who asks later does not wait all of it again."""
        since = self._silent_since
        if since is None:
            since = self._silent_since = time.monotonic()
        if call.expired or time.monotonic() - since > call.patience_s:
            raise PluginError(f"{problem}; is it running, and is that its address?")
