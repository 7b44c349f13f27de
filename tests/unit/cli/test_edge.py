"""How the command line comes by an access token."""

from __future__ import annotations

import pytest
import respx

from config import Stack, load_stack
from infra.cli import edge
from infra.cli.console import CommandError, Exit
from infra.cli.edge import Credential
from infra.paths import STACKS
from runtime.store import Store
from tests.stacks import with_mfa

LAPTOP = load_stack("laptop", STACKS)


class Passwords:
    """A store in which everything is found."""

    def get(self, name: str) -> str:
        return f"value-of-{name}"


@pytest.fixture
def forms() -> list[dict[str, str]]:
    """The forms that were sent."""
    return []


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, forms: list[dict[str, str]]) -> list[str]:
    """By what was asked: a grant type, or ``device``."""
    found: list[str] = []

    def token(stack: object, subject: str, form: dict[str, str], *, demo: bool) -> Credential:
        found.append(form["grant_type"].rpartition(":")[2])
        forms.append(form)
        return Credential(subject=subject, token="t", expires_in_s=1, demo=demo)

    def device(stack: object, subject: str, scope: str) -> Credential:
        found.append("device")
        forms.append({"scope": scope})
        return Credential(subject=subject, token="t", expires_in_s=1, demo=False)

    monkeypatch.setattr(edge, "_token", token)
    monkeypatch.setattr(edge, "_device_flow", device)
    return found


def obtain(*roles: str, subject: str) -> Credential:
    store: Store = Passwords()  # type: ignore[assignment]  # all that is asked of it
    return edge.obtain(with_mfa(LAPTOP, *roles), store, subject)


def test_a_demo_takes_the_generated_password(asked: list[str]) -> None:
    assert obtain(subject="alice").demo
    assert asked == ["password"]


def test_but_not_for_a_role_that_asks_for_more(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert not obtain("engineer", subject="alice").demo
    assert asked == ["device"]
    said = capsys.readouterr().err
    assert "role 'engineer' asks for a second factor (roles.engineer.mfa)" in said
    assert "browser" in said


def test_others_are_not_asked(asked: list[str]) -> None:
    obtain("engineer", subject="bob")
    obtain("analyst", subject="nightly-report")
    assert asked == ["password", "client_credentials"]


def acting(environment: str, *departments: str) -> Stack:
    agent = LAPTOP.agents["nightly-report"].model_copy(update={"on_behalf_of": departments})
    return LAPTOP.model_copy(update={"environment": environment, "agents": {"nightly-report": agent}})


@pytest.mark.parametrize(("environment", "by"), [("demo", "password"), ("production", "device")])
def test_an_agent_gets_a_token_for_one_that_a_person_gave_it(
    asked: list[str], forms: list[dict[str, str]], environment: str, by: str
) -> None:
    store: Store = Passwords()  # type: ignore[assignment]  # all that is asked of it
    given = edge.exchanged(acting(environment, "research"), store, "nightly-report", "alice")
    assert asked == [by, "token-exchange"]
    assert forms[0]["scope"] == "openid for-agent-nightly-report"
    assert forms[1] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "client_id": "agent-nightly-report",
        "client_secret": "value-of-agent-nightly-report-client-secret",
        "subject_token": "t",
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    assert given.demo is (environment == "demo")


@pytest.mark.parametrize(
    ("departments", "agent", "person", "says"),
    [
        ((), "nightly-report", "alice", "(agents.nightly-report.on_behalf_of: -)"),
        (("finance",), "nightly-report", "alice", "may not act for 'alice' (agents.nightly-report.on_behalf_of: fin"),
        (("research",), "bob", "alice", "'bob' is no agent"),
        (("research",), "nightly-report", "nightly-report", "not for another agent"),
    ],
)
def test_what_cannot_be_is_said_before_anybody_is_asked(
    asked: list[str], departments: tuple[str, ...], agent: str, person: str, says: str
) -> None:
    store: Store = Passwords()  # type: ignore[assignment]  # all that is asked of it
    with pytest.raises(CommandError) as caught:
        edge.exchanged(acting("demo", *departments), store, agent, person)
    assert caught.value.code == Exit.USAGE
    assert says in str(caught.value)
    assert not asked


@pytest.mark.parametrize(("status", "code"), [(502, Exit.UNREACHABLE), (503, Exit.UNREACHABLE), (401, Exit.FAILED)])
def test_a_keycloak_that_is_away_is_not_one_that_refuses(status: int, code: Exit) -> None:
    with respx.mock() as played:
        played.post(url__regex=r"/protocol/openid-connect/token$").respond(status, text="Bad Gateway")
        with pytest.raises(CommandError) as caught:
            obtain(subject="alice")
    assert caught.value.code == code
    assert f"HTTP {status}" in str(caught.value)
