"""How values and times come in: by hidden prompt, standard input or file; never as an argument, never said again."""

from __future__ import annotations

import datetime
import getpass
import json
import re
import sys
from pathlib import Path

from infra.cli.console import CommandError, Exit

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ASSIGNMENT = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)")


def value_of(name: str, file: Path | None) -> str:
    """The value of ``name`` from ``file``, from standard input, or asked for without showing it.

    One line end at its end is not part of it.

    Raises:
        CommandError: the file cannot be read, or what came is no text.
    """
    if file is not None:
        value = text_of(file)
    elif sys.stdin.isatty():
        value = _asked(name)
    else:
        value = _stdin()
    return value.removesuffix("\n").removesuffix("\r")


def text_of(file: Path) -> str:
    """The text in ``file``; ``-`` is standard input.

    Raises:
        CommandError: it cannot be read, or is no text.
    """
    if str(file) == "-":
        return _stdin()
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not text (UTF-8)", code=Exit.USAGE) from None
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}", code=Exit.USAGE) from None


def _asked(name: str) -> str:
    try:
        return getpass.getpass(f"value of {name} (not shown): ", stream=sys.stderr)
    except EOFError:
        raise CommandError(f"no value of {name} was given", code=Exit.USAGE) from None


def _stdin() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError:
        raise CommandError("what came on standard input is not text (UTF-8)", code=Exit.USAGE) from None


def duration(text: str | None, option: str) -> datetime.timedelta | None:
    """``90s``, ``30m``, ``1h`` or ``7d``; None for no text.

    Raises:
        CommandError: it is something else.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise CommandError(f"{option} '{text}': a number and s, m, h or d (30m, 1h, 7d)", code=Exit.USAGE)
    return datetime.timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str | None, option: str, now: datetime.datetime) -> datetime.datetime | None:
    """A duration from ``now`` on, or a date or time in ISO 8601 (UTC if it says nothing); None for no text.

    Raises:
        CommandError: it is neither.
    """
    if text is None or re.fullmatch(r"[0-9]+[a-z]", text):
        span = duration(text, option)
        return None if span is None else now + span
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(
            f"{option} '{text}': a time from now (90d) or a date (2030-01-31, 2030-01-31T12:00:00+00:00)",
            code=Exit.USAGE,
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def assignments(text: str, file: Path) -> dict[str, str]:
    """Name -> value of a file of settings (``NAME=value`` lines) or of a JSON object of texts.

    Raises:
        CommandError: it is neither; the message names the line or key and does not quote it.
    """
    return _from_json(text, file) if text.lstrip().startswith("{") else _from_lines(text, file)


def _from_json(text: str, file: Path) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise CommandError(f"{file}: line {line} is not JSON", code=Exit.USAGE) from None
    for name, value in found.items():
        if not isinstance(value, str):
            raise CommandError(f"{file}: the value of '{name}' is not a text", code=Exit.USAGE)
    return dict(found)


def _from_lines(text: str, file: Path) -> dict[str, str]:
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line.strip())
        if match is None:
            raise CommandError(f"{file}: line {number} is not NAME=value", code=Exit.USAGE)
        found[match[1]] = _unquoted(match[2], f"{file}: line {number}")
    return found


def _unquoted(value: str, where: str) -> str:
    if value[:1] not in ("'", '"'):
        return re.split(r"\s#", value, maxsplit=1)[0].strip()
    end = value.find(value[0], 1)
    if end == -1 or (value[end + 1 :].strip() and not value[end + 1 :].strip().startswith("#")):
        raise CommandError(f"{where} has a quote that does not end", code=Exit.USAGE)
    return value[1:end]


def normalised(name: str) -> str:
    """A variable's name as a secret's: ``ANTHROPIC_API_KEY`` is ``anthropic-api-key``."""
    return name.lower().replace("_", "-").replace(".", "-")
