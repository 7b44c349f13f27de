"""The audit chain: what it is made of and how it is verified. No database, no Pulumi.

An event is one line of canonical JSON (RFC 8785: sorted keys, no white space, here without fractions). Its hash is
SHA-256 over :data:`FORMAT` and that line without ``hash`` and ``signature``; it names the hash of the event before, and
the custodian signs it (Ed25519, RFC 8032) with its own chain key, which the event names as well: ``key`` is the public
key in hex. A ``key-changed`` event, signed with the old key, names the next one. Content is never in an event.

``python -m runtime.chain FILE --key FILE`` verifies an exported chain with nothing but the public key.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from runtime.canonical import canonical

FORMAT = b"praxis-chain-1\n"
"""What is hashed before the event: another format gets another name, and no hash of it can pass for one of these."""
BEGUN, KEY_CHANGED, KEY_CONFIRMED = "begun", "key-changed", "key-confirmed"
SHOWN = 20
"""Findings that are printed; ``--json`` has all."""
_HEX64, _HEX128 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{128}")


class UnreadableError(ValueError):
    """A line that is no event in canonical form; the message says why."""


@dataclass(frozen=True)
class Head:
    """Where a chain ends: the last event's number and hash. All events before it follow from the hash."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> Head:
        """From ``SEQ:HASH``, as :meth:`__str__` writes it.

        Raises:
            ValueError: it is not one.
        """
        seq, _, digest = text.partition(":")
        if not (seq.isascii() and seq.isdigit() and _HEX64.fullmatch(digest)):
            raise ValueError("a head is SEQ:HASH, a number and 64 hex digits")
        return cls(int(seq), digest)

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


START = Head(0, "0" * 64)
"""What the first event follows."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. ``body`` is the canonical JSON text, ``key`` the public key in hex, as are hashes and signature."""

    seq: int
    time: str
    kind: str
    body: str
    previous: str
    key: str
    hash: str = ""
    signature: str = ""

    @property
    def head(self) -> Head:
        """The head of a chain that ends with this event."""
        return Head(self.seq, self.hash)

    def line(self) -> str:
        """The whole event, as it is exported."""
        proof = f'"hash":{_text(self.hash)},"key":{_text(self.key)}'
        return self._joined(proof, f'"signature":{_text(self.signature)},')

    def digest(self) -> str:
        """The hash that the event should have."""
        signed = self._joined(f'"key":{_text(self.key)}', "")
        return hashlib.sha256(FORMAT + signed.encode(errors="backslashreplace")).hexdigest()

    def _joined(self, key: str, signature: str) -> str:
        """The fields in canonical order. ``body`` stands as it is: what is not canonical there, :func:`parse` finds."""
        return (
            f'{{"body":{self.body},{key},"kind":{_text(self.kind)},"previous":{_text(self.previous)},'
            f'"seq":{self.seq},{signature}"time":{_text(self.time)}}}'
        )


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def parse(line: str) -> Event:
    """The event in ``line``, which must be its canonical form to the byte, so that no two readers see different things.

    Raises:
        UnreadableError: it is no event, or not in canonical form.
    """
    try:
        line.encode()
        fields = json.loads(line)
        event = Event(**{**fields, "body": canonical(fields["body"])})
        texts = (event.time, event.kind, event.previous, event.key, event.hash, event.signature)
        well_typed = type(event.seq) is int and all(isinstance(each, str) for each in texts)
        exact = well_typed and isinstance(fields["body"], dict) and event.line() == line
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise UnreadableError(f"no event: {type(error).__name__}") from None
    if not exact:
        raise UnreadableError("not in canonical form")
    return event


@dataclass(frozen=True)
class Draft:
    """An event that is still to be numbered, linked and signed."""

    kind: str
    body: Mapping[str, Any] = field(default_factory=dict)


