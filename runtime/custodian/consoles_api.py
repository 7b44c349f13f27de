"""Consoles: who has signed in with a browser, and may look. The sign-in hands its access token on; what it says, and
whether it still holds, is decided here, as for every other caller.
"""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from runtime.custodian.gate import Gate
from runtime.custodian.subject import ForbiddenError, Subject, UnauthenticatedError, UnavailableError

TOKEN_HEADER = "x-auth-request-access-token"  # noqa: S105 - a header's name
"""As oauth2-proxy calls it."""
SIGN_OUT = "/oauth2/sign_out?rd=%2F"
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 34rem; padding: 0 1rem;
  color: #1c2430; background: #fff }}
@media (prefers-color-scheme: dark) {{ body {{ color: #e6e9ee; background: #14181f }} a {{ color: #8ab4ff }} }}
</style>
<h1>{title}</h1>
<p>{text}</p>
<p><a href="{link}">Sign in as somebody else</a></p>
</html>
"""


def routes(gate: Gate) -> list[Route]:
    """``/consoles/traces``: what the edge asks before it lets somebody to the trace store."""

    async def traces(request: Request) -> Response:
        subject = await _signed_in(gate, request)
        if isinstance(subject, Response):
            return subject
        if not subject.auditor:
            return page(403, "Not for you", f"{subject.name} is no auditor: traces hold what other people have asked.")
        return Response(status_code=200)

    return [Route("/consoles/traces", traces)]


async def _signed_in(gate: Gate, request: Request) -> Subject | Response:
    try:
        return await gate.signed_in(request.headers.get(TOKEN_HEADER, ""))
    except UnauthenticatedError as error:
        return page(401, "Sign in again", f"This sign-in is not good any more: {error}.")
    except ForbiddenError as error:
        return page(403, "Not for you", f"{error}.")
    except UnavailableError:
        return page(503, "In a moment", "The gateway cannot say now who you are. Try again.")


def page(status: int, title: str, text: str) -> HTMLResponse:
    """A page that says no, in words."""
    content = _PAGE.format(title=escape(title), text=escape(text), link=SIGN_OUT)
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    return HTMLResponse(content, status, {"content-security-policy": policy, "cache-control": "no-store"})
