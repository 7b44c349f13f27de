"""Keycloak's admin REST API: signs in when first asked, again when its token ends, and says errors in words."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx

from infra.plugins.standins.core import GoneError, PluginError

STARTING_S = 60.0
"""How long a server that does not answer yet is waited for."""
PAUSE_S = 1.0
RENEW_BEFORE_S = 10.0


class Admin:
    """A signed-in client. Configured once by the provider, used by every resource type."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}
        self._http: httpx.Client | None = None
        self._token = ""
        self._good_until = 0.0
        self._lock = threading.Lock()

    def configure(self, settings: dict[str, Any]) -> None:
        """Take the provider's settings: ``url``, ``clientId``, ``username``, ``password``, …"""
        self._settings = settings

    def get(self, path: str, **query: Any) -> Any:
        """GET under ``/admin/realms``. Raises ``GoneError`` on 404."""
        return self._send("GET", path, params=query).json()

    def post(self, path: str, body: Any) -> str:
        """POST; returns the id of what was made, out of the Location header, or nothing."""
        answer = self._send("POST", path, json=body)
        return str(answer.headers.get("location", "")).rsplit("/", 1)[-1]

    def put(self, path: str, body: Any = None) -> None:
        """PUT."""
        self._send("PUT", path, json=body)

    def delete(self, path: str, body: Any = None) -> None:
        """DELETE."""
        self._send("DELETE", path, json=body)

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        arguments = {key: value for key, value in arguments.items() if value is not None}
        for again in (True, False):
            answer = self._patiently(
                method, f"/admin/realms{path}", headers={"Authorization": f"Bearer {self._access()}"}, **arguments
            )
            if answer.status_code != httpx.codes.UNAUTHORIZED or not again:
                break
            self._good_until = 0.0  # the session was ended on the server's side: sign in once more
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise GoneError(f"Keycloak has no {path}")
        if answer.is_error:
            raise PluginError(_why(method, path, answer))
        return answer

    def _access(self) -> str:
        with self._lock:
            if time.monotonic() < self._good_until:
                return self._token
            form = {"client_id": self._settings.get("clientId", "admin-cli")}
            if "username" in self._settings:
                form |= {"grant_type": "password", "username": self._settings["username"]}
                form["password"] = self._settings.get("password", "")
            else:
                form |= {"grant_type": "client_credentials", "client_secret": self._settings.get("clientSecret", "")}
            realm = self._settings.get("realm") or "master"
            answer = self._patiently("POST", f"/realms/{realm}/protocol/openid-connect/token", data=form)
            if answer.is_error:
                raise PluginError(
                    f"Keycloak refuses the admin sign-in: {_reason(answer)}; is its password the stored one?"
                )
            body = answer.json()
            self._token = str(body["access_token"])
            self._good_until = time.monotonic() + float(body["expires_in"]) - RENEW_BEFORE_S
            return self._token

    def _patiently(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Ask; while the server does not answer or says it is not ready, ask again, within bounds."""
        until = time.monotonic() + STARTING_S
        while True:
            try:
                answer = self._client().request(method, path, **arguments)
            except httpx.TransportError as error:
                if time.monotonic() > until:
                    raise PluginError(f"Keycloak does not answer at {self._settings.get('url')}: {error}") from None
            else:
                if answer.status_code not in (502, 503, 504) or time.monotonic() > until:
                    return answer
            time.sleep(PAUSE_S)

    def _client(self) -> httpx.Client:
        if self._http is None:
            url = str(self._settings.get("url") or "")
            if not url:
                raise PluginError("the Keycloak provider has no url")
            self._http = httpx.Client(
                base_url=url.rstrip("/") + str(self._settings.get("basePath") or ""), timeout=30, trust_env=False
            )
        return self._http


def _why(method: str, path: str, answer: httpx.Response) -> str:
    if answer.status_code == httpx.codes.CONFLICT:
        return f"{_reason(answer)}; it exists already: bring it in with 'pulumi import', or delete it in Keycloak"
    if answer.status_code == httpx.codes.FORBIDDEN:
        return f"Keycloak forbids {method} {path}: the admin user lacks the role for it"
    return f"Keycloak answers {method} {path} with HTTP {answer.status_code}: {_reason(answer)}"


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    return str(body.get("errorMessage") or body.get("error_description") or body.get("error") or answer.status_code)
