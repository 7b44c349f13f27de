"""``praxis enroll`` and ``praxis enrolments``: one base URL for one client of one person or agent, and its end."""

from __future__ import annotations

import sys

import httpx
import typer

from infra.cli import edge
from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.custodian import OLDER, TOKEN, custodian
from infra.cli.loading import Loaded
from runtime.clients import Client, Form, settings, written

COLUMNS = ("enrolment", "name", "client", "device", "bound", "created", "expires", "last_used")


def enroll(loaded: Loaded, subject: str, client: Client, device: str, days: int, form: Form) -> None:
    """Make an enrolment and print the settings that hold it.

    Raises:
        CommandError: no such subject or form, or the custodian refuses or does not answer.
    """
    if client is not Client.CLAUDE_CODE and form is not Form.JSON:
        allowed = f"--client {Client.CLAUDE_CODE}, or --format {Form.JSON}"
        raise CommandError(f"--format {form} is for Claude Code's own settings", fix=allowed, code=Exit.USAGE)
    access = edge.obtain(loaded.stack, loaded.store(), subject)
    made = _made(loaded, access, {"client": client.value, "device": device, "days": days})
    say(f"enrolment of {subject} for {client}, good for {days} d; it is in the audit chain")
    say("whoever has this URL can say that they are this subject: give it to them alone")
    sys.stdout.write(written(settings(client, f"http://localhost:{loaded.stack.edge.http_port}/e/{made}"), form))


def _made(loaded: Loaded, access: edge.Credential, wanted: dict[str, str | int]) -> str:
    try:
        with edge.client(loaded.stack, timeout_s=30) as http:
            answer = http.post("/me/enrolments", headers={"Authorization": f"Bearer {access.token}"}, json=wanted)
    except httpx.HTTPError as error:
        raise CommandError(f"the gateway does not answer: {error}", code=Exit.UNREACHABLE) from None
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise OLDER
    if answer.status_code == httpx.codes.BAD_REQUEST:
        raise CommandError(str(answer.json()["error"]["message"]), code=Exit.USAGE)
    if not answer.is_success:
        code = Exit.UNREACHABLE if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else Exit.FAILED
        raise CommandError(f"no enrolment for '{access.subject}': HTTP {answer.status_code}", code=code)
    return str(answer.json()["enrolment"])


def listing(loaded: Loaded, subject: str | None, *, as_json: bool) -> None:
    """Every enrolment that is good now, or one subject's; each is called by the beginning of its hash."""
    with custodian(loaded.stack, loaded.store().get(TOKEN)) as asked:
        found = [one for one in asked.get("/enrolments", none=OLDER)["enrolments"] if subject in (None, one["name"])]
    if as_json:
        emit_json(found)
        return
    table("Enrolments", [*COLUMNS], [[str(one[column] or "-") for column in COLUMNS] for one in found])


def revoke(loaded: Loaded, subject: str, enrolment: str | None, *, yes: bool) -> None:
    """End the use of all enrolments of a subject, or of one. Asks first.

    Raises:
        CommandError: nobody said yes, or there is no such enrolment.
    """
    which = f"the enrolment {enrolment}" if enrolment else "every enrolment"
    if not yes and not typer.confirm(f"End the use of {which} of '{subject}'?", default=False, err=True):
        raise CommandError("nothing was revoked", fix="--yes does not ask")
    with custodian(loaded.stack, loaded.store().get(TOKEN)) as asked:
        count = asked.post("/enrolments/revoke", {"name": subject, "enrolment": enrolment})["revoked"]
    if not count:
        shown = f"./praxis enrolments list {loaded.name} --as {subject}"
        what = f"no enrolment {enrolment} that is good" if enrolment else "no enrolment that is good"
        raise CommandError(f"'{subject}' has {what}", fix=f"{shown} shows them", code=Exit.USAGE)
    say(f"{count} of {subject}'s enrolments {'is' if count == 1 else 'are'} good no more; it is in the audit chain")
