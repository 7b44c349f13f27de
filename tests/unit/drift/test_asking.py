"""A program in a container that looks is asked again when the daemon has lost what it said."""

from __future__ import annotations

from typing import Any, cast

import pytest
from docker.models.containers import Container

from infra.drift.asking import TIMES, Answer, ask

Ran = tuple[int, tuple[bytes | None, bytes | None]]
LOST: Ran = (0, (None, None))


class Played:
    """Each run ends as the next of these."""

    def __init__(self, *runs: Ran) -> None:
        self.left = list(runs)

    def exec_run(self, command: list[str], **options: Any) -> Ran:
        assert (command, options) == (["look"], {"demux": True})
        return self.left.pop(0)


def asked(played: Played) -> Answer:
    return ask(cast(Container, played), ["look"])


@pytest.mark.parametrize("lost", [0, 1, TIMES - 1])
def test_what_was_lost_is_asked_for_again(lost: int) -> None:
    played = Played(*[LOST] * lost, (0, (b"{}", b"a notice")))
    assert asked(played) == Answer(code=0, said=b"{}", complaint=b"a notice")
    assert played.left == []


def test_a_program_that_goes_on_saying_nothing_is_left() -> None:
    played = Played(*[LOST] * (TIMES + 1))
    assert asked(played) == Answer(code=0, said=b"", complaint=b"")
    assert len(played.left) == 1


def test_one_that_fails_is_asked_once() -> None:
    played = Played((2, (None, b"no such role")), LOST)
    assert asked(played) == Answer(code=2, said=b"", complaint=b"no such role")
    assert len(played.left) == 1
