"""AWS Secrets Manager: a version becomes the current one only in place of the one that it replaces."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from runtime.store.backend import TIMEOUT_S, ConflictError, Stored, UnreachableError, fitting, missing
from runtime.store.document import StoreError

AWS_MAX_BYTES = 65_536
"""What one secret of AWS Secrets Manager may hold."""

CURRENT, PENDING = "AWSCURRENT", "PRAXIS-PENDING"


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
        region = f" ({self._region})" if self._region else ""
        return f"'{self._name}' in AWS Secrets Manager{region}"

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
        fitting(content, AWS_MAX_BYTES, self.where)
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
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
        except ImportError:
            raise missing("AWS Secrets Manager", "boto3", "aws") from None
        # A second try of the move, after a lost answer to the first, would be refused as if somebody else had written.
        tries = 1 if action == "update_secret_version_stage" else 2
        limits = Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": tries})
        try:
            client = boto3.client("secretsmanager", region_name=self._region, config=limits)
            answer: dict[str, Any] = getattr(client, action)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in refusals:
                raise StoreError(f"{self.where}: AWS refuses {action}: {code}") from None
            known = refusals[code]
            if known is not None:
                raise known from None
            return None
        except BotoCoreError as error:
            kind = UnreachableError if isinstance(error, ConnectionError | HTTPClientError) else StoreError
            raise kind(f"{self.where}: AWS cannot be asked: {error}") from None
        return answer
