"""The secret store of the operator's side: one file, encrypted with age, that generates what is missing.

In the custody folder of a stack stand ``store.age`` (JSON ``{name: {"value", "created"}}``, encrypted) and
``host.key`` (the X25519 identity that opens it). Keep the two apart in backups: neither is of use alone.

Modes: both files are 0444 and the folder 0755, but its parent is 0700, so nobody else on the host gets near them,
and yet the folder can be mounted read-only into the secrets agent's container, whatever that one's uid. Writes
replace the file in one step under a lock; a store that cannot be read is never written over.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyrage

from runtime.recipes import (
    ALPHANUMERIC,
    LOCAL_NAMES,
    CaCert,
    EcKey,
    Ed25519Key,
    Password,
    PublicKey,
    RandomBytes,
    Recipe,
    ServerCert,
)

__all__ = [
    "ALPHANUMERIC",
    "LOCAL_NAMES",
    "CaCert",
    "EcKey",
    "Ed25519Key",
    "Password",
    "PublicKey",
    "RandomBytes",
    "Recipe",
    "ServerCert",
    "Store",
    "StoreError",
]

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""What a secret may be called: lower case, digits and dashes, as in ``secret://name``."""

MAX_VALUE_BYTES = 65_536

_STORE, _KEY = "store.age", "host.key"


class StoreError(Exception):
    """The store cannot do what was asked; the message names the file or the secret, never a value."""


@dataclass(frozen=True, repr=False)
class _Entry:
    value: str
    created: str


class Store:
    """The secrets of one stack.

    Every call reads the file anew, so several processes may use one store. Constructing it does no I/O.

    Args:
        folder: the custody folder; it is made by the first write, with its parent.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)

    def __repr__(self) -> str:
        return f"Store({str(self._folder)!r})"

    def get(self, name: str) -> str:
        """The value of ``name``.

        Raises:
            StoreError: there is no such secret, or the store cannot be read.
        """
        return self._entry(self._read(), name).value

    def values(self) -> dict[str, str]:
        """Every name with its value, in one read.

        Raises:
            StoreError: the store cannot be read.
        """
        return {name: entry.value for name, entry in self._read().items()}

    def names(self) -> dict[str, str]:
        """Every name with the time at which its value was made (ISO 8601, UTC), sorted; empty without a store.

        Raises:
            StoreError: the store cannot be read.
        """
        if not self._exists():
            return {}
        return {name: entry.created for name, entry in sorted(self._read().items())}

    def set(self, name: str, value: str) -> None:
        """Give ``name`` a value, whether or not it had one.

        Raises:
            StoreError: the name or the value cannot be stored, or the store cannot be read or written.
        """
        with self._locked():
            entries = self._read_or_new()
            entries[_checked_name(name)] = _entry(name, value)
            self._write(entries)

    def ensure(self, recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
        """Make every secret that is missing or stale; leave the others as they are.

        Returns:
            The names that were made, sorted; empty when nothing was written.

        Raises:
            StoreError: a recipe needs a secret that is neither stored nor has a recipe (or needs itself), or the
                store cannot be read or written.
        """
        with self._locked():
            entries = self._read_or_new()
            made: set[str] = set()
            done: set[str] = set()
            for name in recipes:
                _make(_checked_name(name), recipes, entries, made, done, ())
            if made:
                self._write(entries)
            return tuple(sorted(made))

    def _exists(self) -> bool:
        try:
            return (self._folder / _STORE).exists() or (self._folder / _KEY).exists()
        except PermissionError as error:
            raise StoreError(f"no permission to look into {self._folder}") from error

    def _entry(self, entries: Mapping[str, _Entry], name: str) -> _Entry:
        if name not in entries:
            raise StoreError(f"secret '{name}' is not set in {self._folder / _STORE}")
        return entries[name]

    def _read_or_new(self) -> dict[str, _Entry]:
        return self._read() if (self._folder / _STORE).exists() else {}

    def _read(self) -> dict[str, _Entry]:
        path = self._folder / _STORE
        identity = self._identity()
        try:
            payload = json.loads(pyrage.decrypt(_bytes(path), [identity]))
            return {name: _Entry(item["value"], item["created"]) for name, item in payload.items()}
        except pyrage.DecryptError as error:
            raise StoreError(f"{path} is corrupt, or {_KEY} beside it belongs to another store") from error
        except (ValueError, TypeError, KeyError, AttributeError):
            # Not chained: a parser's message may quote what it could not parse.
            raise StoreError(f"{path} is corrupt: it does not hold a list of secrets") from None

    def _identity(self) -> pyrage.x25519.Identity:
        path = self._folder / _KEY
        try:
            return pyrage.x25519.Identity.from_str(_bytes(path).decode("ascii").strip())
        except (pyrage.IdentityError, UnicodeDecodeError):
            raise StoreError(f"{path} is corrupt: it does not hold an age identity") from None

    def _write(self, entries: Mapping[str, _Entry]) -> None:
        if not (self._folder / _KEY).exists():
            if (self._folder / _STORE).exists():
                raise StoreError(f"{self._folder / _KEY} is missing, so {_STORE} beside it cannot be opened")
            self._replace(_KEY, f"{pyrage.x25519.Identity.generate()}\n".encode())
        payload = {name: {"value": entry.value, "created": entry.created} for name, entry in sorted(entries.items())}
        recipient = self._identity().to_public()
        self._replace(_STORE, pyrage.encrypt(json.dumps(payload).encode(), [recipient]))

    def _replace(self, name: str, content: bytes) -> None:
        """Put ``content`` in place in one step, on the disk before the old one goes."""
        partial = self._folder / f".{name}.{secrets.token_hex(4)}"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o444)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self._folder / name)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreError(f"cannot write {self._folder / name}: {error.strerror}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock; other writers wait. What a killed writer left behind is cleared away."""
        parent = self._folder.parent
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o755, exist_ok=True)
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise StoreError(f"cannot use {self._folder}: {error.strerror}") from error
        try:
            if parent.stat().st_mode & 0o077:
                raise StoreError(f"others on this machine can look into {parent}: run 'chmod 700 {parent}'")
            os.fchmod(descriptor, 0o755)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            for left in (*self._folder.glob(f".{_STORE}.*"), *self._folder.glob(f".{_KEY}.*")):
                left.unlink()
            yield
            os.fsync(descriptor)
        except PermissionError as error:
            raise StoreError(f"no permission to change {self._folder}") from error
        finally:
            os.close(descriptor)


