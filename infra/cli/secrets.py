"""``praxis secrets``: set and list, never show."""

from __future__ import annotations

import getpass
import sys

from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.loading import Loaded
from infra.custody import open_store, recipes
from runtime.store import StoreError


def put(loaded: Loaded, name: str) -> None:
    """Store a value read from stdin under ``name``.

    Raises:
        CommandError: nothing was given, the name is not usable, or Praxis makes this secret itself.
    """
    if name in recipes(loaded.stack):
        raise CommandError(f"'{name}' is made by Praxis itself", code=Exit.USAGE)
    value = getpass.getpass(f"value of {name} (not shown): ") if sys.stdin.isatty() else sys.stdin.read()
    try:
        open_store(loaded.name, loaded.stack).set(name, value.removesuffix("\n"))
    except StoreError as error:
        raise CommandError(str(error), code=Exit.USAGE) from None
    say(f"{name} is set; ./praxis up {loaded.name} delivers it")


def listing(loaded: Loaded, *, as_json: bool) -> None:
    """Names and dates."""
    try:
        names = open_store(loaded.name, loaded.stack).names()
    except StoreError as error:
        raise CommandError(str(error)) from None
    if as_json:
        emit_json([{"name": name, "created": created} for name, created in sorted(names.items())])
        return
    table("Secrets", ["name", "made"], [[name, created] for name, created in sorted(names.items())])
