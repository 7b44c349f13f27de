"""Azure Key Vault: the document in parts, under a head whose versions each name the one that they follow.

A secret there holds 25 kB of text, and writing one never asks what it replaces. So the document is cut into parts
(secrets ``NAME-0``, ``NAME-1`` …), and the head (secret ``NAME``) names the version of each part and the digest of the
whole. A head's tag says which head it follows. What is kept is the head that no other follows.

A writer looks before and after it writes its head. If another one follows the same head, it disables its own and
reports a conflict: of two who write at once, each sees the other or comes first, so never are both told that they
succeeded and one of them is forgotten. Two heads that stand side by side (a writer died between writing and looking)
are refused by every load, which names both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from runtime.store.backend import TIMEOUT_S, ConflictError, Stored, UnreachableError, fitting, missing
from runtime.store.document import StoreError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.secrets import SecretClient

PART_CHARACTERS = 24_000
"""Of base64 in one part: somewhat below the 25 kB that Key Vault documents as a secret's largest value."""

MAX_PARTS = 48
AZURE_MAX_BYTES = MAX_PARTS * PART_CHARACTERS * 3 // 4
"""What may be kept: as many parts as one head names."""

FOLLOWS, FIRST = "praxis-follows", "nothing"
"""The tag of a head, and its value for the first one."""

_T = TypeVar("_T")
_PACKAGES = "azure-keyvault-secrets (and azure-identity)"
_FORMAT = 1
_TAKEN, _SLOW_DOWN = 409, 429


def cut(content: bytes) -> list[str]:
    """``content`` as base64, in parts that each fit into one secret; at least one."""
    text = base64.b64encode(content).decode()
    return [text[at : at + PART_CHARACTERS] for at in range(0, len(text), PART_CHARACTERS)] or [""]


def joined(parts: Sequence[str]) -> bytes:
    """What :func:`cut` was given.

    Raises:
        ValueError: the parts are not those of one document.
    """
    return base64.b64decode("".join(parts), validate=True)


@dataclass(frozen=True)
class Head:
    """What the head's value says: the versions of the parts, in order, and the SHA-256 (hex) of the document."""

    parts: tuple[str, ...]
    sha256: str

    def text(self) -> str:
        """As it is kept."""
        return json.dumps({"format": _FORMAT, "parts": self.parts, "sha256": self.sha256})


def read_head(text: str) -> Head:
    """The head in ``text``.

    Raises:
        ValueError: it is none.
    """
    try:
        plain = json.loads(text)
        if plain["format"] != _FORMAT:
            raise ValueError("of a later version")
        return Head(tuple(str(part) for part in plain["parts"]), str(plain["sha256"]))
    except (TypeError, KeyError):
        raise ValueError("not a head") from None


def newest(follows: Mapping[str, str]) -> list[str]:
    """Of heads (version -> the version that it follows) those that no other follows, sorted."""
    return sorted(follows.keys() - set(follows.values()))


