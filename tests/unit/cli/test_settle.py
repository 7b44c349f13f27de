"""Operations that a killed run has left, and a run that goes on."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pulumi import automation

from infra.cli.console import CommandError
from infra.cli.engine import deployment, refuse_beside_another, settle
from infra.supply.engine import state_file

URN = "urn:pulumi:t::praxis::docker:index/container:Container::service-redis"
HELD = {"resources": [], "pending_operations": [{"type": "creating", "resource": {"urn": URN}}]}


class Command:
    """The engine's command line, which keeps what it is given or refuses."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.kept: list[dict[str, Any]] = []

    def run(self, command: list[str], **_: Any) -> SimpleNamespace:
        if self.refusal:
            error = automation.CommandError.__new__(automation.CommandError)
            Exception.__init__(error, self.refusal)
            raise error
        file = Path(command[command.index("--file") + 1])
        self.kept.append(json.loads(file.read_text())["deployment"])
        return SimpleNamespace(stdout="")


def stack(command: Command) -> automation.Stack:
    space = SimpleNamespace(pulumi_command=command, work_dir=".", env_vars={})
    return cast(automation.Stack, SimpleNamespace(name="t", workspace=space))


@pytest.mark.parametrize(
    ("held", "said"), [("", "is torn"), ("{}", "cannot be read: error: EOF")], ids=["torn", "whole"]
)
def test_a_state_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str, said: str) -> None:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    state_file("t").parent.mkdir(parents=True)
    state_file("t").write_text(held)
    with pytest.raises(CommandError, match=f"the stack's state {said}"):
        deployment(stack(Command("error: EOF")))


def test_what_was_only_begun_is_taken_out_and_told() -> None:
    command = Command()
    assert settle(stack(command), HELD) == ["creating container service-redis"]
    assert command.kept == [{"resources": []}]


def test_where_nothing_was_begun_nothing_is_written() -> None:
    command = Command()
    assert settle(stack(command), {"resources": []}) == []
    assert command.kept == []


def test_a_run_that_goes_on_is_named() -> None:
    said = (
        "the stack is currently locked by 1 lock(s).\n  file:///x: created by root@vm (pid 32) at 2026-11-27T00:31:38Z"
    )
    with pytest.raises(CommandError, match=r"locked by another run \(root@vm \(pid 32\) at 2026-11-27") as refused:
        settle(stack(Command(said)), HELD)
    assert "wait for it" in str(refused.value.fix)


def test_what_has_begun_is_left_as_it_is_where_a_run_goes_on() -> None:
    command = Command()
    refuse_beside_another(stack(command), HELD)
    assert command.kept == [HELD], "written as it was: only the lock matters"
    with pytest.raises(CommandError, match="locked by another run"):
        refuse_beside_another(stack(Command("the stack is currently locked by 1 lock(s).")), HELD)
