"""``/me``: what somebody may do, has spent and holds, for that person alone; and the keys and settings to work with."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from runtime.clients import GEMINI_CLI_SETTINGS, KEY_VARIABLE, Client, codex, gemini_cli, settings
from runtime.contract import CATEGORIES, EffectivePolicy, plain
from runtime.custodian.consoles_api import Look, of_person, page, refused
from runtime.custodian.gate import Gate
from runtime.custodian.keys_api import Wanted
from runtime.custodian.ledger import Standing
from runtime.custodian.making import MAX_DAYS
from runtime.custodian.subject import ForbiddenError, Subject
from runtime.custodian.virtual_keys import Terms
from runtime.wire import CONSOLE_FORMS

MAX_FORM_BYTES = 4096
DAYS = 30
_LIMITS = {
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
    "concurrent_requests": "Requests at once",
}


def routes(gate: Gate, base: str) -> list[Route]:
    """``/console/me`` and what its buttons do. ``base``: the address of the gateway's API."""
    person = of_person(gate)

    @person
    async def me(_: Request, subject: Subject) -> Response:
        policy = gate.policy(subject)
        standing = await gate.database.standing(subject.sub, policy.budget)
        keys, enrolments = await gate.database.keys(subject.name), await gate.enrolments.good(subject.name)
        tools = {
            **{"codex": codex(base), "variable": KEY_VARIABLE},
            **{"gemini_cli": gemini_cli(base, "…"), "gemini_cli_settings": GEMINI_CLI_SETTINGS},
        }
        shown = told(gate, policy, standing) | {"base": base, **tools}
        return page("me.html", subject=subject, keys=keys, enrolments=enrolments, **shown)

    async def make_key(request: Request, subject: Subject) -> Response:
        fields = await _fields(request)
        wanted = Wanted(models=tuple(fields.get("model", [])), days=int(_one(fields, "days")))
        try:
            key = await gate.new_key(subject, wanted.terms())
        except ForbiddenError:
            raise ValueError("model") from None
        return page("made.html", title="A key", text="Give it to one tool.", value=key)

    async def revoke_key(request: Request, subject: Subject) -> Response:
        await gate.database.revoke_keys(subject.name, await _field(request, "key"))
        return RedirectResponse("/me", 303)

    async def enroll(request: Request, subject: Subject) -> Response:
        client = Client(await _field(request, "client"))
        made = await gate.enrolments.make(subject, client, "", DAYS)
        value = json.dumps(settings(client, f"{base}/e/{made}"), indent=2)
        text = "Put it into the client's settings. The address says who asks, so it is yours alone."
        return page("made.html", title=f"Settings for {client}", text=text, value=value)

    async def revoke_enrolment(request: Request, subject: Subject) -> Response:
        await gate.enrolments.revoke(subject.name, await _field(request, "enrolment"))
        return RedirectResponse("/me", 303)

    doing = zip(CONSOLE_FORMS, (make_key, revoke_key, enroll, revoke_enrolment), strict=True)
    done = [Route(f"/console/me/{name}", person(_from_here(do)), methods=["POST"]) for name, do in doing]
    return [Route("/console/me", me), *done]


def told(gate: Gate, policy: EffectivePolicy, standing: Standing) -> dict[str, Any]:
    """What the page says of a policy and of how its subject stands."""
    prices = gate.policies.models
    return {
        "policy": policy,
        "standing": standing,
        "left": max(standing.limit - standing.spent - standing.reserved, Decimal(0)),
        "used": float(min(standing.spent / standing.limit, Decimal(1))) if standing.limit else 1.0,
        "limits": [(title, getattr(policy.limits, name) or "no limit") for name, title in _LIMITS.items()],
        "models": [(name, prices[name]) for name in policy.models],
        "tools": "any" if policy.tools is None else ", ".join(policy.tools) or "none",
        "guards": [(category, policy.guards.action(category).value) for category in CATEGORIES],
        "clients": [client.value for client in Client],
        "key_days": Terms.days,
        "most_days": MAX_DAYS,
        "usd": plain,
    }


def _from_here(look: Look) -> Look:
    """Only for forms of this page: a browser says where a request comes from (Fetch Metadata, 2.3)."""

    async def guarded(request: Request, subject: Subject) -> Response:
        if request.headers.get("sec-fetch-site") != "same-origin":
            return refused(403, "Not from here", "This can only be done on the page itself.")
        try:
            return await look(request, subject)
        except ValueError:
            return refused(400, "What?", "The form was not filled in as this page does it.")

    return guarded


async def _field(request: Request, name: str) -> str:
    """One field of a form.

    Raises:
        ValueError: it is not there, or the form is none.
    """
    return _one(await _fields(request), name)


async def _fields(request: Request) -> dict[str, list[str]]:
    body = await request.body()
    return parse_qs(body[:MAX_FORM_BYTES].decode(), strict_parsing=True)


def _one(fields: dict[str, list[str]], name: str) -> str:
    values = fields.get(name, [])
    if len(values) != 1:
        raise ValueError(name)
    return values[0]
