"""Consoles: who has signed in with a browser, and what that person may look at.

The sign-in hands its access token on. What it says, and whether it still holds, is decided here, as for every caller.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from runtime.contract import PolicyError
from runtime.custodian.database import AWAY
from runtime.custodian.gate import Gate
from runtime.custodian.subject import ForbiddenError, Subject, UnauthenticatedError, UnavailableError
from runtime.wire import CONSOLE_TOKEN_HEADER

SECURITY = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'; base-uri 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
Look = Callable[[Request, Subject], Awaitable[Response]]


def routes(gate: Gate) -> list[Route]:
    """``/consoles/traces``: what the edge asks before it lets somebody to the trace store."""

    @of_person(gate)
    async def traces(_: Request, subject: Subject) -> Response:
        if not subject.auditor:
            text = f"{subject.name} is no auditor: traces hold what other people have asked."
            return refused(403, "Not for you", text)
        return Response(status_code=200)

    return [Route("/consoles/traces", traces)]


def of_person(gate: Gate) -> Callable[[Look], Callable[[Request], Awaitable[Response]]]:
    """A decorator: the endpoint is handed whoever has signed in; everybody else gets a page that says why not."""

    def decorated(look: Look) -> Callable[[Request], Awaitable[Response]]:
        @wraps(look)
        async def endpoint(request: Request) -> Response:
            try:
                subject = await gate.signed_in(request.headers.get(CONSOLE_TOKEN_HEADER, ""))
                return await look(request, subject)
            except UnauthenticatedError as error:
                return refused(401, "Sign in again", f"This sign-in is not good any more: {error}.")
            except (ForbiddenError, PolicyError) as error:
                return refused(403, "Not for you", f"{error}.")
            except (UnavailableError, *AWAY):
                return refused(503, "In a moment", "The gateway cannot say that now. Try again.")

        return endpoint

    return decorated


def page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    """One of the pages beside this file."""
    return HTMLResponse(_pages().get_template(name).render(values), status, SECURITY)


def refused(status: int, title: str, text: str) -> HTMLResponse:
    """A page that says no, in words."""
    return page("refused.html", status, title=title, text=text)


@cache
def _pages() -> Environment:
    folder = Path(__file__).parent / "pages"
    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
