"""LiteLLM's admin API: one master key, patience with a server that starts, errors in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx

from infra.plugins.standins.kinds import Call, PluginError
from infra.plugins.standins.patience import Patient


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to reach LiteLLM. ``timeout_s``: seconds for one answer."""

    url: str = ""
    master_key: str = field(default="", repr=False)
    timeout_s: float = 30.0


class RefusedError(PluginError):
    """LiteLLM answered with an error: HTTP ``status``, and its own ``reason``."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Admin:
    """Used by every resource type from many threads. Asks nothing before it is asked.

    Every call may be sent again when no answer came: what makes an object adopts one that is there already.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._patient = Patient("LiteLLM", settings.url, lambda: self._http)

    def get(self, path: str, call: Call, **query: Any) -> Any:
        """GET; the answer's JSON.

        Raises:
            RefusedError: LiteLLM says no.
            PluginError: it does not answer, is not LiteLLM, or does not take the master key.
        """
        return self._send("GET", path, call, params=query)

    def post(self, path: str, body: Any, call: Call) -> Any:
        """POST, likewise."""
        return self._send("POST", path, call, json=body)

    def patch(self, path: str, body: Any, call: Call) -> Any:
        """PATCH, likewise."""
        return self._send("PATCH", path, call, json=body)

    def _send(self, method: str, path: str, call: Call, **arguments: Any) -> Any:
        answer = self._patient.ask(method, path, call, **arguments)
        where = self._settings.url
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # Not in LiteLLM's own words: they hold a part of the key and its hash.
            raise PluginError(f"LiteLLM at {where} does not accept 'master_key' (HTTP 401); is it the one that it has?")
        try:
            body = answer.json()
        except ValueError:
            raise PluginError(
                f"what answers {method} {path} at {where} is not LiteLLM (HTTP {answer.status_code}, no JSON); "
                "is 'url' its address?"
            ) from None
        if answer.is_error:
            reason = _reason(body)
            message = f"LiteLLM answers {method} {path} with HTTP {answer.status_code}: {reason}"
            raise RefusedError(message, answer.status_code, reason)
        return body

    @property
    def _http(self) -> httpx.Client:
        if not self._settings.url or not self._settings.master_key:
            missing = "url" if not self._settings.url else "master_key"
            raise PluginError(f"the litellm provider has no '{missing}' (or it is not known yet)")
        return self._connected

    @cached_property
    def _connected(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._settings.url.rstrip("/"),
            headers={"Authorization": f"Bearer {self._settings.master_key}"},
            timeout=self._settings.timeout_s,
            trust_env=False,
        )


def _reason(body: Any) -> str:
    """LiteLLM's words, out of its own form of an error (``error.message``) or FastAPI's (``detail``)."""
    said = body if isinstance(body, dict) else {}
    error, detail = said.get("error"), said.get("detail")
    if isinstance(error, dict):
        return str(error.get("message"))
    if isinstance(detail, dict):
        return str(detail.get("error") or detail)
    if isinstance(detail, list):  # a body of the wrong form: one entry a field
        return "; ".join(f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in detail)
    return str(error or detail or "no reason given")
