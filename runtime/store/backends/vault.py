"""HashiCorp Vault's key-value engine, version 2: a version is replaced by check-and-set."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any

from runtime.store.backend import TIMEOUT_S, ConflictError, Stored, UnreachableError, fitting
from runtime.store.document import StoreError

VAULT_MAX_BYTES = 768 * 1024
"""What is sent at most, before base64: Vault's integrated storage takes entries of 1 MiB unless told otherwise."""


class VaultBackend:
    """One secret of Vault's key-value engine, version 2, with the document as base64 under ``document``.

    Args:
        address: ``https://vault.example:8200``.
        path: of the secret within the engine.
        token_file: holds the token; read at each call, so a renewed one is taken.
        mount: where the engine is mounted.
        namespace: of Vault Enterprise; empty for none.
    """

    def __init__(
        self, address: str, path: str, token_file: Path, *, mount: str = "secret", namespace: str = ""
    ) -> None:
        self._address = address.rstrip("/")
        self._url = f"{self._address}/v1/{mount}/data/{path}"
        self._name = f"{mount}/{path}"
        self._token_file = token_file
        self._namespace = namespace

    @property
    def where(self) -> str:
        """Service and path."""
        namespace = f", namespace {self._namespace}" if self._namespace else ""
        return f"'{self._name}' in Vault ({self._address}{namespace})"

    def load(self) -> Stored | None:
        """The newest version."""
        status, body = self._call("GET")
        data = body.get("data") or {}
        if status == 404 and not data:
            return None
        if status == 404:
            raise StoreError(f"{self.where}: its newest version is deleted: undelete it")
        self._checked(status, body)
        try:
            content = base64.b64decode(data["data"]["document"], validate=True)
            return Stored(content, str(int(data["metadata"]["version"])))
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise StoreError(f"{self.where} is not a store") from None

    def save(self, content: bytes, expected: str | None) -> None:
        """Write the next version, by check-and-set."""
        fitting(content, VAULT_MAX_BYTES, self.where)
        document = {"document": base64.b64encode(content).decode()}
        status, body = self._call("POST", {"options": {"cas": int(expected or 0)}, "data": document})
        if status == 400 and any("check-and-set" in error for error in body.get("errors", [])):
            raise ConflictError(self.where)
        self._checked(status, body)

    def _checked(self, status: int, body: dict[str, Any]) -> None:
        if status >= 400:
            said = "; ".join(str(error) for error in body.get("errors", [])) or "no reason given"
            raise StoreError(f"{self.where}: Vault answers HTTP {status}: {said}")

    def _call(self, method: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        import httpx

        try:
            token = self._token_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise StoreError(f"{self.where}: cannot read the token in {self._token_file}") from None
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if self._namespace:
            headers["X-Vault-Namespace"] = self._namespace
        try:
            answer = httpx.request(method, self._url, headers=headers, json=body, timeout=TIMEOUT_S)
            parsed: dict[str, Any] = answer.json() if answer.content else {}
        except httpx.HTTPError as error:
            raise UnreachableError(f"{self.where}: Vault cannot be asked ({type(error).__name__})") from None
        except ValueError:
            raise StoreError(f"{self.where}: Vault answers HTTP {answer.status_code} and no JSON") from None
        return answer.status_code, parsed
