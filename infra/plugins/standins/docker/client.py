"""The way to the daemon: connected when first used, its errors in words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import APIError, DockerException, NotFound
from requests.exceptions import RequestException

from infra.plugins.standins.core import GoneError, PluginError

REQUEST_TIMEOUT_S = 120


class Daemon:
    """A Docker daemon. ``host`` is its address; ``None`` means the environment's."""

    def __init__(self) -> None:
        self.host: str | None = None
        self._client: docker.APIClient | None = None
        self._lock = threading.Lock()

    @property
    def api(self) -> docker.APIClient:
        """The low-level client.

        Raises:
            PluginError: the daemon cannot be reached.
        """
        with self._lock:
            if self._client is None:
                try:
                    if self.host:
                        self._client = docker.APIClient(base_url=self.host, version="auto", timeout=REQUEST_TIMEOUT_S)
                    else:
                        self._client = docker.from_env(version="auto", timeout=REQUEST_TIMEOUT_S).api
                except DockerException as error:
                    raise PluginError(f"the Docker daemon cannot be reached ({error}); is it running?") from None
            return self._client


@contextmanager
def worded() -> Iterator[None]:
    """Docker's errors as ours: 404 is ``GoneError``, everything else a message."""
    try:
        yield
    except NotFound as error:
        raise GoneError(str(error.explanation or error)) from None
    except APIError as error:
        raise PluginError(f"Docker says: {error.explanation or error}") from None
    except RequestException as error:
        raise PluginError(f"the Docker daemon does not answer: {type(error).__name__}") from None


def pairs(labels: list[dict[str, str]] | None) -> dict[str, str]:
    """``[{label, value}]`` as a mapping."""
    return {entry["label"]: entry["value"] for entry in labels or []}
