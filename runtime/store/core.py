"""The store itself: every operation on the secrets of one stack."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.recipes import Recipe
from runtime.store.document import (
    Document,
    Entry,
    Metadata,
    RefusedError,
    State,
    StoreError,
    checked_name,
    checked_value,
    utc_now,
    written,
)
from runtime.store.folder import RECIPIENTS, Folder
from runtime.store.journal import AUDIT_KEY, Operation
from runtime.store.making import Making
from runtime.store.place import Place
from runtime.store.recipients import Recipient, parsed, unwrapped_by_kms
from runtime.store.sealed import Sealed


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
        audited: record each change and each value that is read (:mod:`runtime.store.journal`): the operator's side.
        place: where the encrypted document is kept; the file ``store.age`` in ``folder`` unless given.
        clock: gives the time; for tests.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        audited: bool = False,
        place: Place | None = None,
        clock: Callable[[], datetime.datetime] = utc_now,
    ) -> None:
        self._clock = clock
        self._sealed = Sealed(Folder(Path(folder)), place, clock, audited=audited)
        self._recorded: set[tuple[str, int]] = set()

    def __repr__(self) -> str:
        return f"Store({str(self._sealed.folder.path)!r})"

    def get(self, name: str) -> str:
        """The value of ``name``.

        Raises:
            StoreError: it is missing, expired or revoked, or the store cannot be read.
        """
        return self.accepted(name)[0]

    def accepted(self, name: str) -> tuple[str, ...]:
        """The values of ``name`` that are good now: the present one, and the one before it during their overlap.

        Raises:
            StoreError: it is missing, expired or revoked, or the store cannot be read.
        """
        now = self._clock()
        document = self._sealed.read()
        entry = document.usable(name, now)
        overlap = entry.overlap(now)
        self._was_read(document, (name,))
        return (entry.value, overlap.value) if overlap else (entry.value,)

    def values(self) -> Values:
        """Every usable secret with its value, in one read.

        Raises:
            StoreError: the store cannot be read.
        """
        document = self._sealed.read()
        values = Values(document, self._clock())
        self._was_read(document, values)
        return values

    def _was_read(self, document: Document, names: Iterable[str]) -> None:
        """Record that these values are given out, once for each version in the life of this object."""
        reads = [(name, document.secrets[name].version) for name in names]
        new = [read for read in reads if read not in self._recorded]
        self._sealed.record([Operation("read", *read) for read in new])
        self._recorded.update(new)

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
        return self._sealed.read().metadata(self._clock()) if self._sealed.exists() else {}

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
            RefusedError: the name or the value cannot be stored, or it would have expired already.
            StoreError: the store cannot be read or written.
        """
        self._put(name, value, expires, overlap, must_exist=False)

    def ensure(self, recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
        """Make every secret that is missing, stale, expired or revoked; leave the others as they are.

        Returns:
            The names that were made, sorted; empty when nothing was written.

        Raises:
            StoreError: a recipe needs a secret that is neither stored nor has a recipe (or needs itself), or the
                store cannot be read or written.
        """
        with self._sealed.changing("make") as document:
            making = Making(recipes, document.secrets, self._clock())
            making.all()
        return tuple(sorted(making.made))

    def set_all(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """Give each name its value, in one write; a value that is the present one already is passed over.

        Returns:
            The names that were set, sorted.

        Raises:
            RefusedError: a name or a value cannot be stored; then none was.
            StoreError: the store cannot be read or written.
        """
        now, changed = self._clock(), []
        for name, value in values.items():
            checked_value(checked_name(name), value)
        with self._sealed.changing("import") as document:
            for name, value in values.items():
                old = document.secrets.get(name)
                if old is None or old.state(now) is not State.SET or old.value != value:
                    document.secrets[name] = old.followed_by(value, now) if old else Entry(value, now)
                    changed.append(name)
        return tuple(sorted(changed))

    def replace(
        self,
        name: str,
        value: str,
        *,
        expires: datetime.datetime | None = None,
        overlap: datetime.timedelta | None = None,
    ) -> None:
        """As :meth:`set`, for a secret that is there: rotation of what others issue.

        Raises:
            RefusedError: there is no such secret, or as :meth:`set`.
            StoreError: the store cannot be read or written.
        """
        self._put(name, value, expires, overlap, must_exist=True)

    def rotate(
        self, name: str, recipes: Mapping[str, Recipe], *, overlap: datetime.timedelta | None = None
    ) -> tuple[str, ...]:
        """Make a new value of ``name`` by its recipe, and anew whatever is made from it.

        Returns:
            The names that were made, sorted.

        Raises:
            RefusedError: there is no recipe of this name.
            StoreError: the store cannot be read or written.
        """
        if name not in recipes:
            raise RefusedError(f"secret '{name}' has no recipe: its next value must be given")
        with self._sealed.changing("rotate") as document:
            making = Making(recipes, document.secrets, self._clock())
            making.anew(name, overlap)
        return tuple(sorted(making.made))

    def unfinished(self, name: str) -> bool:
        """Whether the present value of ``name`` came by a rotation that :meth:`applied` did not follow.

        Raises:
            StoreError: the store or the record cannot be read.
        """
        known = self.metadata().get(name)
        lines = [line for line in self.records() if known and (line["name"], line["version"]) == (name, known.version)]
        done = {line["action"] for line in lines}
        return "rotate" in done and "apply" not in done

    def applied(self, names: Iterable[str], *, ended: Iterable[str] = ()) -> None:
        """Record that the present values of ``names`` are in use; the ones before those of ``ended`` are forgotten.

        Raises:
            StoreError: it cannot be recorded.
        """
        with self._sealed.changing("end overlap") as document:
            for name in ended:
                document.secrets[name] = replace(document.secrets[name], previous=None)
        self._sealed.record([Operation("apply", name, document.secrets[name].version) for name in sorted(names)])

    def revoke(self, name: str) -> None:
        """End the use of ``name`` and forget its values. That it was there, and when it was revoked, is kept.

        Raises:
            RefusedError: it is not set, or revoked already.
            StoreError: the store cannot be read or written.
        """
        with self._sealed.changing("revoke") as document:
            entry = document.secrets.get(name)
            if entry is None or entry.revoked is not None:
                known = "is not set" if entry is None else f"was revoked already ({written(entry.revoked)})"
                raise RefusedError(f"secret '{name}' {known}")
            document.secrets[name] = entry.without_value(self._clock())

    def _put(
        self,
        name: str,
        value: str,
        expires: datetime.datetime | None,
        overlap: datetime.timedelta | None,
        *,
        must_exist: bool,
    ) -> None:
        checked_value(checked_name(name), value)
        now = self._clock()
        if expires is not None and expires <= now:
            raise RefusedError(f"secret '{name}' would have expired already ({written(expires)})")
        with self._sealed.changing("rotate" if must_exist else "set") as document:
            old = document.secrets.get(name)
            if old is None and must_exist:
                raise RefusedError(f"secret '{name}' is not set; set it with: ./praxis secrets set STACK {name}")
            document.secrets[name] = (
                old.followed_by(value, now, expires=expires, overlap=overlap) if old else Entry(value, now, 1, expires)
            )

    def delivered(self, names: Iterable[str]) -> None:
        """Record that services were given these secrets; once for each version.

        Raises:
            StoreError: it cannot be recorded.
        """
        document = self._sealed.read()
        known = {(line["name"], line["version"]) for line in self.records() if line["action"] == "deliver"}
        given = [(name, document.secrets[name].version) for name in sorted(names) if name in document.secrets]
        self._sealed.record([Operation("deliver", *each) for each in given if each not in known])

    def records(self) -> list[dict[str, Any]]:
        """What was done with secrets, oldest first: number, time, who, action, name, version.

        Raises:
            StoreError: the record is missing or not private.
        """
        return self._sealed.journal.lines()

    def record_problems(self) -> list[str]:
        """What is wrong with the chain of :meth:`records`; empty if nothing is.

        Raises:
            StoreError: the store or the record cannot be read.
        """
        return self._sealed.journal.problems(self._sealed.read().usable(AUDIT_KEY, self._clock()).value)

    def recipients(self) -> tuple[Recipient, ...]:
        """Who can open the store besides the host.

        Raises:
            StoreError: the store cannot be read.
        """
        return tuple(parsed(line) for line in self._sealed.read().recipients) if self._sealed.exists() else ()

    def add_recipient(self, recipient: Recipient) -> None:
        """Encrypt the store to ``recipient`` too, from now on.

        Raises:
            RefusedError: it is one already.
            StoreError: the store cannot be read or written.
        """
        with self._sealed.changing("set") as document:
            if recipient.public in (parsed(line).public for line in document.recipients):
                raise RefusedError(f"{recipient.public} is a recipient already")
            document.recipients.append(recipient.line())

    def remove_recipient(self, public: str) -> None:
        """Encrypt the store no longer to ``public``. Copies made before can still be opened with it.

        Raises:
            RefusedError: it is none.
            StoreError: the store cannot be read or written.
        """
        with self._sealed.changing("set") as document:
            kept = [line for line in document.recipients if parsed(line).public != public]
            if len(kept) == len(document.recipients):
                raise RefusedError(f"{public} is not a recipient of this store")
            document.recipients[:] = kept

    def reset_recipients(self) -> None:
        """Write ``recipients.txt`` again, as the store knows it.

        Raises:
            StoreError: the store cannot be read or the file not written.
        """
        self._sealed.reset_recipients()

    def move(self, to: Place | None, *, replace: bool = False) -> None:
        """Keep the document at ``to`` from now on (None: in the folder). It was read back; where it was it is left.

        Args:
            to: the new place.
            replace: write over another document there.

        Raises:
            RefusedError: another document is there.
            StoreError: it cannot be read, written or read back; then it stays where it is.
        """
        self._sealed.move(to, replace=replace)

    def recover(self, identity: str) -> None:
        """Give the store a new host key, opening it with an operator's identity (the text of an identity file).

        Raises:
            StoreError: the host key is in order, the identity does not open the store, or it cannot be written.
        """
        self._sealed.recover(identity)

    def recover_by_kms(self) -> None:
        """As :meth:`recover`, with the identity that AWS KMS unwraps.

        Raises:
            StoreError: no recipient is wrapped by KMS, KMS refuses, or as :meth:`recover`.
        """
        wrapped = [recipient for recipient in self._sealed.recipients_file() if recipient.kms_key]
        if not wrapped:
            raise StoreError(f"{self._sealed.folder.path / RECIPIENTS} names no key of AWS KMS")
        self._sealed.recover("\n".join(unwrapped_by_kms(recipient) for recipient in wrapped))
