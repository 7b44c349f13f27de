"""Takes secret values out of a stream of bytes, however it is cut into chunks. Standard library only."""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MIN_BYTES = 8
"""Shorter values would be found by chance in what is no secret; so would a line of a longer one below LINE_BYTES."""
LINE_BYTES = 16


def forms(value: bytes) -> set[bytes]:
    """``value`` as programs print it: plain, in base64 (alone and amid other data), URL-quoted, escaped for JSON."""
    quoted = {quote(value), quote(value, safe=""), quote_plus(value)}
    found = {value, *_base64_forms(value), *(each.encode() for each in quoted)}
    found |= {each.encode() for each in map(_lower_hex, quoted)}
    try:
        text = value.decode()
    except UnicodeDecodeError:
        pass
    else:
        found |= {json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode() for ascii_only in (True, False)}
    return {each for each in found if len(each) >= MIN_BYTES}


def _base64_forms(value: bytes) -> Iterator[bytes]:
    """In both alphabets. What stands around the value shifts it by 0, 1 or 2 bytes and colours its outer digits: of
    the shifted ones only the digits that are the value's alone count."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(value)
        yield whole
        yield whole.rstrip(b"=")
        for shift in range(3):
            digits = encode(b"\0" * shift + value)
            yield digits[-(-shift * 8 // 6) : (shift + len(value)) * 8 // 6]


def _lower_hex(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return first + "".join(f"%{part[:2].lower()}{part[2:]}" for part in rest)


class Patterns:
    """All forms of some secrets (name and value of each), ready to be searched for.

    A value of several lines (a key in PEM) is searched for as a whole and line by line. ``too_short``: names of values
    that are not searched for.
    """

    def __init__(self, values: Iterable[tuple[str, bytes]]) -> None:
        stripped = sorted((name, value.strip()) for name, value in values)
        self.too_short = tuple(name for name, value in stripped if len(value) < MIN_BYTES)
        self._names: dict[bytes, bytes] = {}
        for name, value in stripped:
            if len(value) >= MIN_BYTES:
                self._add(f"[{name}]".encode(), value)
        self._heads: dict[bytes, list[bytes]] = {}
        for form in self._names:
            self._heads.setdefault(form[:MIN_BYTES], []).append(form)
        self._beginnings = {form[:end] for form in self._names for end in range(1, MIN_BYTES)}
        self._longest = max(map(len, self._names), default=1)

    def _add(self, name: bytes, value: bytes) -> None:
        lines = [line.strip() for line in value.splitlines()] if b"\n" in value else []
        whole = {line for line in lines if len(line) >= LINE_BYTES and not line.startswith(b"-----")}
        for form in forms(value) | whole:
            self._names.setdefault(form, name)

    def matches(self, text: bytes) -> Iterator[tuple[int, int, bytes]]:
        """What stands in ``text``, from left to right, the longest first: (begin, end, what to say instead)."""
        found = [(at, -len(form), form) for form in self._names if (at := text.find(form)) >= 0]
        heapq.heapify(found)
        done = 0
        while found:
            at, _, form = found[0]
            if at >= done:
                done = at + len(form)
                yield at, done, self._names[form]
            at = text.find(form, done)
            if at < 0:
                heapq.heappop(found)
            else:
                heapq.heapreplace(found, (at, -len(form), form))

    def open_end(self, text: bytes, begin: int) -> int:
        """Where, from ``begin`` on, the first form begins that ``text`` breaks off; its length if there is none."""
        size, low = len(text), max(begin, len(text) - self._longest + 1)
        first = size
        for head, longer in self._heads.items():
            at = text.find(head, low, first + MIN_BYTES - 1)
            while at >= 0 and not any(len(form) > size - at and form.startswith(text[at:]) for form in longer):
                at = text.find(head, at + 1, first + MIN_BYTES - 1)
            first = at if 0 <= at < first else first
        if first < size:
            return first
        ends = range(max(low, size - MIN_BYTES + 1), size)
        return next((at for at in ends if text[at:] in self._beginnings), size)


class Redactor:
    """One stream: what goes in comes out, but for the secrets. ``patterns`` may be replaced between two chunks.

    What could be the beginning of a secret is held back until it is known whether it is one; all else comes at once.
    """

    def __init__(self, patterns: Patterns) -> None:
        self.patterns = patterns
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What can be said after ``chunk``."""
        text = self._held + chunk
        return self._said(text, self.patterns.open_end(text, 0))

    def finish(self) -> bytes:
        """The rest: nothing follows any more."""
        return self._said(self._held, len(self._held))

    def _said(self, text: bytes, end: int) -> bytes:
        said, done = [], 0
        for begin, after, name in self.patterns.matches(text):
            if begin >= end:
                break
            said += [text[done:begin], name]
            done = after
            if done > end:
                end = self.patterns.open_end(text, done)
        said.append(text[done:end])
        self._held = text[end:]
        return b"".join(said)
