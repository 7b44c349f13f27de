"""A copy of a text in which cheap disguises are undone, and the way back to the original's offsets.

The copy has one character below U+0100 for each character of the original, so it can be scanned as bytes and judged as
text with the same offsets. Undone are: compatibility forms of ASCII characters and digits of other scripts (Unicode
NFKC and ``Nd``), dashes and spaces of all kinds, characters that have no width, and the escapes of JSON inside a
string (``\\u0034``, and ``\\n`` whose letter would otherwise join the word that follows).
"""

from __future__ import annotations

import re
import sys
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, field

OTHER = "\xff"
"""Stands for any character that has no ASCII counterpart."""

_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\U000e0000-\U000e0fff"
)
"""Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt), without the unassigned ranges, as a class."""

_ODD = re.compile(rf"(?<!\\)(?:\\++(?:u[0-9a-fA-F]{{4}}|[bf\"/])|\\{{2}}\\*+[nrt])|[{_INVISIBLE}]+")
_ONE_MARK = bytes(0xFF if code >= 0x80 or code == ord("?") else code or ord("?") for code in range(256))
"""From Latin-1 to the copy: what has no counterpart, and Latin-1's replacement "?", become the mark, NUL a real "?"."""
_FEW = 80
"""Up to so many different foreign characters, replacing one after the other is faster than a table."""
_NO_WIDTH = re.compile(f"[{_INVISIBLE}]+")


def _counterparts() -> dict[int, str]:
    table = {ord("?"): "\0"}  # steps aside for the "?" that stands for what cannot be encoded
    for code in range(0x80, sys.maxunicode + 1):
        if 0x20000 <= code < 0xE0000 or 0xAC00 <= code < 0xF900:
            continue  # ideographs, syllables, surrogates and private use have no counterpart
        char = chr(code)
        category = unicodedata.category(char)
        if category == "Nd":
            table[code] = str(unicodedata.decimal(char))
        elif category == "Pd" or code == 0x2212:
            table[code] = "-"
        elif category == "Zs":
            table[code] = " "
        elif len(same := unicodedata.normalize("NFKC", char)) == 1 and same.isascii():
            table[code] = same
    return table


@dataclass(frozen=True)
class Folded:
    """The copy (``text``), and at which of its offsets the distance to the original changes, and to what."""

    text: str
    breaks: tuple[int, ...] = ()
    shifts: tuple[int, ...] = ()

    def origin(self, offset: int) -> int:
        """The original's offset of the copy's ``offset``."""
        index = bisect_right(self.breaks, offset)
        return offset + (self.shifts[index - 1] if index else 0)


@dataclass(frozen=True)
class Folder:
    """Makes the copies; the table of counterparts is built once. Safe to share between threads: it is never changed."""

    _table: dict[int, str] = field(default_factory=_counterparts)

    def __call__(self, text: str) -> Folded:
        """The copy of ``text``."""
        if text.isascii() and "\\" not in text:
            return Folded(text)
        # The frequent ones first, at no shift; where there are more backslashes, the expression takes them all.
        if "\\" in text:
            text = text.replace("\\\\", "\0\0").replace("\\n", " \n").replace("\\t", "  ").replace("\\r", " \n")
            text = text.replace("\0\0", "\\\\")
        pieces: list[str] = []
        breaks: list[int] = []
        shifts: list[int] = []
        at = length = 0
        for odd in _ODD.finditer(text):
            pieces.append(text[at : odd.start()])
            length += odd.start() - at
            at = odd.end()
            plain = _unescape(odd.group())
            pieces.append(plain)
            length += len(plain)
            breaks.append(length)
            shifts.append(at - length)
        pieces.append(text[at:])
        return Folded(self._fold("".join(pieces)), tuple(breaks), tuple(shifts))

    def _fold(self, text: str) -> str:
        if text.isascii():
            return text
        foreign = {char for char in set(text) if char >= "\x80"}
        if len(foreign) <= _FEW:
            for char in foreign:
                text = text.replace(char, self._table.get(ord(char), OTHER))
            return text
        return text.translate(self._table).encode("latin-1", "replace").translate(_ONE_MARK).decode("latin-1")


def _unescape(odd: str) -> str:
    if odd[0] != "\\":
        return ""
    escape = odd.lstrip("\\")
    if escape[0] == "u":
        char = chr(int(escape[1:], 16))
        return "" if _NO_WIDTH.match(char) else char
    return {"n": "\n", "r": "\n", "t": " ", "b": " ", "f": " "}.get(escape, escape)
