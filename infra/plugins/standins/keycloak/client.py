"""Keycloak's admin REST API: signs in when first asked, again when its token ends, and says errors in words."""

from __future__ import annotations

import ssl
import threading
import time
from contextlib import suppress
from functools import cached_property
from typing import Any

import httpx

from infra.plugins.standins.keycloak.settings import Settings
from infra.plugins.standins.kinds import Call, ConflictError, GoneError, PluginError
from infra.plugins.standins.patience import Patient

RENEW_BEFORE_S = 10.0
DELETE_TRIES = 4
DELETE_PAUSE_S = 0.5


class _StumbledError(PluginError):
    """An error of the server's own (HTTP 500)."""


class Admin:
    """A signed-in client, used by every resource type from many threads. Asks nothing before it is asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = ""
        self._good_until = 0.0
        self._lock = threading.Lock()
        self._patient = Patient("Keycloak", settings.url, lambda: self._http)

    def get(self, path: str, call: Call, **query: Any) -> Any:
        """GET under ``/admin/realms``. Raises ``GoneError`` on 404."""
        return self._send("GET", path, call, params=query).json()

    def post(self, path: str, body: Any, call: Call) -> str:
        """POST; returns the last part of the Location header: the id of what was made, or its name."""
        answer = self._send("POST", path, call, json=body)
        return str(httpx.URL(answer.headers.get("location", "")).path).rsplit("/", 1)[-1]

    def put(self, path: str, body: Any, call: Call) -> None:
        """PUT."""
        self._send("PUT", path, call, json=body)

    def delete(self, path: str, call: Call, body: Any = None) -> None:
        """DELETE. What is deleted at the same time may be in its way: to take a step's settings away, Keycloak looks
        through every flow of the realm, and answers 500 when one has just gone. So it is asked again."""
        for _ in range(DELETE_TRIES - 1):
            with suppress(_StumbledError):
                return self._send_away(path, call, body)
            call.pause(DELETE_PAUSE_S, "Keycloak to have deleted what else it deletes")
        return self._send_away(path, call, body)

    def _send_away(self, path: str, call: Call, body: Any) -> None:
        self._send("DELETE", path, call, json=body)

    def sign_in(self, call: Call) -> None:
        """Prove that the settings work."""
        self._access(call)

    def _send(self, method: str, path: str, call: Call, **arguments: Any) -> httpx.Response:
        arguments = {key: value for key, value in arguments.items() if value is not None}
        for again in (True, False):
            token = self._access(call)
            answer = self._patiently(
                method, f"/admin/realms{path}", call, headers={"Authorization": f"Bearer {token}"}, **arguments
            )
            if answer.status_code != httpx.codes.UNAUTHORIZED or not again:
                break
            self._forget(token)  # the session was ended on the server's side: sign in once more
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise GoneError(f"Keycloak has no {path}: {_reason(answer)}")
        if answer.status_code == httpx.codes.CONFLICT:
            raise ConflictError(_reason(answer))
        if answer.is_error:
            stumbled = answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
            raise (_StumbledError if stumbled else PluginError)(_why(method, path, answer))
        return answer

    def _forget(self, token: str) -> None:
        with self._lock:
            if self._token == token:
                self._good_until = 0.0

    def _access(self, call: Call) -> str:
        settings = self._settings
        if settings.access_token:
            return settings.access_token
        with self._lock:
            if time.monotonic() >= self._good_until:
                self._token, lasts_s = self._new_token(settings, call)
                self._good_until = time.monotonic() + lasts_s - RENEW_BEFORE_S
            return self._token

    def _new_token(self, settings: Settings, call: Call) -> tuple[str, float]:
        form = {"client_id": settings.client_id}
        if settings.username:
            form |= {"grant_type": "password", "username": settings.username, "password": settings.password}
        else:
            form |= {"grant_type": "client_credentials"}
        if settings.client_secret:
            form["client_secret"] = settings.client_secret
        path = f"/realms/{settings.realm}/protocol/openid-connect/token"
        answer = self._patiently("POST", path, call, data=form)
        if answer.is_error:
            who = settings.username or settings.client_id
            raise PluginError(
                f"Keycloak at {settings.url} refuses the sign-in of '{who}' to realm '{settings.realm}': "
                f"{_reason(answer)}; are name and password (or secret) those that the server has?"
            )
        body = answer.json()
        return str(body["access_token"]), float(body["expires_in"])

    def _patiently(self, method: str, path: str, call: Call, **arguments: Any) -> httpx.Response:
        once = method == "POST" and path.startswith("/admin")
        return self._patient.ask(method, path, call, once=once, **arguments)

    @property
    def _http(self) -> httpx.Client:
        if not self._settings.url:
            raise PluginError("the Keycloak provider has no url (or it is not known yet)")
        return self._connected

    @cached_property
    def _connected(self) -> httpx.Client:
        settings = self._settings
        verify: bool | ssl.SSLContext = settings.verify
        if settings.verify and settings.root_ca:
            verify = ssl.create_default_context(cadata=settings.root_ca)
        return httpx.Client(
            base_url=settings.url.rstrip("/") + settings.base_path,
            timeout=settings.timeout_s,
            headers=dict(settings.headers),
            verify=verify,
            trust_env=False,
        )


def _why(method: str, path: str, answer: httpx.Response) -> str:
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        return f"Keycloak does not accept the token it gave us (HTTP 401 on {method} {path}); is the clock right?"
    if answer.status_code == httpx.codes.FORBIDDEN:
        return f"Keycloak forbids {method} {path}: the user that signs in lacks an admin role of that realm"
    return f"Keycloak answers {method} {path} with HTTP {answer.status_code}: {_reason(answer)}"


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    said = body if isinstance(body, dict) else {}
    return str(said.get("errorMessage") or said.get("error_description") or said.get("error") or answer.status_code)
