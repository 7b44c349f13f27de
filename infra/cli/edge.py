"""The command line as a client of its own gateway: through the edge, on this machine's loopback."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from components.identity import issuer, public_url
from components.realm import CLI_CLIENT, DEMO_CLIENT, agent_scope
from config.stack import Stack, listed
from infra.cli import agents
from infra.cli.console import CommandError, Exit, say
from runtime.store import Store

AWAY = frozenset({502, 503, 504})
"""Statuses by which the edge says that what is behind it does not answer."""
MEND = "./praxis status, ./praxis up"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A credential of one subject. ``demo`` marks what only a demonstration stack gives out."""

    subject: str
    token: str
    expires_in_s: int
    demo: bool


def client(stack: Stack, timeout_s: float = 120) -> httpx.Client:
    """An HTTP client of the edge. Consoles are asked for by Host header, so no name has to resolve here."""
    return httpx.Client(base_url=f"http://127.0.0.1:{stack.edge.http_port}", timeout=timeout_s, trust_env=False)


def obtain(stack: Stack, store: Store, subject: str, key: Path | None = None, scope: str = "openid") -> Credential:
    """An access token of a declared person or agent.

    Args:
        key: file of the private key of an agent that has one.
        scope: what a person asks for (RFC 6749, 3.3).

    Raises:
        CommandError: no such subject, the stack does not answer, or Keycloak refuses.
    """
    if subject in stack.agents:
        return _token(stack, subject, agents.proof(stack, store, subject, key), demo=False)
    if key is not None:
        raise CommandError("only agents sign in by keys", fix="leave --key away", code=Exit.USAGE)
    if subject in stack.people and stack.environment == "demo":
        role = stack.people[subject].role
        if stack.roles[role].mfa:
            say(f"role '{role}' asks for a second factor (roles.{role}.mfa), so this takes a browser, not a password")
            return _device_flow(stack, subject, scope)
        password = store.get(f"person-{subject}-password")
        form = {"grant_type": "password", "client_id": DEMO_CLIENT, "username": subject, "password": password}
        return _token(stack, subject, {**form, "scope": scope}, demo=True)
    if subject in stack.people or stack.environment != "demo":
        return _device_flow(stack, subject, scope)
    raise unknown(stack, subject)


def exchanged(stack: Stack, store: Store, agent: str, person: str, key: Path | None = None) -> Credential:
    """An access token by which ``agent`` acts for ``person``, who signs in and lets it (RFC 8693). ``key``: as above.

    Raises:
        CommandError: it may not act for this person, or as :func:`obtain`.
    """
    may_act(stack, agent, person)
    proof = agents.proof(stack, store, agent, key)
    given = obtain(stack, store, person, scope=f"openid {agent_scope(agent)}")
    kind = "urn:ietf:params:oauth:token-type:access_token"
    exchange = {"grant_type": EXCHANGE, "subject_token": given.token, "subject_token_type": kind}
    return _token(stack, agent, {**proof, **exchange, "requested_token_type": kind}, demo=given.demo)


def may_act(stack: Stack, agent: str, person: str) -> None:
    """Raises ``CommandError`` when the stack file does not let ``agent`` act for ``person``. Who comes from a company's
    own directory is in no department yet: there it is the gateway that says so."""
    if agent not in stack.agents:
        known = ", ".join(stack.acting_agents()) or "no agent of this stack may"
        raise CommandError(f"'{agent}' is no agent, and only agents act for somebody", fix=known, code=Exit.USAGE)
    if person in stack.agents:
        raise CommandError("an agent acts for people, not for another agent", code=Exit.USAGE)
    allowed = stack.agents[agent].on_behalf_of
    if not allowed or (person in stack.people and stack.people[person].department not in allowed):
        known = listed(allowed)
        message = f"agent '{agent}' may not act for '{person}' (agents.{agent}.on_behalf_of: {known})"
        raise CommandError(message, fix="add the person's department there, then ./praxis up", code=Exit.USAGE)


