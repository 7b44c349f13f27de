"""``praxis keys``: which virtual keys are good, and ending their use."""

from __future__ import annotations

import typer

from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.custodian import OLDER, TOKEN, custodian
from infra.cli.loading import Loaded

COLUMNS = ("key", "name", "role", "department", "created", "expires")


def listing(loaded: Loaded, subject: str | None, *, as_json: bool) -> None:
    """Every virtual key that is good now, or one subject's; a key is called by the beginning of its hash."""
    with custodian(loaded.stack, loaded.store().get(TOKEN)) as asked:
        found = [one for one in asked.get("/keys", none=OLDER)["keys"] if subject in (None, one["name"])]
    if as_json:
        emit_json(found)
        return
    table("Virtual keys", [*COLUMNS], [[str(one[column]) for column in COLUMNS] for one in found])


def revoke(loaded: Loaded, subject: str, key: str | None, *, yes: bool) -> None:
    """End the use of all keys of a subject, or of one. Asks first.

    Raises:
        CommandError: nobody said yes, or there is no such key.
    """
    which = f"the key {key}" if key else "every virtual key"
    if not yes and not typer.confirm(f"End the use of {which} of '{subject}'?", default=False, err=True):
        raise CommandError("nothing was revoked", fix="--yes does not ask")
    with custodian(loaded.stack, loaded.store().get(TOKEN)) as asked:
        count = asked.post("/keys/revoke", {"name": subject, "key": key})["revoked"]
    if not count:
        shown = f"./praxis keys list {loaded.name} --as {subject}"
        what = f"no key {key} that is good" if key else "no key that is good"
        raise CommandError(f"'{subject}' has {what}", fix=f"{shown} shows them", code=Exit.USAGE)
    say(f"{count} of {subject}'s keys {'is' if count == 1 else 'are'} good no more; it is in the audit chain")
