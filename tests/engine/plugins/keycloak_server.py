"""A Keycloak for the tests: one that is given, or the stack's own image with a database in memory."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import docker
import httpx
import pulumi
import pulumi_keycloak as keycloak
from docker.errors import ImageNotFound

from infra.supply.process import SupplyError
from tests import keycloak_in_memory

URL, USER, PASSWORD = "PRAXIS_TEST_KEYCLOAK_URL", "PRAXIS_TEST_KEYCLOAK_USER", "PRAXIS_TEST_KEYCLOAK_PASSWORD"
START_S = 280
MISSING = (
    f"these tests need a Keycloak server: set {URL}, {PASSWORD} (and {USER}), "
    "or build the stack's image with 'python -m infra.supply'"
)


@dataclass(frozen=True)
class Server:
    """A running server, and its admin in realm ``master``."""

    url: str
    user: str
    password: str = field(repr=False)

    def token(self, realm: str = "master", **form: str) -> dict[str, Any]:
        """A token of a realm, by any grant; the admin's own if ``form`` is empty."""
        asked = form or {
            "grant_type": "password", "client_id": "admin-cli", "username": self.user, "password": self.password
        }  # fmt: skip
        answer = httpx.post(f"{self.url}/realms/{realm}/protocol/openid-connect/token", data=asked, timeout=30)
        answer.raise_for_status()
        return dict(answer.json())

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The admin API, under ``/admin/realms``."""
        answer = httpx.request(
            method,
            f"{self.url}/admin/realms{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token()['access_token']}"},
            timeout=30,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None


def signed_in(server: Server, **arguments: Any) -> pulumi.ResourceOptions:
    settings = {"url": server.url, "username": server.user, "password": pulumi.Output.secret(server.password)}
    provider = keycloak.Provider("admin", **{**settings, "initial_login": False, "client_id": "admin-cli", **arguments})
    return pulumi.ResourceOptions(provider=provider)


@contextmanager
def running() -> Iterator[Server]:
    """The server that the environment names; else one of our own. Raises ``RuntimeError`` if there is neither."""
    if os.environ.get(URL):
        yield Server(os.environ[URL], os.environ.get(USER, "admin"), os.environ[PASSWORD])
        return
    try:
        image = keycloak_in_memory.image()
    except (SupplyError, KeyError, ImageNotFound) as error:
        raise RuntimeError(f"{MISSING} ({error})") from None
    password = secrets.token_urlsafe(16)
    container = docker.from_env().containers.run(
        image,
        keycloak_in_memory.START,
        environment=keycloak_in_memory.admin(password),
        ports={"8080/tcp": ("127.0.0.1", None)},
        detach=True,
    )  # type: ignore[call-overload]  # the stubs know no "any port of this address"
    try:
        container.reload()
        server = Server(
            f"http://127.0.0.1:{container.ports['8080/tcp'][0]['HostPort']}", keycloak_in_memory.REALM_ADMIN, password
        )
        _await(server, container)
        yield server
    finally:
        container.remove(v=True, force=True)


@contextmanager
def late_door(server: Server, after_s: float) -> Iterator[str]:
    """Another address of the server, at which nobody answers for the first ``after_s`` seconds."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        door = free.getsockname()
    closed = threading.Event()
    thread = threading.Thread(target=_keep_door, args=(door, httpx.URL(server.url), after_s, closed), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{door[1]}"
    finally:
        closed.set()
        thread.join()


def _keep_door(door: tuple[str, int], server: httpx.URL, after_s: float, closed: threading.Event) -> None:
    closed.wait(after_s)
    with socket.create_server(door) as listening:
        listening.settimeout(0.2)
        while not closed.is_set():
            with suppress(TimeoutError):
                inside, _ = listening.accept()
                outside = socket.create_connection((server.host, server.port or 80))
                for one, other in ((inside, outside), (outside, inside)):
                    threading.Thread(target=_pass_on, args=(one, other), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)


def _await(server: Server, container: Any) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            server.token()
            return
        except httpx.HTTPError as error:
            container.reload()
            if container.status != "running" or time.monotonic() > deadline:
                log = container.logs(tail=20).decode(errors="replace")
                raise RuntimeError(f"Keycloak did not start ({error}); it said:\n{log}") from None
        time.sleep(1)
