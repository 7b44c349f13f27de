"""The custody folder on the host's disk: its lock, its permissions, and files that are replaced in one step."""

from __future__ import annotations

import datetime
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runtime.store.document import StoreError

STORE, KEY, RECIPIENTS = "store.age", "host.key", "recipients.txt"
PENDING = "host.key.new"
"""A new host key until the store is written for it."""
AUDIT, HEAD = "audit.jsonl", "audit.head"
PLACE = "place.json"
"""Where the document is kept, when ``store.age`` is a copy of it (:mod:`runtime.store.place`)."""
_REPLACED = (STORE, PENDING, RECIPIENTS, HEAD, PLACE)


class Folder:
    """The files of one custody folder. Constructing it does no I/O."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def has(self, name: str) -> bool:
        """Whether there is such a file.

        Raises:
            StoreError: the folder may not be looked into.
        """
        try:
            return (self.path / name).exists()
        except PermissionError as error:
            raise StoreError(f"no permission to look into {self.path}") from error

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            StoreError: it is missing or unreadable, or others could have changed it.
        """
        path = self.path / name
        try:
            self._refuse_others()
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o022:
                    raise StoreError(f"others on this machine can change {path}: run 'chmod 444 {path}'")
                return file.read()
        except FileNotFoundError:
            raise StoreError(f"{path} is missing") from None
        except PermissionError:
            raise StoreError(f"no permission to read {path}") from None
        except OSError as error:
            raise StoreError(f"cannot read {path}: {error.strerror}") from error

    def _refuse_others(self) -> None:
        """Others may neither change the folder nor, on the owner's side, look into its parent."""
        own = self.path.stat()
        if own.st_mode & 0o022:
            raise StoreError(f"others on this machine can change {self.path}: run 'chmod 755 {self.path}'")
        parent = self.path.parent
        # Mounted into the agent's container the folder has another parent, and an owner who is not the agent.
        if own.st_uid == os.geteuid() and parent.stat().st_mode & 0o077:
            raise StoreError(f"others on this machine can look into {parent}: run 'chmod 700 {parent}'")

    def replace(self, name: str, content: bytes, mode: int = 0o444) -> None:
        """Put ``content`` in place in one step, on the disk before the old one goes.

        Raises:
            StoreError: it cannot be written; then the old one is still there.
        """
        with self.laid_ready(name, content, mode):
            pass

    @contextmanager
    def laid_ready(self, name: str, content: bytes, mode: int = 0o444) -> Iterator[None]:
        """As :meth:`replace`, but first do what is within: once ``content`` is on the disk, before it is in place.

        Raises:
            StoreError: it cannot be written; then nothing within was done, and the old one is still there.
        """
        partial = self.path / f".{name}.{secrets.token_hex(4)}"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), mode)
                self.give_to_owner(file.fileno())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(f"cannot write {self.path / name}: {error.strerror}; nothing was changed") from error
        try:
            yield
            self.rename(partial.name, name)
        finally:
            partial.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Take a file away, if it is there.

        Raises:
            StoreError: it cannot be taken away.
        """
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot delete {self.path / name}: {error.strerror}") from error

    def rename(self, name: str, to: str) -> None:
        """Call the file ``name`` from now on ``to``.

        Raises:
            StoreError: it cannot be renamed; nothing was changed.
        """
        try:
            (self.path / name).rename(self.path / to)
        except OSError as error:
            raise StoreError(f"cannot rename {self.path / name} to {to}: {error.strerror}") from error

    def set_aside(self, name: str, now: datetime.datetime) -> str:
        """Rename a file that is of no use any more but must not be lost; returns its new name.

        Raises:
            StoreError: it cannot be renamed.
        """
        aside = f"{name}.old-{now:%Y%m%dT%H%M%SZ}"
        while (self.path / aside).exists():
            aside += "-again"
        self.rename(name, aside)
        return aside

    def give_to_owner(self, descriptor: int) -> None:
        """What root writes into the folder of somebody else must stay that one's to write."""
        if os.geteuid() == 0:
            owner = self.path.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock; other writers wait. What a killed writer left behind is cleared away.

        Raises:
            StoreError: the folder cannot be made or used, or others could look into it or change it.
        """
        parent = self.path.parent
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make()
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise StoreError(f"cannot use {self.path}: {error.strerror}") from error
        try:
            if parent.stat().st_mode & 0o077:
                raise StoreError(f"others on this machine can look into {parent}: run 'chmod 700 {parent}'")
            self._refuse_others()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for name in _REPLACED:
                for left in self.path.glob(f".{name}.*"):
                    left.unlink()
            yield
            os.fsync(descriptor)
        except PermissionError as error:
            raise StoreError(f"no permission to change {self.path}") from error
        finally:
            os.close(descriptor)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o755)
        except FileExistsError:
            return
        self.path.chmod(0o755)  # whatever the umask: the agent's uid must get in
