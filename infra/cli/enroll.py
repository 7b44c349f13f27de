"""``praxis enroll``: one base URL for one client of one person or agent."""

from __future__ import annotations

import sys

import httpx

from components.identity import api_url
from infra.cli import edge
from infra.cli.console import CommandError, Exit, say
from infra.cli.custodian import OLDER
from infra.cli.loading import Loaded
from runtime.clients import Client, Form, settings, written


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
    sys.stdout.write(written(settings(client, f"{api_url(loaded.stack)}/e/{made}"), form))


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
