"""Space set aside for the state: given up when the state is torn, and not before."""

from __future__ import annotations

import errno
import time
from pathlib import Path

import pytest

from infra.cli.spare import spare, torn
from infra.supply.engine import state_file

WHOLE, TORN = '{"version": 3}', '{"version": '


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    file = state_file("t")
    file.parent.mkdir(parents=True)
    return file


def write(state: Path, text: str) -> None:
    """As the engine does: a new file in the old one's place."""
    new = state.with_suffix(".new")
    new.write_text(text)
    new.replace(state)


def test_a_run_whose_state_is_whole_fails_as_it_fails(state: Path) -> None:
    def run() -> None:
        write(state, WHOLE)
        time.sleep(0.6)
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"), spare("t"):
        run()


def test_a_run_whose_state_was_torn_fails_by_the_full_disk(state: Path) -> None:
    def run() -> None:
        write(state, TORN)
        time.sleep(0.8)
        write(state, WHOLE)
        raise ValueError("cancelled")

    with pytest.raises(OSError, match="No space left") as full, spare("t"):
        run()
    assert full.value.errno == errno.ENOSPC
    assert isinstance(full.value.__cause__, ValueError)


def test_nothing_is_left_of_it(state: Path) -> None:
    with spare("t"):
        pass
    assert [file for file in state.parents[2].parent.rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(("text", "is_torn"), [("", True), (TORN, True), (WHOLE, False), (None, False)])
def test_what_is_torn(state: Path, text: str | None, is_torn: bool) -> None:
    if text is not None:
        state.write_text(text)
    assert torn(state) is is_torn
