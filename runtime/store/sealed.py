"""The document under its encryption: opened with the host's key, written for the host and every recipient."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyrage

from runtime.store.document import Document, RefusedError, StoreError, decode, encode
from runtime.store.folder import KEY, STORE, Folder
from runtime.store.recipients import RECIPIENTS, Recipient, identities, parsed, parsed_file


class Sealed:
    """The encrypted document of one custody folder, and the keys that open it."""

    def __init__(self, folder: Folder, clock: Callable[[], datetime.datetime]) -> None:
        self.folder = folder
        self._clock = clock

    def exists(self) -> bool:
        """Whether there is anything to open, or a key to open it with."""
        return self.folder.has(STORE) or self.folder.has(KEY)

    def read(self) -> Document:
        """The document.

        Raises:
            StoreError: it cannot be read or opened.
        """
        path = self.folder.path / STORE
        identity = self._identity()
        try:
            return decode(pyrage.decrypt(self.folder.read(STORE), [identity]))
        except pyrage.DecryptError as error:
            raise StoreError(f"{path} is corrupt, or {KEY} beside it belongs to another store") from error
        except ValueError:
            # Not chained: a parser's message may quote what it could not parse.
            raise StoreError(f"{path} is corrupt: it does not hold a list of secrets") from None

    @contextmanager
    def changing(self) -> Iterator[Document]:
        """The document, to be changed in place under the lock; written at the end if it is another one.

        Raises:
            StoreError: it cannot be read or written, or its recipients were changed by hand.
        """
        with self.folder.locked():
            document = self.read() if self.folder.has(STORE) else Document()
            self._refuse_changed_recipients(document)
            before, recipients = dict(document.secrets), list(document.recipients)
            yield document
            if (document.secrets, document.recipients) != (before, recipients):
                self._write(document)
            if document.recipients != recipients:
                self._write_recipients(document)

    def reset_recipients(self) -> None:
        """Write ``recipients.txt`` again, as the document has it.

        Raises:
            StoreError: the document cannot be read or the file not written.
        """
        with self.folder.locked():
            self._write_recipients(self.read())

    def recover(self, identity: str) -> None:
        """Make a new host key and write the document for it, opening it with an operator's ``identity`` (text).

        A host key that does not open the document is set aside, not deleted.

        Raises:
            StoreError: the host key is in order, the identity does not open the document, or it cannot be written.
        """
        keys = identities(identity)
        with self.folder.locked():
            content = self.folder.read(STORE)
            has_key = self.folder.has(KEY)
            if has_key:
                self._refuse_good_key(content)
            try:
                document = decode(pyrage.decrypt(content, keys))
            except (pyrage.DecryptError, ValueError):
                raise StoreError(f"the identity does not open {self.folder.path / STORE}") from None
            if has_key:
                self.folder.set_aside(KEY, f"old-{self._clock():%Y%m%dT%H%M%SZ}")
            self._new_key()
            self._write(document)
            self._write_recipients(document)

    def recipients_file(self) -> tuple[Recipient, ...]:
        """What ``recipients.txt`` says, which needs no key.

        Raises:
            StoreError: it cannot be read, or a line is no recipient.
        """
        if not self.folder.has(RECIPIENTS):
            return ()
        text = self.folder.read(RECIPIENTS).decode(errors="replace")
        try:
            return parsed_file(text)
        except StoreError as error:
            raise StoreError(f"{self.folder.path / RECIPIENTS}: {error}") from None

    def _refuse_good_key(self, content: bytes) -> None:
        try:
            pyrage.decrypt(content, [self._identity()])
        except (pyrage.DecryptError, StoreError):
            return
        raise RefusedError(f"{self.folder.path / KEY} opens the store: there is nothing to recover")

    def _refuse_changed_recipients(self, document: Document) -> None:
        if [recipient.line() for recipient in self.recipients_file()] != document.recipients:
            raise StoreError(
                f"{self.folder.path / RECIPIENTS} is not what the store was written for; write it again with: "
                "./praxis secrets recipients STACK --reset (--add and --remove change it)"
            )

    def _identity(self) -> pyrage.x25519.Identity:
        path = self.folder.path / KEY
        if self.folder.has(STORE) and not self.folder.has(KEY):
            raise StoreError(
                f"{path} is missing: put it back from a backup, or open the store with an operator's key: "
                "./praxis secrets recover STACK --identity FILE"
            )
        try:
            return pyrage.x25519.Identity.from_str(self.folder.read(KEY).decode("ascii").strip())
        except (pyrage.IdentityError, UnicodeDecodeError):
            raise StoreError(f"{path} is corrupt: it does not hold an age identity") from None

    def _new_key(self) -> None:
        self.folder.replace(KEY, f"{pyrage.x25519.Identity.generate()}\n".encode())

    def _write(self, document: Document) -> None:
        if not self.folder.has(KEY):
            self._new_key()
        everybody = [self._identity().to_public(), *(parsed(line).age() for line in document.recipients)]
        self.folder.replace(STORE, pyrage.encrypt(encode(document, self._clock()), everybody))

    def _write_recipients(self, document: Document) -> None:
        self.folder.replace(RECIPIENTS, "".join(f"{line}\n" for line in document.recipients).encode())