class KeyVaultBackend:
    """Secrets of one Azure Key Vault. Needed: get, list and set on secrets (role "Key Vault Secrets Officer").

    Args:
        vault_url: ``https://NAME.vault.azure.net``.
        name: of the head; the parts are called ``name-0``, ``name-1`` …
        credential: who asks; found as ``DefaultAzureCredential`` does unless given.
    """

    def __init__(self, vault_url: str, name: str, *, credential: TokenCredential | None = None) -> None:
        self._vault_url = vault_url.rstrip("/")
        self._name = name
        self._credential = credential

    @property
    def where(self) -> str:
        """Service, vault and name."""
        return f"'{self._name}' in Azure Key Vault ({self._vault_url})"

    def load(self) -> Stored | None:
        """The document of the newest head."""
        version = self._newest()
        return None if version is None else Stored(self._document(version), version)

    def save(self, content: bytes, expected: str | None) -> None:
        """Write the parts and then the head that follows ``expected``; take it back if another one follows it too."""
        fitting(content, AZURE_MAX_BYTES, self.where)
        if self._newest() != expected:
            raise ConflictError(self.where)
        parts = tuple(self._set(f"{self._name}-{number}", part) for number, part in enumerate(cut(content)))
        before = expected or FIRST
        head = Head(parts, hashlib.sha256(content).hexdigest()).text()
        # Sent once: a second try after a lost answer would be a rival of the first.
        own = self._set(self._name, head, tags={FOLLOWS: before}, retry_total=0)
        if [version for version, after in self._heads().items() if after == before and version != own]:
            self._asked(lambda: self._client.update_secret_properties(self._name, own, enabled=False))
            raise ConflictError(self.where)

    def _newest(self) -> str | None:
        heads = self._heads()
        found = newest(heads)
        if len(found) > 1:
            commands = " or ".join(
                f"az keyvault secret set-attributes --enabled false --id {self._vault_url}/secrets/{self._name}/{one}"
                for one in found
            )
            raise StoreError(
                f"{self.where}: two wrote at once, and {len(found)} versions stand side by side; if the same command "
                f"says so again in a minute, disable the one that does not count: {commands}"
            )
        if heads and not found:
            raise StoreError(f"{self.where} is not a store: its versions follow each other in a circle")
        return found[0] if found else None

    def _heads(self) -> dict[str, str]:
        """Version -> the version that it follows, of every head that is enabled."""
        found = {}
        for each in self._asked(lambda: list(self._client.list_properties_of_secret_versions(self._name))) or ():
            if each.enabled:
                tags = each.tags or {}
                if FOLLOWS not in tags:
                    raise StoreError(f"{self.where} is not a store: version {each.version} has no tag {FOLLOWS}")
                found[str(each.version)] = tags[FOLLOWS]
        return found

    def _document(self, version: str) -> bytes:
        try:
            head = read_head(self._get(self._name, version))
            parts = [self._get(f"{self._name}-{number}", part) for number, part in enumerate(head.parts)]
            content = joined(parts)
        except (ValueError, binascii.Error):
            raise StoreError(f"{self.where} is not a store") from None
        if hashlib.sha256(content).hexdigest() != head.sha256:
            raise StoreError(f"{self.where} is damaged: its parts do not make what version {version} names")
        return content

    def _get(self, name: str, version: str) -> str:
        found = self._asked(lambda: self._client.get_secret(name, version))
        if found is None or found.value is None:
            raise StoreError(f"{self.where} is damaged: version {version} of '{name}' is missing")
        return str(found.value)

    def _set(self, name: str, value: str, **options: Any) -> str:
        kept = self._asked(lambda: self._client.set_secret(name, value, content_type="praxis store", **options))
        if kept is None:
            raise StoreError(f"{self.where}: Key Vault answers HTTP 404 to a new version of '{name}'")
        return str(kept.properties.version)

    def _asked(self, ask: Callable[[], _T]) -> _T | None:
        """What Key Vault answers; None if there is no such secret. A refusal is one line, without the body."""
        try:
            from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
        except ImportError:
            raise missing("Azure Key Vault", _PACKAGES, "azure") from None
        try:
            return ask()
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            raise self._refusal(error) from None
        except AzureError as error:
            raise UnreachableError(f"{self.where}: Key Vault cannot be asked ({type(error).__name__})") from None
        except ValueError as error:
            # What the library says of a challenge that is none of a vault under this address.
            raise StoreError(f"{self.where}: {str(error).partition('. ')[0]}") from None

    def _refusal(self, error: HttpResponseError) -> StoreError:
        if error.status_code is None:  # nobody was asked: no credentials were found
            said = " ".join(str(error.message).split())
            return StoreError(f"{self.where}: no way in: {said.partition(' To mitigate')[0][:400]}")
        code = f" {error.error.code}" if error.error is not None else ""
        if error.status_code == _TAKEN:
            code += ": a secret of that name is deleted but recoverable: recover or purge it, or choose another name"
        kind = UnreachableError if error.status_code == _SLOW_DOWN else StoreError
        return kind(f"{self.where}: Key Vault answers HTTP {error.status_code}{code}")

    @cached_property
    def _client(self) -> SecretClient:
        try:
            from azure.identity import DefaultAzureCredential
            from azure.keyvault.secrets import SecretClient
        except ImportError:
            raise missing("Azure Key Vault", _PACKAGES, "azure") from None
        return SecretClient(
            self._vault_url,
            self._credential or DefaultAzureCredential(),
            connection_timeout=TIMEOUT_S,
            read_timeout=TIMEOUT_S,
            retry_total=2,
        )