class Signer:
    """The custodian's chain key. Its representation holds the public half alone."""

    def __init__(self, pem: str) -> None:
        key = load_pem_private_key(pem.encode(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the chain key must be an Ed25519 key")
        self._key = key
        self.public = key.public_key().public_bytes_raw().hex()

    def __repr__(self) -> str:
        return f"Signer({self.public})"

    def append(self, head: Head, draft: Draft, now: datetime | None = None) -> Event:
        """The event that follows ``head``."""
        bare = Event(
            seq=head.seq + 1,
            time=(now or datetime.now(UTC)).isoformat(timespec="microseconds"),
            kind=draft.kind,
            body=canonical(draft.body),
            previous=head.hash,
            key=self.public,
        )
        digest = bare.digest()
        return replace(bare, hash=digest, signature=self._key.sign(bytes.fromhex(digest)).hex())


def public_key(pem: str) -> str:
    """The public key (PEM) as events name it.

    Raises:
        ValueError: it is no Ed25519 public key.
    """
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the chain key must be an Ed25519 key")
    return key.public_bytes_raw().hex()


@lru_cache(maxsize=16)
def _loaded(key: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))


def signed(event: Event) -> bool:
    """Whether the signature is the named key's, over the event's hash."""
    if not (_HEX64.fullmatch(event.hash) and _HEX64.fullmatch(event.key) and _HEX128.fullmatch(event.signature)):
        return False
    try:
        _loaded(event.key).verify(bytes.fromhex(event.signature), bytes.fromhex(event.hash))
    except (InvalidSignature, ValueError):
        return False
    return True


class Problem(StrEnum):
    """What can be wrong with a chain."""

    UNREADABLE = "unreadable"
    CONTENT = "content"
    SIGNATURE = "signature"
    KEY = "key"
    LINK = "link"
    MISSING = "missing"
    ORDER = "order"
    START = "start"
    TRUNCATED = "truncated"
    REPLACED = "replaced"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True)
