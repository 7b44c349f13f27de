"""What subjects hold (virtual keys, enrolments): which is good, and ending its use. Each is called by the beginning of
its hash."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.custodian import OLDER, TOKEN, custodian
from infra.cli.loading import Loaded


@dataclass(frozen=True, kw_only=True)
class Held:
    """One kind of it. ``noun`` is also the name of its own column; ``verb``: the command that lists it, and the
    custodian's path."""

    noun: str
    every: str
    title: str
    verb: str
    columns: tuple[str, ...]

    def listing(self, loaded: Loaded, subject: str | None, *, as_json: bool) -> None:
        """Everything of this kind that is good now, or one subject's."""
        with custodian(loaded.stack, loaded.store().get(TOKEN)) as asked:
            every = asked.get(f"/{self.verb}", none=OLDER)[self.verb]
        found = [one for one in every if subject in (None, one["name"])]
        if as_json:
            emit_json(found)
            return
        table(self.title, [*self.columns], [[_shown(one[column]) for column in self.columns] for one in found])

    def revoke(self, loaded: Loaded, subject: str, called: str | None, *, yes: bool) -> None:
        """End the use of all that a subject holds, or of the one that is ``called`` so. Asks first.

        Raises:
            CommandError: nobody said yes, or there is no such thing.
        """
        which = f"the {self.noun} {called}" if called else self.every
        if not yes and not typer.confirm(f"End the use of {which} of '{subject}'?", default=False, err=True):
            raise CommandError("nothing was revoked", fix="--yes does not ask")
        with custodian(loaded.stack, loaded.store().get(TOKEN)) as asked:
            count = asked.post(f"/{self.verb}/revoke", {"name": subject, self.noun: called})["revoked"]
        if not count:
            shown = f"./praxis {self.verb} list {loaded.name} --as {subject}"
            what = f"no {self.noun} {called} that is good" if called else f"no {self.noun} that is good"
            raise CommandError(f"'{subject}' has {what}", fix=f"{shown} shows them", code=Exit.USAGE)
        good = "is" if count == 1 else "are"
        say(f"{count} of {subject}'s {self.verb} {good} good no more; it is in the audit chain")


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value or "")) or "-"


KEYS = Held(
    noun="key",
    every="every virtual key",
    title="Virtual keys",
    verb="keys",
    columns=("key", "name", "models", "created", "expires"),
)
ENROLMENTS = Held(
    noun="enrolment",
    every="every enrolment",
    title="Enrolments",
    verb="enrolments",
    columns=("enrolment", "name", "client", "device", "bound", "created", "expires", "last_used"),
)
