"""Running build programs, their progress, and several jobs at once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from infra.supply.building import run_all
from infra.supply.process import SupplyError, run
from infra.supply.progress import Progress


def test_a_failure_shows_the_last_lines_and_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "logs/x.log"
    with pytest.raises(SupplyError, match="building x: sh ended with 3") as caught:
        run(["sh", "-c", "seq 100; echo broken >&2; exit 3"], what="building x", log=log)
    assert "broken" in str(caught.value)
    assert "\n    1\n" not in str(caught.value)
    assert str(log) in caught.value.fix
    assert log.read_text().startswith("1\n2\n")


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match="there is no program praxis-no-such") as caught:
        run(["praxis-no-such"], what="x", log=tmp_path / "log")
    assert caught.value.fix == "install praxis-no-such"


def test_environment_and_input_reach_the_program(tmp_path: Path) -> None:
    run(["sh", "-c", 'cat; echo "$A"'], what="x", log=tmp_path / "log", env={"A": "given"}, stdin="typed\n")
    assert (tmp_path / "log").read_text() == "typed\ngiven\n"


def test_a_long_step_says_that_it_still_runs() -> None:
    lines: list[str] = []
    progress = Progress(lines.append, 2, beat_s=0.02)
    with progress.step("engine"):
        time.sleep(0.1)
    with pytest.raises(ValueError, match="x"), progress.step("image"):
        raise ValueError("x")
    assert lines[0] == "[1/2] engine: started"
    assert any("so far" in line for line in lines)
    assert "[1/2] engine: done in 0 s" in lines
    assert lines[-1] == "[2/2] image: failed after 0 s"


def test_jobs_overlap_and_the_first_error_is_raised_when_the_rest_has_ended() -> None:
    both = threading.Barrier(2, timeout=10)
    ran: list[str] = []

    def good() -> None:
        both.wait()
        ran.append("good")

    def bad() -> None:
        both.wait()
        raise SupplyError("no")

    with pytest.raises(SupplyError, match="no"):
        run_all({"good": good, "bad": bad}, Progress(lambda _: None, 2))
    assert ran == ["good"]


def test_after_an_error_nothing_new_begins() -> None:
    ran: list[str] = []

    def bad() -> None:
        raise SupplyError("no")

    jobs = {"bad": bad, "bad too": bad, **{f"job {i}": (lambda i=i: ran.append(str(i))) for i in range(20)}}  # type: ignore[misc]
    with pytest.raises(SupplyError, match="no"):
        run_all(jobs, Progress(lambda _: None, 22))
    assert len(ran) < 20