class Finding:
    """``seq``: the event it is about, or the one that should be there."""

    seq: int
    problem: Problem
    message: str

    def __str__(self) -> str:
        return f"event {self.seq}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """What verifying found. ``head`` is where the events end, and ``keys`` what they name, whether in order or not."""

    events: int
    head: Head
    keys: tuple[str, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Unreadable:
    """Stands in a list of events for a line that is none."""

    why: str


def read(lines: Iterable[str]) -> Iterator[Event | Unreadable]:
    """Each line as an event, or as what could not be read."""
    for line in lines:
        try:
            yield parse(line)
        except UnreadableError as error:
            yield Unreadable(str(error))


class _Walk:
    """One pass over a chain."""

    def __init__(self, public_keys: Collection[str], anchor: Head | None) -> None:
        self.trusted = public_keys
        self.anchor = anchor
        self.head = START
        self.key: str | None = None
        self.vouched = False
        self.keys: dict[str, None] = {}
        self.findings: list[Finding] = []

    def found(self, seq: int, problem: Problem, message: str) -> None:
        self.findings.append(Finding(seq, problem, message))

    def step(self, event: Event | Unreadable) -> None:
        expected = self.head.seq + 1
        if isinstance(event, Unreadable):
            self.found(expected, Problem.UNREADABLE, event.why)
            self.head = Head(expected, "")  # the next one says what this one's hash was
            return
        if event.seq < expected:
            self.found(event.seq, Problem.ORDER, f"stands where {expected} is expected")
        elif event.seq > expected:
            self.found(expected, Problem.MISSING, f"missing, as is all up to {event.seq}, which comes next")
        elif self.head.hash and event.previous != self.head.hash:
            self.found(event.seq, Problem.LINK, "does not follow the event before it: it names another hash")
        self._start(event)
        genuine = self._own(event)
        if event.seq >= expected:
            self.head = event.head
            self._key_after(event, genuine=genuine)
        self._anchored(event)

    def _start(self, event: Event) -> None:
        if (event.kind == BEGUN) != (event.seq == 1):
            what = "a chain begins with 'begun'" if event.seq == 1 else "'begun' in the middle of a chain"
            self.found(event.seq, Problem.START, what)

    def _own(self, event: Event) -> bool:
        """Whether the event is right in itself."""
        if self.key is None:
            self.key = event.key
        before = len(self.findings)
        if event.digest() != event.hash:
            self.found(event.seq, Problem.CONTENT, "its content is not what its hash was made of")
        if not signed(event):
            self.found(event.seq, Problem.SIGNATURE, "the signature is not that of its key over its hash")
        if event.key != self.key:
            self.found(event.seq, Problem.KEY, f"names key {event.key[:16]}; in force is {self.key[:16]}")
            self.key = event.key  # said once
        return len(self.findings) == before

    def _key_after(self, event: Event, *, genuine: bool) -> None:
        self.keys[event.key] = None
        self.vouched = self.vouched or (genuine and event.key in self.trusted)
        if genuine and event.kind == KEY_CHANGED:
            self.key = str(json.loads(event.body).get("public_key", ""))

    def _anchored(self, event: Event) -> None:
        if self.anchor and event.seq == self.anchor.seq and event.hash != self.anchor.hash:
            self.found(event.seq, Problem.REPLACED, "is not the event that was seen here before: its hash is another")

    def end(self) -> None:
        if self.head is START:
            self.found(1, Problem.MISSING, "there is no event at all: every chain has a first one")
        if self.anchor and self.head.seq < self.anchor.seq:
            self.found(self.head.seq + 1, Problem.TRUNCATED, f"missing, as is all up to {self.anchor.seq}, seen before")
        if self.head.seq and not self.vouched:
            self.found(self.head.seq, Problem.UNTRUSTED, "no event up to here is signed with a key that was given")


def verify(events: Iterable[Event | Unreadable], public_keys: Collection[str], *, anchor: Head | None) -> Report:
    """Go through a whole chain, from its first event.

    The current public key is enough: what other keys signed before it is covered by the hashes, and what comes after
    by the ``key-changed`` events.

    Args:
        events: in the order in which they are stored; read once, as they come.
        public_keys: keys that are known from elsewhere (:func:`public_key`).
        anchor: a head of this chain that was seen before, so that a chain that was cut or rolled back is noticed.
    """
    walk, number = _Walk(public_keys, anchor), 0
    for event in events:
        number += 1
        walk.step(event)
    walk.end()
    return Report(events=number, head=walk.head, keys=tuple(walk.keys), findings=tuple(walk.findings))


def lines_of(file: TextIO) -> Iterator[str]:
    """The lines of an export."""
    return (line.removesuffix("\n") for line in file)


def show(report: Report, *, as_json: bool) -> None:
    """Print a report: one line, and the first findings; or all of it as JSON."""
    if as_json:
        print(json.dumps({"in_order": not report.findings, **asdict(report)}, indent=2))
        return
    for finding in report.findings[:SHOWN]:
        print(finding)
    if len(report.findings) > SHOWN:
        print(f"and {len(report.findings) - SHOWN} more findings (--json shows all)")
    verdict = "in order" if not report.findings else f"BROKEN, {len(report.findings)} findings"
    print(f"{report.events} events, head {report.head}: {verdict}")


def main(arguments: list[str] | None = None) -> int:
    """Verify an exported chain: 0 in order, 1 broken, 2 what was given cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m runtime.chain", description="Verify an exported audit chain.")
    parser.add_argument("file", help="JSON lines, as 'praxis audit export' writes them; - is stdin")
    parser.add_argument("--key", action="append", required=True, type=Path, help="public key (PEM); may be repeated")
    parser.add_argument("--head", type=Head.parse, help="SEQ:HASH of an event that the chain must hold")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    chosen = parser.parse_args(arguments)
    try:
        keys = {public_key(path.read_text(encoding="utf-8")) for path in chosen.key}
        source = 0 if chosen.file == "-" else chosen.file
        with open(source, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            report = verify(read(lines_of(file)), keys, anchor=chosen.head)
    except (OSError, ValueError) as error:
        print(f"cannot verify: {error}", file=sys.stderr)
        return 2
    show(report, as_json=chosen.json)
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
