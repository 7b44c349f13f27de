"""The custodian's API for the operator, over the loopback entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import httpx

from config.stack import Stack
from infra.cli.console import CommandError, Exit

TOKEN = "custodian-admin-token"  # noqa: S105 - its name
OLDER = CommandError("the running custodian is older than this command", fix="./praxis up", code=Exit.UNREACHABLE)
_NO_CHAIN = CommandError("the running custodian keeps no chain yet", fix="./praxis up", code=Exit.UNREACHABLE)


class Custodian:
    """Asks with the operator's token."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, *, none: CommandError) -> Any:
        """The answer to a question.

        Raises:
            CommandError: there is no answer, or no such thing: ``none``.
        """
        return self._asked("GET", path, none=none)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What comes of telling it something.

        Raises:
            CommandError: there is no answer, or it refuses.
        """
        return self._asked("POST", path, none=OLDER, json=body)

    def _asked(self, method: str, path: str, *, none: CommandError, **body: Any) -> Any:
        try:
            answer = self._http.request(method, f"/custodian{path}", **body)
        except httpx.HTTPError as error:
            raise CommandError(f"the custodian does not answer: {error}", code=Exit.UNREACHABLE) from None
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise none
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise CommandError(str(answer.json()["error"]), code=Exit.USAGE)
        if answer.is_error:
            raise CommandError(f"the custodian answered HTTP {answer.status_code}", code=Exit.UNREACHABLE)
        return answer.json()

    def chain(self) -> Iterator[str]:
        """Every event, page by page."""
        where = "?limit=1000"
        while True:
            page = self.get(f"/chain{where}", none=_NO_CHAIN)
            yield from page["events"]
            if page["next"] is None:
                return
            where = f"?limit=1000&from={page['next']}"

    def key(self) -> str:
        """The key that signed the last event."""
        return str(self.get("/chain/head", none=_NO_CHAIN)["key"])

    def ledger(self, begins: datetime, until: datetime) -> Iterator[dict[str, Any]]:
        """Every record that was admitted from ``begins`` to before ``until``, page by page, by time."""
        where: dict[str, str] | None = {"from": begins.isoformat()}
        while where is not None:
            page = self.get(f"/ledger?{urlencode({**where, 'until': until.isoformat()})}", none=OLDER)
            yield from page["entries"]
            where = page["next"]

    def money(self) -> dict[str, Any]:
        """What is spent and reserved in the running periods, and what budgets were raised by."""
        found: dict[str, Any] = self.get("/budgets", none=OLDER)
        return found


@contextmanager
def custodian(stack: Stack, token: str) -> Iterator[Custodian]:
    """A client. ``token``: the stack's secret :data:`TOKEN`."""
    url = stack.edge.admin_url
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=url, headers=headers, timeout=15, trust_env=False) as http:
        yield Custodian(http)
