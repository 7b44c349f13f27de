"""The store itself: every operation on the secrets of one stack."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyrage

from runtime.recipes import Recipe
from runtime.store.document import (
    Document,
    Entry,
    Metadata,
    State,
    StoreError,
    checked_name,
    checked_value,
    decode,
    encode,
    utc_now,
    written,
)
from runtime.store.folder import KEY, STORE, Folder
from runtime.store.making import Making


class Values(dict[str, str]):
    """Usable values by name. Asking for another name raises the :class:`StoreError` that says why it has none."""

    def __init__(self, document: Document, now: datetime.datetime) -> None:
        super().__init__((n, e.value) for n, e in document.secrets.items() if e.state(now) is State.SET)
        self._document, self._now = document, now

    def __missing__(self, name: str) -> str:
        return self._document.usable(name, self._now).value

    def __repr__(self) -> str:
        return f"Values of {', '.join(self) or 'nothing'}"


class Store:
    """The secrets of one stack.

    Every call reads the file anew, so several processes may use one store. Constructing it does no I/O.

    Args:
        folder: the custody folder; it is made by the first write, with its parent.
        clock: gives the time; for tests.
    """

    def __init__(self, folder: Path | str, *, clock: Callable[[], datetime.datetime] = utc_now) -> None:
        self._folder = Folder(Path(folder))
        self._clock = clock

    def __repr__(self) -> str:
        return f"Store({str(self._folder.path)!r})"

    def get(self, name: str) -> str:
        """The value of ``name``.

        Raises:
            StoreError: it is missing, expired or revoked, or the store cannot be read.
        """
        return self._read().usable(name, self._clock()).value

    def accepted(self, name: str) -> tuple[str, ...]:
        """The values of ``name`` that are good now: the present one, and the one before it during their overlap.

        Raises:
            StoreError: it is missing, expired or revoked, or the store cannot be read.
        """
        now = self._clock()
        entry = self._read().usable(name, now)
        overlap = entry.overlap(now)
        return (entry.value, overlap.value) if overlap else (entry.value,)

    def values(self) -> Values:
        """Every usable secret with its value, in one read.

        Raises:
            StoreError: the store cannot be read.
        """
        return Values(self._read(), self._clock())

    def names(self) -> dict[str, str]:
        """Every name with the time at which its value was made (ISO 8601, UTC), sorted; empty without a store.

        Raises:
            StoreError: the store cannot be read.
        """
        return {name: written(entry.created) for name, entry in self.metadata().items()}

    def metadata(self) -> dict[str, Metadata]:
        """What may be shown of each secret, sorted by name; empty without a store.

        Raises:
            StoreError: the store cannot be read.
        """
        if not self._folder.has(STORE) and not self._folder.has(KEY):
            return {}
        return self._read().metadata(self._clock())

    def set(
        self,
        name: str,
        value: str,
        *,
        expires: datetime.datetime | None = None,
        overlap: datetime.timedelta | None = None,
    ) -> None:
        """Give ``name`` a value, whether or not it had one.

        Args:
            name: what it is called.
            value: its value.
            expires: when it stops being good.
            overlap: how long the value before it stays good as well.

        Raises:
            StoreError: the name or the value cannot be stored, or the store cannot be read or written.
        """
        checked_value(checked_name(name), value)
        now = self._clock()
        if expires is not None and expires <= now:
            raise StoreError(f"secret '{name}' would have expired already ({written(expires)})")
        with self._changing() as document:
            old = document.secrets.get(name)
            document.secrets[name] = (
                old.followed_by(value, now, expires=expires, overlap=overlap) if old else Entry(value, now, 1, expires)
            )

    def ensure(self, recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
        """Make every secret that is missing, stale, expired or revoked; leave the others as they are.

        Returns:
            The names that were made, sorted; empty when nothing was written.

        Raises:
            StoreError: a recipe needs a secret that is neither stored nor has a recipe (or needs itself), or the
                store cannot be read or written.
        """
        with self._changing() as document:
            making = Making(recipes, document.secrets, self._clock())
            making.all()
        return tuple(sorted(making.made))

    def rotate(
        self, name: str, recipes: Mapping[str, Recipe], *, overlap: datetime.timedelta | None = None
    ) -> tuple[str, ...]:
        """Make a new value of ``name`` by its recipe, and anew whatever is made from it.

        Returns:
            The names that were made, sorted.

        Raises:
            StoreError: there is no recipe of this name, or the store cannot be read or written.
        """
        if name not in recipes:
            raise StoreError(f"secret '{name}' has no recipe: its next value must be given")
        with self._changing() as document:
            making = Making(recipes, document.secrets, self._clock())
            making.anew(name, overlap)
        return tuple(sorted(making.made))

    def revoke(self, name: str) -> None:
        """End the use of ``name`` and forget its values. That it was there, and when it was revoked, is kept.

        Raises:
            StoreError: it is not set or revoked already, or the store cannot be read or written.
        """
        now = self._clock()
        with self._changing() as document:
            entry = document.secrets.get(name)
            if entry is None or entry.revoked is not None:
                document.usable(name, now)
            else:
                document.secrets[name] = entry.without_value(now)

    @contextmanager
    def _changing(self) -> Iterator[Document]:
        """The document, to be changed in place under the lock; written at the end if it is another one."""
        with self._folder.locked():
            document = self._read() if self._folder.has(STORE) else Document()
            before = dict(document.secrets)
            yield document
            if document.secrets != before:
                self._write(document)

    def _read(self) -> Document:
        path = self._folder.path / STORE
        identity = self._identity()
        try:
            return decode(pyrage.decrypt(self._folder.read(STORE), [identity]))
        except pyrage.DecryptError as error:
            raise StoreError(f"{path} is corrupt, or {KEY} beside it belongs to another store") from error
        except ValueError:
            # Not chained: a parser's message may quote what it could not parse.
            raise StoreError(f"{path} is corrupt: it does not hold a list of secrets") from None

    def _identity(self) -> pyrage.x25519.Identity:
        try:
            return pyrage.x25519.Identity.from_str(self._folder.read(KEY).decode("ascii").strip())
        except (pyrage.IdentityError, UnicodeDecodeError):
            raise StoreError(f"{self._folder.path / KEY} is corrupt: it does not hold an age identity") from None

    def _write(self, document: Document) -> None:
        if not self._folder.has(KEY):
            if self._folder.has(STORE):
                raise StoreError(f"{self._folder.path / KEY} is missing, so {STORE} beside it cannot be opened")
            self._folder.replace(KEY, f"{pyrage.x25519.Identity.generate()}\n".encode())
        recipient = self._identity().to_public()
        self._folder.replace(STORE, pyrage.encrypt(encode(document, self._clock()), [recipient]))