def unknown(stack: Stack, subject: str) -> CommandError:
    """What is said of a subject that the stack file does not declare."""
    known = ", ".join(stack.subjects())
    return CommandError(f"no subject '{subject}' in this stack", fix=f"one of: {known}", code=Exit.USAGE)


@dataclass(frozen=True, kw_only=True)
class KeyTerms:
    """``models``: the only ones that a virtual key is for; none: all of its subject's. ``days``: how long it is good;
    ``None``: as long as the custodian makes them."""

    models: tuple[str, ...] = ()
    days: int | None = None


def virtual_key(stack: Stack, access: Credential, terms: KeyTerms) -> Credential:
    """A new virtual key of the subject whose access token this is.

    Raises:
        CommandError: the custodian refuses or does not answer.
    """
    asked = {"models": terms.models} | ({"days": terms.days} if terms.days else {})
    try:
        with client(stack, timeout_s=30) as http:
            answer = http.post("/me/keys", headers={"Authorization": f"Bearer {access.token}"}, json=asked)
    except httpx.HTTPError as error:
        raise CommandError(f"the gateway does not answer: {error}", code=Exit.UNREACHABLE) from None
    if not answer.is_success:
        raise CommandError(f"no virtual key for '{access.subject}': HTTP {answer.status_code} {answer.text[:200]}")
    body = answer.json()
    return Credential(
        subject=access.subject, token=str(body["key"]), expires_in_s=int(body["expires_in"]), demo=access.demo
    )


def _realm(stack: Stack, path: str, form: dict[str, str]) -> httpx.Response:
    host = public_url(stack, "id").removeprefix("http://")
    path = f"{issuer(stack).removeprefix(public_url(stack, 'id'))}/protocol/openid-connect/{path}"
    try:
        with client(stack, timeout_s=30) as http:
            answer = http.post(path, data=form, headers={"Host": host})
    except httpx.HTTPError as error:
        message = f"the gateway does not answer on 127.0.0.1:{stack.edge.http_port} ({error})"
        raise CommandError(message, fix=MEND, code=Exit.UNREACHABLE) from None
    if answer.status_code in AWAY:
        raise CommandError(f"Keycloak does not answer (HTTP {answer.status_code})", fix=MEND, code=Exit.UNREACHABLE)
    return answer


def _token(stack: Stack, subject: str, form: dict[str, str], *, demo: bool) -> Credential:
    answer = _realm(stack, "token", form)
    if answer.status_code != httpx.codes.OK:
        raise CommandError(f"Keycloak refused '{subject}': {_reason(answer)}", fix="./praxis up mends the realm")
    return _credential(answer.json(), subject, demo=demo)


def _credential(body: dict[str, Any], subject: str, *, demo: bool) -> Credential:
    return Credential(subject=subject, token=str(body["access_token"]), expires_in_s=int(body["expires_in"]), demo=demo)


def _device_flow(stack: Stack, subject: str, scope: str) -> Credential:
    """Sign in with a browser (RFC 8628): shows an address and waits until it was visited."""
    started = _realm(stack, "auth/device", {"client_id": CLI_CLIENT, "scope": scope})
    if started.status_code != httpx.codes.OK:
        raise CommandError(f"Keycloak refused the device flow: {_reason(started)}")
    begin = started.json()
    say(f"sign in as '{subject}' at {begin['verification_uri_complete']}")
    pause, until = float(begin.get("interval", 5)), time.monotonic() + float(begin["expires_in"])
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": CLI_CLIENT,
        "device_code": str(begin["device_code"]),
    }
    while time.monotonic() < until:
        time.sleep(pause)
        answer = _realm(stack, "token", form)
        if answer.status_code == httpx.codes.OK:
            return _credential(answer.json(), subject, demo=False)
        reason = _reason(answer)
        if reason == "slow_down":
            pause += 5  # RFC 8628, section 3.5
        elif reason != "authorization_pending":
            raise CommandError(f"sign-in failed: {reason}")
    raise CommandError("nobody signed in in time", fix="run the command again")


def _reason(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    return str(body.get("error") or f"HTTP {answer.status_code}")
