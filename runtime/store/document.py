"""What a store holds, opened: entries with what is known of them, and the JSON in which they are encrypted.

Nothing here does I/O or needs a key. Two forms are read: the present one (``{"format": 2, "secrets": {…}}``) and
the first one (``{name: {"value", "created"}}``); the present one is written.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

FORMAT = 2
NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""What a secret may be called: lower case, digits and dashes, as in ``secret://name``."""

MAX_VALUE_BYTES = 65_536


class StoreError(Exception):
    """The store cannot do what was asked; the message names the file or the secret, never a value."""


class RefusedError(StoreError):
    """What was asked makes no sense, whatever state the store is in: a name, a value, a recipient."""


class State(StrEnum):
    """Whether a secret may be used."""

    SET = "set"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, repr=False)
class Previous:
    """The value before the present one, which stays good until ``until``."""

    value: str
    until: datetime.datetime


@dataclass(frozen=True, repr=False)
class Entry:
    """One secret. ``created`` is when this ``value`` was made; a revoked one has no value any more."""

    value: str
    created: datetime.datetime
    version: int = 1
    expires: datetime.datetime | None = None
    revoked: datetime.datetime | None = None
    previous: Previous | None = None

    def state(self, now: datetime.datetime) -> State:
        """Whether it may be used at ``now``."""
        if self.revoked is not None:
            return State.REVOKED
        return State.EXPIRED if self.expires is not None and self.expires <= now else State.SET

    def overlap(self, now: datetime.datetime) -> Previous | None:
        """The previous value, while it is good."""
        return self.previous if self.previous is not None and self.previous.until > now else None

    def followed_by(
        self,
        value: str,
        now: datetime.datetime,
        *,
        expires: datetime.datetime | None = None,
        overlap: datetime.timedelta | None = None,
    ) -> Entry:
        """The next version. With ``overlap`` this one's value stays good for so long, if it is good now."""
        previous = None
        if overlap and self.state(now) is State.SET and value != self.value:
            until = now + overlap
            previous = Previous(self.value, min(until, self.expires) if self.expires else until)
        return Entry(value, now, self.version + 1, expires, None, previous)

    def without_value(self, now: datetime.datetime) -> Entry:
        """This entry, revoked: neither its value nor the previous one is kept."""
        return replace(self, value="", revoked=now, previous=None)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What may be shown of a secret. ``overlap_until``: until when the value before this one is good as well."""

    name: str
    version: int
    created: datetime.datetime
    expires: datetime.datetime | None
    revoked: datetime.datetime | None
    overlap_until: datetime.datetime | None
    state: State


@dataclass(frozen=True, repr=False)
class Document:
    """All entries by name, and the lines of recipients that it was encrypted to."""

    secrets: dict[str, Entry] = field(default_factory=dict)
    recipients: list[str] = field(default_factory=list)

    def usable(self, name: str, now: datetime.datetime) -> Entry:
        """The entry ``name``.

        Raises:
            StoreError: it is missing, expired or revoked.
        """
        fix = f"set it with: ./praxis secrets set STACK {name}"
        entry = self.secrets.get(name)
        if entry is None:
            raise StoreError(f"secret '{name}' is not set; {fix}")
        state = entry.state(now)
        if state is not State.SET:
            moment = entry.revoked if state is State.REVOKED else entry.expires
            how = "was revoked" if state is State.REVOKED else "has expired"
            raise StoreError(f"secret '{name}' {how} ({written(moment)}); {fix}")
        return entry

    def metadata(self, now: datetime.datetime) -> dict[str, Metadata]:
        """What may be shown of each entry, sorted by name."""
        return {name: _metadata(name, entry, now) for name, entry in sorted(self.secrets.items())}


def _metadata(name: str, entry: Entry, now: datetime.datetime) -> Metadata:
    overlap = entry.overlap(now)
    return Metadata(
        name=name,
        version=entry.version,
        created=entry.created,
        expires=entry.expires,
        revoked=entry.revoked,
        overlap_until=overlap.until if overlap else None,
        state=entry.state(now),
    )


def utc_now() -> datetime.datetime:
    """Now, to the second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def written(moment: datetime.datetime | None) -> str:
    """ISO 8601 with the offset; empty for no moment."""
    return "" if moment is None else moment.isoformat(timespec="seconds")


def checked_name(name: str) -> str:
    """``name``, if a secret can be called so.

    Raises:
        RefusedError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise RefusedError(f"'{name}' cannot name a secret: lower case, digits and dashes, at most 63 characters")
    return name


def checked_value(name: str, value: str) -> str:
    """``value``, if it can be stored.

    Raises:
        RefusedError: it is empty, too large, or no text that a file or a variable can hold.
    """
    if not value or "\0" in value:
        raise RefusedError(f"secret '{name}' must be text that is neither empty nor holds a NUL")
    if len(value.encode()) > MAX_VALUE_BYTES:
        raise RefusedError(f"secret '{name}' is larger than {MAX_VALUE_BYTES} bytes")
    return value


def encode(document: Document, now: datetime.datetime) -> bytes:
    """The JSON of ``document``. Previous values whose overlap has ended are left out: they are gone from then on."""
    secrets = {name: _plain(entry, now) for name, entry in sorted(document.secrets.items())}
    return json.dumps({"format": FORMAT, "recipients": document.recipients, "secrets": secrets}).encode()


def _plain(entry: Entry, now: datetime.datetime) -> dict[str, Any]:
    plain: dict[str, Any] = {"value": entry.value, "created": written(entry.created), "version": entry.version}
    if entry.expires is not None:
        plain["expires"] = written(entry.expires)
    if entry.revoked is not None:
        plain["revoked"] = written(entry.revoked)
    previous = entry.overlap(now)
    if previous is not None:
        plain["previous"] = {"value": previous.value, "until": written(previous.until)}
    return plain


def decode(payload: bytes) -> Document:
    """The document that :func:`encode` or an older version made into ``payload``.

    Raises:
        ValueError: it is not one. The message may quote it: say something else.
    """
    try:
        plain = json.loads(payload)
        if not isinstance(plain.get("format"), int):
            return Document({name: _entry(item) for name, item in plain.items()})
        if plain["format"] != FORMAT:
            raise ValueError("of a later version")
        secrets = {name: _entry(item) for name, item in plain["secrets"].items()}
        return Document(secrets, [str(line) for line in plain.get("recipients", [])])
    except (TypeError, KeyError, AttributeError):
        raise ValueError("not a list of secrets") from None


def _entry(plain: Mapping[str, Any]) -> Entry:
    previous = plain.get("previous")
    if not isinstance(plain["value"], str):
        raise TypeError("a value must be text")
    return Entry(
        value=plain["value"],
        created=datetime.datetime.fromisoformat(plain["created"]),
        version=int(plain.get("version", 1)),
        expires=_moment(plain.get("expires")),
        revoked=_moment(plain.get("revoked")),
        previous=Previous(previous["value"], datetime.datetime.fromisoformat(previous["until"])) if previous else None,
    )


def _moment(text: str | None) -> datetime.datetime | None:
    return None if text is None else datetime.datetime.fromisoformat(text)
