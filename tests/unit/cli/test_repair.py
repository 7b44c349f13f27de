"""When the engine need not run at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pulumi import automation

from infra.cli.console import Steps
from infra.cli.repair import Repair, in_order, provision


class Stack:
    """A stack whose preview says what it is told to."""

    name = "t"

    def __init__(self, summary: dict[Any, int] | Exception) -> None:
        self.summary = summary

    def preview(self, **_: Any) -> SimpleNamespace:
        if isinstance(self.summary, Exception):
            raise self.summary
        return SimpleNamespace(change_summary=self.summary)


def stack(summary: dict[Any, int] | Exception) -> automation.Stack:
    return cast(automation.Stack, Stack(summary))


@pytest.mark.parametrize(
    ("summary", "same"),
    [
        ({"same": 91}, True),
        ({automation.OpType.SAME: 91}, True),
        ({"same": 90, "update": 1}, False),
        ({automation.OpType.SAME: 91, automation.OpType.CREATE: 1}, False),
    ],
)
def test_only_a_preview_of_nothing_makes_a_run_needless(summary: dict[Any, int], same: bool) -> None:
    assert in_order(stack(summary)) is same


def test_a_preview_that_fails_leaves_the_run_to_say_why() -> None:
    failed = automation.CommandError.__new__(automation.CommandError)
    assert in_order(stack(failed)) is False


def test_a_needless_run_is_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    provision(stack({}), Steps(), Repair(needless=True))  # the stack has no up
    assert "nothing to change" in capsys.readouterr().err
