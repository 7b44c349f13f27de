"""The record of what was done with secrets: ``audit.jsonl`` beside the store, one line an operation, never a value.

Each line carries an HMAC over itself and the line before it, under a key that is in the store, so a line that was
changed, added or taken out shows. ``audit.head`` holds an HMAC over the newest line, so that lines missing at the end
show too. Whoever can open the store can write a new chain: copy the file elsewhere if that is who you fear.

A line is written before what it says is done. What then fails has a second line that says so.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import os
import pwd
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from runtime.store.document import StoreError, written
from runtime.store.folder import AUDIT, HEAD, Folder

AUDIT_KEY = "secrets-audit-key"
"""The secret under which lines are chained. A new value of it begins a new file."""

_FIX = f"put it back from a backup, or begin a new one: ./praxis secrets rotate STACK {AUDIT_KEY}"
_TAIL_BYTES = 16_384


@dataclass(frozen=True)
class Operation:
    """What was done (``set``, ``read`` …) with which secret, in which version."""

    action: str
    name: str
    version: int = 0
    more: dict[str, Any] = field(default_factory=dict)


def operator() -> str:
    """Who is at work: whoever called sudo, or the user of this process."""
    if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


class Journal:
    """The audit file of one custody folder. Everything that writes needs the folder's lock."""

    def __init__(self, folder: Folder, clock: Callable[[], datetime.datetime]) -> None:
        self._folder = folder
        self._clock = clock
        self._path = folder.path / AUDIT

    def append(self, key: str, operations: Sequence[Operation]) -> None:
        """Add a line for each operation, on the disk when this returns.

        Raises:
            StoreError: the file is missing, damaged, not private, or cannot be written; then no line was added.
        """
        with self._opened(os.O_RDWR | os.O_APPEND) as descriptor:
            size, seq, mac = self._end(descriptor, key)
            self._add(descriptor, size, _chained(key, seq, mac, [self._fields(each) for each in operations]), key)

    def begin(self, old_key: str | None, key: str, operations: Sequence[Operation]) -> None:
        """Begin a new file. One that is there is set aside; its digest and state are in the first line.

        Raises:
            StoreError: the file cannot be set aside or written.
        """
        earlier = self._set_aside(old_key)
        first = {**self._fields(operations[0]), **({"earlier": earlier} if earlier else {})}
        with self._opened(os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL) as descriptor:
            self._folder.give_to_owner(descriptor)
            lines = _chained(key, 0, "", [first, *(self._fields(each) for each in operations[1:])])
            self._add(descriptor, 0, lines, key)

    def lines(self) -> list[dict[str, Any]]:
        """Every line that can be read, oldest first.

        Raises:
            StoreError: the file is missing or not private.
        """
        return [fields for fields in map(_parsed, self._raw()) if fields is not None]

    def problems(self, key: str) -> list[str]:
        """What is wrong with the chain; empty if nothing is.

        Raises:
            StoreError: the file is not private, or cannot be read.
        """
        if not self._folder.has(AUDIT):
            return [f"{self._path} is missing: {_FIX}"]
        found, seq, mac = [], 0, ""
        raw = self._raw()
        for number, line in enumerate(raw, start=1):
            fields = _parsed(line)
            if fields is None:
                found.append(f"line {number} is no record")
                continue
            if fields["seq"] != seq + 1:
                found.append(f"line {number} has number {fields['seq']} after {seq}: lines are missing or were added")
            if not hmac.compare_digest(_line(key, mac, fields), line):
                found.append(f"line {number} was changed, or the line before it is not the one it followed")
            seq, mac = fields["seq"], fields["mac"]
        if not self._covered(key, raw):
            found.append("lines are missing at the end")
        return found

    def _fields(self, operation: Operation) -> dict[str, Any]:
        return {
            "time": written(self._clock()),
            "who": operator(),
            "action": operation.action,
            "name": operation.name,
            "version": operation.version,
            **operation.more,
        }

    def _set_aside(self, old_key: str | None) -> dict[str, Any] | None:
        if not self._folder.has(AUDIT):
            return {"file": None, "intact": False} if old_key else None
        intact = old_key is not None and not self.problems(old_key)
        with self._opened(os.O_RDONLY) as descriptor:
            digest = hashlib.sha256(_content(descriptor)).hexdigest()
        aside = self._folder.set_aside(AUDIT, self._clock())
        if self._folder.has(HEAD):
            self._folder.set_aside(HEAD, self._clock())
        return {"file": aside, "sha256": digest, "intact": intact}

    def _raw(self) -> list[bytes]:
        """The lines; what stands after the last line end is of a writer that was killed, and was never done."""
        with self._opened(os.O_RDONLY) as descriptor:
            return _content(descriptor).split(b"\n")[:-1]

    def _end(self, descriptor: int, key: str) -> tuple[int, int, str]:
        """Size up to the last whole line, and that line's number and HMAC."""
        size = os.fstat(descriptor).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = os.pread(descriptor, size - start, start)
        whole = tail.rfind(b"\n") + 1
        lines = tail[:whole].split(b"\n")[:-1]
        fields = _parsed(lines[-1]) if lines else None
        if fields is None:
            raise StoreError(f"{self._path} is damaged at its end: {_FIX}")
        if not self._covered(key, lines[-1:]) and not self._covered(key, self._raw()):
            raise StoreError(f"lines are missing at the end of {self._path}: {_FIX}")
        return start + whole, fields["seq"], fields["mac"]

    def _covered(self, key: str, lines: Sequence[bytes]) -> bool:
        """Whether the head is that of one of ``lines``; a writer that was killed may have added some after it."""
        if not self._folder.has(HEAD):
            return False
        head = self._folder.read(HEAD)
        for line in reversed(lines):
            fields = _parsed(line)
            if fields is not None and hmac.compare_digest(_head(key, fields), head):
                return True
        return False

    def _add(self, descriptor: int, size: int, lines: Sequence[bytes], key: str) -> None:
        """Write ``lines`` after the first ``size`` bytes, and the head; all of it or nothing."""
        try:
            os.ftruncate(descriptor, size)
            rest = b"".join(line + b"\n" for line in lines)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
            self._folder.replace(HEAD, _head(key, json.loads(lines[-1])), 0o600)
        except OSError as error:
            os.ftruncate(descriptor, size)
            raise StoreError(f"cannot write {self._path}: {error.strerror}; nothing was changed") from error
        except StoreError:
            os.ftruncate(descriptor, size)
            raise

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        try:
            descriptor = os.open(self._path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            raise StoreError(f"{self._path} is missing: {_FIX}") from None
        except OSError as error:
            raise StoreError(f"cannot open {self._path}: {error.strerror}") from error
        try:
            if os.fstat(descriptor).st_mode & 0o077:
                raise StoreError(f"others on this machine can read {self._path}: run 'chmod 600 {self._path}'")
            yield descriptor
        finally:
            os.close(descriptor)


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _chained(key: str, seq: int, mac: str, operations: Sequence[dict[str, Any]]) -> list[bytes]:
    lines = []
    for number, fields in enumerate(operations, start=seq + 1):
        line = _line(key, mac, {"seq": number, **fields})
        mac = json.loads(line)["mac"]
        lines.append(line)
    return lines


def _line(key: str, before: str, fields: dict[str, Any]) -> bytes:
    """The line that ``fields`` make after a line whose HMAC is ``before``."""
    plain = {name: value for name, value in fields.items() if name != "mac"}
    mac = _hmac(key, f"line\0{before}\0{json.dumps(plain, sort_keys=True)}")
    return json.dumps({**plain, "mac": mac}).encode()


def _head(key: str, fields: dict[str, Any]) -> bytes:
    return _hmac(key, f"head\0{fields['seq']}\0{fields['mac']}").encode()


def _hmac(key: str, text: str) -> str:
    return hmac.new(key.encode(), text.encode(errors="surrogatepass"), hashlib.sha256).hexdigest()


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
        if isinstance(fields["seq"], int) and isinstance(fields["mac"], str):
            return dict(fields)
    except (ValueError, KeyError, TypeError):
        pass
    return None
