"""How the command line comes by an access token."""

from __future__ import annotations

import pytest
import respx

from config import load_stack
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
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """By what was asked: a grant type, or ``device``."""
    found: list[str] = []

    def token(stack: object, subject: str, form: dict[str, str], *, demo: bool) -> Credential:
        found.append(form["grant_type"])
        return Credential(subject=subject, token="t", expires_in_s=1, demo=demo)

    def device(stack: object, subject: str) -> Credential:
        found.append("device")
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


@pytest.mark.parametrize(("status", "code"), [(502, Exit.UNREACHABLE), (503, Exit.UNREACHABLE), (401, Exit.FAILED)])
def test_a_keycloak_that_is_away_is_not_one_that_refuses(status: int, code: Exit) -> None:
    with respx.mock() as played:
        played.post(url__regex=r"/protocol/openid-connect/token$").respond(status, text="Bad Gateway")
        with pytest.raises(CommandError) as caught:
            obtain(subject="alice")
    assert caught.value.code == code
    assert f"HTTP {status}" in str(caught.value)
