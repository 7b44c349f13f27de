"""Backends of others: AWS Secrets Manager and HashiCorp Vault's key-value engine, version 2.

Both replace a version only if it is still the newest. What they need is imported where it is used.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runtime.store.backend import ConflictError, Stored
from runtime.store.document import StoreError

AWS_MAX_BYTES = 65_536
"""What one secret of AWS Secrets Manager may hold."""

CURRENT, PENDING = "AWSCURRENT", "PRAXIS-PENDING"
_TIMEOUT_S = 10


class SecretsManagerBackend:
    """One secret of AWS Secrets Manager, as binary. Credentials come as boto3 finds them.

    A new version is put aside under a label of its own; then the label of the current version is moved to it, which
    AWS refuses if that is not where it was.
    """

    def __init__(self, name: str, region: str | None = None) -> None:
        self._name = name
        self._region = region

    @property
    def where(self) -> str:
        """Service and name."""
        return f"'{self._name}' in AWS Secrets Manager"

    def load(self) -> Stored | None:
        """The current version."""
        answer = self._call(
            "get_secret_value", {"ResourceNotFoundException": None}, SecretId=self._name, VersionStage=CURRENT
        )
        if answer is None:
            return None
        if "SecretBinary" not in answer:
            raise StoreError(f"{self.where} is not a store: it holds text")
        return Stored(bytes(answer["SecretBinary"]), str(answer["VersionId"]))

    def save(self, content: bytes, expected: str | None) -> None:
        """Create the secret, or make a new version current in place of ``expected``."""
        if len(content) > AWS_MAX_BYTES:
            raise StoreError(f"{self.where} can hold {AWS_MAX_BYTES} bytes, and the store has {len(content)}")
        taken = ConflictError(self.where)
        if expected is None:
            refusals = {"ResourceExistsException": taken}
            self._call("create_secret", refusals, Name=self._name, SecretBinary=content)
            return
        version = str(uuid.uuid4())
        self._call(
            "put_secret_value",
            {},
            SecretId=self._name,
            SecretBinary=content,
            ClientRequestToken=version,
            VersionStages=[PENDING],
        )
        self._call(
            "update_secret_version_stage",
            {"InvalidParameterException": taken},
            SecretId=self._name,
            VersionStage=CURRENT,
            RemoveFromVersionId=expected,
            MoveToVersionId=version,
        )

    def _call(self, action: str, refusals: Mapping[str, StoreError | None], **arguments: Any) -> dict[str, Any] | None:
        """What AWS answers. ``refusals``: code -> what to raise, or None to return None."""
        try:
            import boto3
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise StoreError("AWS Secrets Manager needs the Python package boto3 (extra 'aws' of praxis)") from None
        try:
            answer: dict[str, Any] = getattr(boto3.client("secretsmanager", region_name=self._region), action)(
                **arguments
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in refusals:
                raise StoreError(f"{self.where}: AWS refuses {action}: {code}") from None
            known = refusals[code]
            if known is not None:
                raise known from None
            return None
        except BotoCoreError as error:
            raise StoreError(f"{self.where}: AWS cannot be asked: {error}") from None
        return answer


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
        self._url = f"{address.rstrip('/')}/v1/{mount}/data/{path}"
        self._name = f"{mount}/{path}"
        self._token_file = token_file
        self._namespace = namespace

    @property
    def where(self) -> str:
        """Service and path."""
        return f"'{self._name}' in Vault"

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
            answer = httpx.request(method, self._url, headers=headers, json=body, timeout=_TIMEOUT_S)
            parsed: dict[str, Any] = answer.json() if answer.content else {}
        except httpx.HTTPError as error:
            raise StoreError(f"{self.where}: Vault cannot be asked ({type(error).__name__})") from None
        except ValueError:
            raise StoreError(f"{self.where}: Vault answers HTTP {answer.status_code} and no JSON") from None
        return answer.status_code, parsed
