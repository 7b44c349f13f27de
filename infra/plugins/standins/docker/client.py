"""The way to the daemon: connected when first used, its errors in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import docker
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from infra.plugins.standins.kinds import GoneError, PluginError

REQUEST_TIMEOUT_S = 120
HINTS = {
    "port is already allocated": "another container or program has that port: end it, or choose another port",
    "address already in use": "another program has that port: end it, or choose another port",
    "is already in use by container": "remove that container, or choose another name",
    "volume is in use": "remove the containers that use it first",
    "has active endpoints": "remove or disconnect the containers that are on it first",
    "bind source path does not exist": "make that folder on the daemon's machine first",
    "no space left on device": "free disk space (docker system df shows what Docker holds)",
    "marked read-only": "upload below the target of a writable mount; the root file system is read-only",
}
"""What Docker says -> what to do."""


class Daemon:
    """A Docker daemon. ``host`` is its address; ``None`` means the environment's."""

    def __init__(self, host: str | None) -> None:
        self.host = host
        self._lock = threading.Lock()

    @property
    def api(self) -> docker.APIClient:
        """The low-level client.

        Raises:
            PluginError: the daemon cannot be reached.
        """
        with self._lock:
            return self._connected

    @cached_property
    def _connected(self) -> docker.APIClient:
        try:
            if self.host:
                ssh = self.host.startswith("ssh://")
                return docker.APIClient(
                    base_url=self.host, version="auto", timeout=REQUEST_TIMEOUT_S, use_ssh_client=ssh
                )
            return docker.from_env(version="auto", timeout=REQUEST_TIMEOUT_S).api
        except (DockerException, RequestException, OSError) as error:
            where = self.host or "its usual address (or DOCKER_HOST)"
            raise PluginError(f"the Docker daemon cannot be reached at {where} ({error}); is it running?") from None


@contextmanager
def worded() -> Iterator[None]:
    """Docker's errors as ours: 404 is ``GoneError``, everything else a message that says what to do if we know."""
    try:
        yield
    except NotFound as error:
        raise GoneError(f"Docker says: {_said(error)}") from None
    except APIError as error:
        said = _said(error)
        hint = next((f"; {hint}" for sign, hint in HINTS.items() if sign in said), "")
        raise PluginError(f"Docker says: {said}{hint}") from None
    except RequestException as error:
        raise PluginError(f"the Docker daemon does not answer ({type(error).__name__}); is it running?") from None


def _said(error: APIError) -> str:
    return str(error.explanation or error).strip()


def pairs(labels: list[dict[str, str]] | None) -> dict[str, str]:
    """``[{label, value}]`` as a mapping."""
    return {entry["label"]: entry["value"] for entry in labels or []}


def labelled(labels: dict[str, str] | None) -> list[dict[str, str]]:
    """A mapping as ``[{label, value}]``, sorted."""
    return [{"label": key, "value": value} for key, value in sorted((labels or {}).items())]


OWNER = "praxis.stack"
"""The label that says whose an object is."""


def ours(wanted: list[dict[str, str]] | None, found: dict[str, Any] | None) -> bool:
    """Whether an object that is already there carries the owner's label that ours would carry."""
    owner = pairs(wanted).get(OWNER)
    return owner is not None and (found or {}).get(OWNER) == owner
