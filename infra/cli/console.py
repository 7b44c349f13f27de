"""How the command line speaks: stdout is data, stderr is talk, and every failure is one message and an exit code."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from config import SettingsError
from infra.paths import home
from infra.supply.process import SupplyError
from runtime.store import RefusedError, StoreError, UnreachableError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors of a disk, or of somebody's part of it, that is full."""


class Exit(IntEnum):
    """The exit codes that scripts may rely on."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    DRIFT = 7


class CommandError(Exception):
    """A command cannot go on. ``fix`` says what to do about it."""

    def __init__(self, message: str, *, fix: str = "", code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.fix = fix
        self.code = code


def of_the_store(error: StoreError, message: str = "") -> CommandError:
    """What the store refuses, as the failure of a command: 2 if what was asked makes no sense, 3 if it does not answer.

    ``message`` stands in place of the error's own.
    """
    code = Exit.FAILED
    if isinstance(error, RefusedError):
        code = Exit.USAGE
    elif isinstance(error, UnreachableError):
        code = Exit.UNREACHABLE
    return CommandError(message or str(error), code=code)


talk = Console(stderr=True, highlight=False, soft_wrap=True)
data = Console(highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """One line of talk on stderr."""
    talk.print(message, markup=False)


def emit_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def table(title: str, columns: list[str], rows: list[list[str]], whole: Collection[str] = ()) -> None:
    """A table on stdout. ``whole``: columns that are never folded, so that what is in them can be copied."""
    result = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        result.add_column(column, overflow="fold", no_wrap=column in whole)
    for row in rows:
        result.add_row(*row)
    data.print(result)


def stop(error: CommandError) -> NoReturn:
    """Say what is wrong and how to mend it, and end with its exit code."""
    talk.print(f"error: {error}", markup=False, style="red")
    if error.fix:
        talk.print(f"  fix: {error.fix}", markup=False)
    raise typer.Exit(error.code)


@contextmanager
def reported() -> Iterator[None]:
    """Turn what a command raises into one message and an exit code."""
    try:
        yield
    except SettingsError as error:
        for problem in error.problems:
            talk.print(f"error: {problem}", markup=False, style="red")
        raise typer.Exit(Exit.USAGE) from None
    except SupplyError as error:
        stop(CommandError(str(error), fix=error.fix))
    except StoreError as error:
        stop(of_the_store(error, f"the secret store: {error}"))
    except CommandError as error:
        stop(error)
    except OSError as error:
        if error.errno not in FULL:
            raise
        fix = "free some (./praxis cache prune) and run the same command again; what is done is not done twice"
        stop(CommandError(f"no space left on the disk of {error.filename or home()}", fix=fix))


class Steps:
    """Progress of a long command: each line says what, and how long it has taken since the command began."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def __call__(self, message: str) -> None:
        """Say ``message`` with the time since the begin."""
        say(f"[{time.monotonic() - self._begin:6.1f} s] {message}")
