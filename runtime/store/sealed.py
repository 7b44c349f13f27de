"""The document under its encryption: opened with the host's key, written for the host and every recipient."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import pyrage

from runtime.recipes import RandomBytes
from runtime.store.backend import FileBackend, Stored
from runtime.store.document import Document, Entry, RefusedError, StoreError, decode, encode
from runtime.store.folder import KEY, PENDING, PLACE, RECIPIENTS, STORE, Folder
from runtime.store.journal import AUDIT_KEY, Journal, Operation
from runtime.store.place import Place, note, noted
from runtime.store.recipients import Recipient, identities, parsed, parsed_file


class Sealed:
    """The encrypted document of one custody folder, and the keys that open it.

    ``place``: where the document is kept, if elsewhere. Then ``store.age`` is a copy, written after each save and
    whenever what was loaded is another and opens: for the secrets agent, which reaches nothing but the folder.
    ``audited``: what is done with it is recorded.
    """

    def __init__(
        self, folder: Folder, place: Place | None, clock: Callable[[], datetime.datetime], *, audited: bool
    ) -> None:
        self.folder = folder
        self._place = place
        self._backend = place.backend if place else FileBackend(folder)
        self.journal = Journal(folder, clock)
        self._clock = clock
        self._audited = audited

    def exists(self) -> bool:
        """Whether there is anything to open, or a key to open it with."""
        return self.folder.has(KEY) or self._backend.load() is not None

    def read(self) -> Document:
        """The document.

        Raises:
            StoreError: it cannot be read or opened.
        """
        document, stored = self._read()
        if self._place is not None and not self._copied(self._place, stored):
            with self.folder.locked():
                document = self._read_locked()
        return document

    def _read_locked(self) -> Document:
        """As :meth:`read`, with the folder's lock held."""
        document, stored = self._read()
        self._copy(stored)
        return document

    def _read(self) -> tuple[Document, Stored]:
        stored = self._backend.load()
        if stored is None:
            self._identity(stored)  # says so if the key is missing as well
            raise StoreError(f"{self._backend.where} is missing, though its {KEY} is there: {self._way_back()}")
        return self._opened(stored), stored

    def _way_back(self) -> str:
        if self._place is not None and self.folder.has(STORE):
            return f"{self.folder.path / STORE} is a copy: ./praxis secrets move STACK --from-copy puts it back"
        return f"put it back from a backup (if nothing was ever kept in it, delete {KEY})"

    def _copied(self, place: Place, stored: Stored) -> bool:
        wanted = {STORE: stored.content, PLACE: place.text()}
        return all(self.folder.has(name) and self.folder.read(name) == content for name, content in wanted.items())

    def _copy(self, stored: Stored) -> None:
        """Bring the copy in line with what is kept elsewhere, and opens; under the lock."""
        if self._place is not None and not self._copied(self._place, stored):
            self._refuse_moved()
            note(self.folder, self._place)
            self.folder.replace(STORE, stored.content)

    def _refuse_moved(self) -> None:
        """What another process has moved meanwhile is not written any more where it was."""
        known = noted(self.folder)
        if known is None:
            moved = self._place is not None and self.folder.has(STORE)
        else:
            moved = self._place is None or self._place.identity != known.identity
        if moved:
            raise StoreError(f"the store is not kept in {self._backend.where} any more: run the same command again")

    def move(self, to: Place | None, *, replace: bool) -> None:
        """Copy the document to another place (None: the file in the folder), read it back, and keep it there.

        Args:
            to: the new place.
            replace: write over another document there.

        Raises:
            RefusedError: another document is there.
            StoreError: it cannot be read, written or read back; then it stays where it is.
        """
        target = to.backend if to else FileBackend(self.folder)
        with self.folder.locked():
            document, stored = self._read()
            self._copy(stored)
            there = target.load()
            same = there is not None and there.content == stored.content
            if there is not None and not same and not replace:
                raise RefusedError(f"{target.where} holds another document; --replace writes over it")
            with self._recorded(document, [Operation("move", target.where)], document.secrets.get(AUDIT_KEY)):
                if not same:
                    target.save(stored.content, there.version if there else None)
                back = target.load()
                if back is None or back.content != stored.content:
                    message = f"{target.where} does not give back what was written to it"
                    raise StoreError(f"{message}; the store stays in {self._backend.where}")
                note(self.folder, to)

    def _opened(self, stored: Stored) -> Document:
        identity = self._identity(stored)
        try:
            return decode(pyrage.decrypt(stored.content, [identity]))
        except pyrage.DecryptError as error:
            raise StoreError(f"{self._backend.where} is corrupt, or {KEY} belongs to another store") from error
        except ValueError:
            # Not chained: a parser's message may quote what it could not parse.
            raise StoreError(f"{self._backend.where} is corrupt: it does not hold a list of secrets") from None

    @contextmanager
    def changing(self, action: str) -> Iterator[Document]:
        """The document, to be changed in place under the lock; recorded and written at the end if it is another one.

        Args:
            action: what the record calls a change of a secret.

        Raises:
            StoreError: it cannot be read, recorded or written, or its recipients were changed by hand.
        """
        with self.folder.locked():
            self._refuse_moved()
            stored = self._stored()
            document = self._opened(stored) if stored else Document()
            self._refuse_changed_recipients(document)
            before = Document(dict(document.secrets), list(document.recipients))
            yield document
            operations = [*_differences(before, document, action)]
            if operations:
                with self._recorded(document, operations, before.secrets.get(AUDIT_KEY)):
                    self._write(document, stored)
            if document.recipients != before.recipients:
                self._write_recipients(document)

    def record(self, operations: Sequence[Operation]) -> None:
        """Record what was done without a change of the document. Does nothing in a store that is not audited.

        Raises:
            StoreError: it cannot be recorded.
        """
        if self._audited and operations:
            with self.folder.locked():
                self.journal.append(self._read_locked().usable(AUDIT_KEY, self._clock()).value, operations)

    @contextmanager
    def _recorded(self, document: Document, operations: Sequence[Operation], old_key: Entry | None) -> Iterator[None]:
        """Record ``operations`` before what is done within, and that it failed if it does."""
        if not self._audited:
            yield
            return
        if AUDIT_KEY not in document.secrets:
            document.secrets[AUDIT_KEY] = Entry(RandomBytes().make({}), self._clock())
            operations = [*operations, Operation("make", AUDIT_KEY, 1)]
        key = document.secrets[AUDIT_KEY]
        if old_key is None or old_key.value != key.value:
            self.journal.begin(old_key.value if old_key else None, key.value, operations)
        else:
            self.journal.append(key.value, operations)
        try:
            yield
        except StoreError:
            with suppress(StoreError):
                self.journal.append(key.value, [Operation("failed", each.name, each.version) for each in operations])
            raise

    def reset_recipients(self) -> None:
        """Write ``recipients.txt`` again, as the document has it.

        Raises:
            StoreError: the document cannot be read or the file not written.
        """
        with self.folder.locked():
            document = self._read_locked()
            with self._recorded(document, [Operation("reset", RECIPIENTS)], document.secrets.get(AUDIT_KEY)):
                self._write_recipients(document)

    def recover(self, identity: str) -> None:
        """Make a new host key and write the document for it, opening it with an operator's ``identity`` (text).

        A host key that does not open the document is set aside, not deleted.

        Raises:
            StoreError: the host key is in order, the identity does not open the document, or it cannot be written.
        """
        keys = identities(identity)
        with self.folder.locked():
            self._refuse_moved()
            stored = self._backend.load()
            if stored is None:
                raise StoreError(f"{self._backend.where} is missing")
            if self.folder.has(KEY):
                self._refuse_good_key(stored)
            try:
                document = decode(pyrage.decrypt(stored.content, keys))
            except (pyrage.DecryptError, ValueError):
                raise StoreError(f"the identity does not open {self._backend.where}") from None
            with self._recorded(document, [Operation("recover", KEY)], document.secrets.get(AUDIT_KEY)):
                self._write_for_new_key(document, stored)
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

    def _refuse_good_key(self, stored: Stored) -> None:
        try:
            pyrage.decrypt(stored.content, [self._identity(stored)])
        except (pyrage.DecryptError, StoreError):
            return
        raise RefusedError(f"{self.folder.path / KEY} opens the store: there is nothing to recover")

    def _refuse_changed_recipients(self, document: Document) -> None:
        if [recipient.line() for recipient in self.recipients_file()] != document.recipients:
            raise StoreError(
                f"{self.folder.path / RECIPIENTS} is not what the store was written for; write it again with: "
                "./praxis secrets recipients STACK --reset (--add and --remove change it)"
            )

    def _identity(self, stored: Stored | None) -> pyrage.x25519.Identity:
        path = self.folder.path / KEY
        if stored is not None and not self.folder.has(KEY):
            raise StoreError(
                f"{path} is missing: put it back from a backup, or open the store with an operator's key: "
                "./praxis secrets recover STACK --identity FILE"
            )
        try:
            return pyrage.x25519.Identity.from_str(self.folder.read(KEY).decode("ascii").strip())
        except (pyrage.IdentityError, UnicodeDecodeError):
            raise StoreError(f"{path} is corrupt: it does not hold an age identity") from None

    def _stored(self) -> Stored | None:
        """What is to be changed; None for a store that has never been written."""
        stored = self._backend.load()
        if stored is None and self.folder.has(KEY):
            self._read()
        if stored is not None and self.folder.has(PENDING) and not self.folder.has(KEY):
            # A writer was killed between the two: the store was written for this key.
            self.folder.rename(PENDING, KEY)
        return stored

    def _write(self, document: Document, stored: Stored | None) -> None:
        if stored is None:
            self._write_for_new_key(document, stored)
        else:
            self._write_for(document, self._identity(stored), stored)

    def _write_for_new_key(self, document: Document, stored: Stored | None) -> None:
        identity = pyrage.x25519.Identity.generate()
        self.folder.replace(PENDING, f"{identity}\n".encode())
        self._write_for(document, identity, stored)
        if self.folder.has(KEY):
            self.folder.set_aside(KEY, self._clock())
        self.folder.rename(PENDING, KEY)

    def _write_for(self, document: Document, host: pyrage.x25519.Identity, stored: Stored | None) -> None:
        everybody = [host.to_public(), *(parsed(line).age() for line in document.recipients)]
        content = pyrage.encrypt(encode(document, self._clock()), everybody)
        with ExitStack() as laid:
            if self._place is not None:
                # On the disk before anything is saved elsewhere: what can fail for want of room has not failed then.
                laid.enter_context(self.folder.laid_ready(STORE, content))
                laid.enter_context(self.folder.laid_ready(PLACE, self._place.text()))
            self._backend.save(content, stored.version if stored else None)

    def _write_recipients(self, document: Document) -> None:
        self.folder.replace(RECIPIENTS, "".join(f"{line}\n" for line in document.recipients).encode())


def _differences(before: Document, after: Document, action: str) -> Iterator[Operation]:
    for name in sorted(before.secrets.keys() | after.secrets.keys()):
        entry = after.secrets.get(name)
        if entry != before.secrets.get(name):
            yield Operation(action, name, entry.version if entry else 0)
    yield from _gone("add recipient", after.recipients, before.recipients)
    yield from _gone("remove recipient", before.recipients, after.recipients)


def _gone(action: str, some: Iterable[str], others: Sequence[str]) -> Iterator[Operation]:
    yield from (Operation(action, parsed(line).public) for line in some if line not in others)
