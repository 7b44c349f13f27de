"""``praxis keys``: it lists, and revokes after a yes."""

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

KEYS = [
    {"key": digest * 6, "name": name, "models": ["small", "tiny"][:count], "created": "c", "expires": "e"}
    for digest, name, count in (("0a", "alice", 0), ("0b", "bob", 2))
]


class Machine:
    """A custodian that keeps two keys."""

    def __init__(self, outside: respx.MockRouter) -> None:
        self.posted: list[dict[str, Any]] = []
        self.revoked = 1
        outside.route(host="127.0.0.1").mock(side_effect=self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"keys": KEYS})
        self.posted.append(json.loads(request.content))
        return httpx.Response(200, json={"revoked": self.revoked})

    def run(self, *arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, ["keys", *arguments], input=typed)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    open_store("laptop", load_stack("laptop", STACKS))
    with respx.mock(assert_all_called=False) as outside:
        yield Machine(outside)


def test_they_are_listed(machine: Machine) -> None:
    assert json.loads(machine.run("list", "laptop", "--json").stdout) == KEYS
    shown = machine.run("list", "laptop", "--as", "bob").stdout
    assert "0b0b0b0b0b0b" in shown
    assert "alice" not in shown


def test_a_yes_is_asked_for(machine: Machine) -> None:
    refused = machine.run("revoke", "laptop", "--as", "alice", typed="n\n")
    assert (refused.exit_code, machine.posted) == (1, [])
    assert machine.run("revoke", "laptop", "--as", "alice", typed="y\n").exit_code == 0
    assert machine.run("revoke", "laptop", "--as", "alice", "--key", "0a" * 6, "--yes").exit_code == 0
    assert machine.posted == [{"name": "alice", "key": None}, {"name": "alice", "key": "0a" * 6}]


@pytest.mark.parametrize("more", [[], ["--key", "0c" * 6]])
def test_no_such_key_is_said(machine: Machine, more: list[str]) -> None:
    machine.revoked = 0
    result = machine.run("revoke", "laptop", "--as", "alice", "--yes", *more)
    assert result.exit_code == 2
    assert "keys list laptop --as alice" in result.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "small"], "--model and --days are for a virtual key"),
        (["--days", "3"], "--model and --days are for a virtual key"),
        (["--kind", "virtual-key", "--model", "nowhere"], "no model 'nowhere' in this stack"),
        (["--kind", "virtual-key", "--days", "0"], "--days"),
    ],
)
def test_terms_that_cannot_be(machine: Machine, options: list[str], told: str) -> None:
    refused = CliRunner().invoke(app, ["token", "laptop", "--as", "alice", *options])
    assert refused.exit_code == 2
    assert told in " ".join(refused.output.replace("│", " ").split())
    assert machine.posted == []
