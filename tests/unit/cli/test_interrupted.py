"""Locks of runs that are gone are freed, engines that go on without their command are ended; others are left alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cli.interrupted import LOCKS, RUN, alive, free_locks
from infra.supply.engine import state_folder

# It says itself who it is: a process that is only just being started has no environment yet.
ENGINE = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
COMMAND = f"""
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", {ENGINE!r}], env={{**os.environ, {RUN!r}: str(os.getpid())}})
time.sleep(600)
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path))
    folder = state_folder() / LOCKS / "organization" / "praxis" / "s"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def run() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command, and the process id of its engine."""
    command = subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    engine = int(command.stdout.readline())
    yield command, engine
    command.kill()
    command.wait()
    if alive(engine):
        os.kill(engine, signal.SIGKILL)


def lock(folder: Path, pid: int, host: str | None = None) -> Path:
    file = folder / f"{pid}.json"
    file.write_text(json.dumps({"pid": pid, "hostname": host or socket.gethostname()}))
    return file


def test_a_lock_of_a_run_that_is_gone_is_freed(locks: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    file, said = lock(locks, gone.pid), list[str]()
    free_locks("s", said.append)
    assert not file.exists()
    assert said == [f"freed the lock of run {gone.pid}, which is gone"]


def test_a_run_that_lives_keeps_its_lock(locks: Path, run: tuple[subprocess.Popen[str], int]) -> None:
    _, engine = run
    file, said = lock(locks, engine), list[str]()
    free_locks("s", said.append)
    assert (file.exists(), alive(engine), said) == (True, True, [])


def test_an_engine_that_nobody_of_ours_started_keeps_its_lock(locks: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ENGINE]) as engine:
        file = lock(locks, engine.pid)
        free_locks("s", lambda _: None)
        assert (file.exists(), alive(engine.pid)) == (True, True)
        engine.kill()


def test_an_engine_whose_command_was_killed_is_ended(locks: Path, run: tuple[subprocess.Popen[str], int]) -> None:
    command, engine = run
    file = lock(locks, engine)
    command.kill()
    command.wait()
    free_locks("s", lambda _: None)
    until = time.monotonic() + 5
    while alive(engine) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(engine)
    assert not file.exists()


def test_locks_of_other_hosts_other_stacks_and_halves_are_left(locks: Path) -> None:
    far, half = lock(locks, 1, "elsewhere"), locks / "2.json"
    half.write_text('{"pid": 2')
    other = locks.with_name("t")
    other.mkdir()
    theirs = lock(other, 2**22 + 1)
    free_locks("s", lambda _: None)
    assert far.exists()
    assert half.exists()
    assert theirs.exists()