def _make(
    name: str,
    recipes: Mapping[str, Recipe],
    entries: dict[str, _Entry],
    made: set[str],
    done: set[str],
    path: tuple[str, ...],
) -> None:
    """Make ``name`` after what it needs, unless it is there and good."""
    if name in done:
        return
    if name in path:
        raise StoreError(f"secret '{name}' needs itself: {' -> '.join((*path, name))}")
    recipe = recipes.get(name)
    if recipe is None:
        if name not in entries:
            raise StoreError(f"secret '{path[-1]}' is made from '{name}', which is not set and has no recipe")
        return
    for need in recipe.needs:
        _make(need, recipes, entries, made, done, (*path, name))
    values = {need: entries[need].value for need in recipe.needs}
    if name not in entries or _stale(name, recipe, entries[name].value, values):
        entries[name] = _entry(name, recipe.make(values))
        made.add(name)
    done.add(name)


def _stale(name: str, recipe: Recipe, value: str, values: Mapping[str, str]) -> bool:
    try:
        return recipe.stale(value, values)
    except ValueError:
        raise StoreError(f"secret '{name}' or one it is made from does not hold what its recipe makes") from None


def _entry(name: str, value: str) -> _Entry:
    if not value or "\0" in value:
        raise StoreError(f"secret '{name}' must be text that is neither empty nor holds a NUL")
    if len(value.encode()) > MAX_VALUE_BYTES:
        raise StoreError(f"secret '{name}' is larger than {MAX_VALUE_BYTES} bytes")
    return _Entry(value, datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise StoreError(f"'{name}' cannot name a secret: lower case, digits and dashes, at most 63 characters")
    return name


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except PermissionError:
        raise StoreError(f"no permission to read {path}") from None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
