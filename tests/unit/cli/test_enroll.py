"""``praxis enroll``: it prints settings that hold a credential, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from typer.testing import CliRunner, Result

from config import load_stack
from infra.cli.main import app
from infra.custody import open_store
from infra.paths import STACKS

ID = "aB-_" * 10 + "xyz"
URL = f"http://localhost:8080/e/{ID}"
GOOD = [
    {"enrolment": digest * 6, "name": name, "client": "claude-code", "device": "", "bound": False, "created": "c"}
    | {"expires": "e", "last_used": None}
    for digest, name in (("0a", "alice"), ("0b", "bob"))
]


class Machine:
    """A realm that gives out tokens and a custodian that makes enrolments."""

    def __init__(self, outside: respx.MockRouter) -> None:
        self.wanted: list[dict[str, Any]] = []
        self.posted: list[dict[str, Any]] = []
        self.revoked = 1
        self.made = httpx.Response(201, json={"enrolment": ID, "expires_in": 1})
        outside.route(host="127.0.0.1").mock(side_effect=self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        match request.method, request.url.path:
            case "POST", "/me/enrolments":
                assert request.headers["authorization"] == "Bearer token-of-alice"
                self.wanted.append(json.loads(request.content))
                return self.made
            case "POST", "/custodian/enrolments/revoke":
                self.posted.append(json.loads(request.content))
                return httpx.Response(200, json={"revoked": self.revoked})
            case "GET", "/custodian/enrolments":
                return httpx.Response(200, json={"enrolments": GOOD})
        assert request.url.path.endswith("/token")
        return httpx.Response(200, json={"access_token": "token-of-alice", "expires_in": 600})

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, [*arguments], input=typed)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    open_store("laptop", load_stack("laptop", STACKS))
    with respx.mock(assert_all_called=False) as outside:
        yield Machine(outside)


class TestEnroll:
    @pytest.mark.parametrize("more", [[], ["--json"]])
    def test_stdout_is_the_settings(self, machine: Machine, more: list[str]) -> None:
        result = machine.run("enroll", "laptop", "--as", "alice", "--client", "claude-code", *more)
        assert json.loads(result.stdout) == {"env": {"ANTHROPIC_BASE_URL": URL}}
        assert ID not in result.stderr
        assert machine.wanted == [{"client": "claude-code", "device": "", "days": 30}]

    def test_for_a_device_and_a_time(self, machine: Machine) -> None:
        machine.run("enroll", "laptop", "--as", "alice", "--device", "laptop 7", "--days", "7", "--client", "vscode")
        assert machine.wanted == [{"client": "vscode", "device": "laptop 7", "days": 7}]

    @pytest.mark.parametrize("form", ["plist", "powershell", "registry"])
    def test_for_device_management(self, machine: Machine, form: str) -> None:
        assert URL in machine.run("enroll", "laptop", "--as", "alice", "--format", form).stdout

    @pytest.mark.parametrize(
        "wrong",
        [
            ["--as", "nobody"],
            ["--as", "alice", "--days", "0"],
            ["--as", "alice", "--client", "other"],
            ["--as", "alice", "--format", "plist", "--json"],
            ["--as", "alice", "--format", "plist", "--client", "vscode"],
        ],
    )
    def test_bad_input_makes_none(self, machine: Machine, wrong: list[str]) -> None:
        result = machine.run("enroll", "laptop", *wrong)
        assert (result.exit_code, machine.wanted) == (2, [])

    @pytest.mark.parametrize(("status", "code"), [(400, 2), (401, 1), (403, 1), (404, 3), (503, 3)])
    def test_what_the_custodian_refuses(self, machine: Machine, status: int, code: int) -> None:
        machine.made = httpx.Response(status, json={"error": {"message": "device: no such label"}})
        result = machine.run("enroll", "laptop", "--as", "alice", "--device", "x" * 99)
        assert (result.exit_code, result.stdout) == (code, "")
        assert "error:" in result.stderr


class TestEnrolments:
    def test_they_are_listed(self, machine: Machine) -> None:
        assert json.loads(machine.run("enrolments", "list", "laptop", "--json").stdout) == GOOD
        shown = machine.run("enrolments", "list", "laptop", "--as", "bob").stdout
        assert "alice" not in shown
        assert "bob" in shown

    def test_a_yes_is_asked_for(self, machine: Machine) -> None:
        refused = machine.run("enrolments", "revoke", "laptop", "--as", "alice", typed="n\n")
        assert (refused.exit_code, machine.posted) == (1, [])
        called = ["--enrolment", "0a" * 6]
        assert machine.run("enrolments", "revoke", "laptop", "--as", "alice", *called, typed="y\n").exit_code == 0
        assert machine.posted == [{"name": "alice", "enrolment": "0a" * 6}]

    def test_no_such_one_is_said(self, machine: Machine) -> None:
        machine.revoked = 0
        result = machine.run("enrolments", "revoke", "laptop", "--as", "alice", "--yes")
        assert result.exit_code == 2
        assert "enrolments list laptop --as alice" in result.stderr
