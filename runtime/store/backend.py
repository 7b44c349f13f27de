"""Where the encrypted document is kept. A backend sees ciphertext alone: keys and the record stay in the folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from runtime.store.document import StoreError
from runtime.store.folder import STORE, Folder

TIMEOUT_S = 10
"""How long one request to a place elsewhere may take, in seconds."""


class ConflictError(StoreError):
    """Somebody else has written the document meanwhile; nothing was changed."""

    def __init__(self, where: str) -> None:
        super().__init__(f"{where} was written by somebody else meanwhile: run the same command again")


class UnreachableError(StoreError):
    """The place where the document is kept does not answer. Whether a save that ended so was done is not known."""


def missing(service: str, packages: str, extra: str) -> StoreError:
    """What is said when ``service`` needs Python packages that are not there."""
    return StoreError(f"{service}: the Python package {packages} is missing (extra '{extra}'): set PRAXIS_EXTRAS=1")


def fitting(content: bytes, most: int, where: str) -> None:
    """Refuse more than ``most`` bytes before anything is sent.

    Raises:
        StoreError: it is more.
    """
    if len(content) > most:
        raise StoreError(f"{where} can hold {most} bytes, and the store has {len(content)}")


@dataclass(frozen=True)
class Stored:
    """The document as it is kept. ``version`` changes with every save."""

    content: bytes
    version: str


class Backend(Protocol):
    """Keeps one document."""

    @property
    def where(self) -> str:
        """What messages call it."""

    def load(self) -> Stored | None:
        """The document; None if nothing was saved yet.

        Raises:
            StoreError: it cannot be looked for or read. That is never None.
        """

    def save(self, content: bytes, expected: str | None) -> None:
        """Keep ``content`` in place of the version ``expected``, whole or not at all.

        Args:
            content: the new document.
            expected: the version that it replaces; None if there is none.

        Raises:
            ConflictError: another version is kept.
            StoreError: it cannot be written.
        """


class FileBackend:
    """The file ``store.age`` of the custody folder, whose lock the caller holds for a save."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    @property
    def where(self) -> str:
        """The path of the file."""
        return str(self._folder.path / STORE)

    def load(self) -> Stored | None:
        """The file; its version is the digest of its content."""
        if not self._folder.has(STORE):
            return None
        content = self._folder.read(STORE)
        return Stored(content, hashlib.sha256(content).hexdigest())

    def save(self, content: bytes, expected: str | None) -> None:
        """Replace the file in one step."""
        now = self.load()
        if (now.version if now else None) != expected:
            raise ConflictError(self.where)
        self._folder.replace(STORE, content)
