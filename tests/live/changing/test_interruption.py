"""``up``, ``preview`` and ``down`` ended at any moment, by a signal, a full disk or a dead Docker daemon: the next run
comes to the declared state, and nothing else is left.

A stack of its own is made, killed and made again. ``PRAXIS_INTERRUPTIONS`` says at how many moments (each about two
minutes); they are spread over the time that a whole ``up`` takes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import yaml

from infra.cli.interrupted import RUN
from infra.cli.spare import SPARE_BYTES
from infra.paths import REPOSITORY
from infra.supply.host import ensure_docker
from tests import daemon
from tests.filling import fill, small_disk
from tests.proof import Proof

NAME = "cut"
PORTS = {"http_port": 28080, "https_port": 28443, "admin_port": 28090}
MOMENTS = int(os.environ.get("PRAXIS_INTERRUPTIONS", "1"))
WHOLE_S = float(os.environ.get("PRAXIS_INTERRUPTIONS_WITHIN_S", "80"))


@dataclass(frozen=True)
class Cut:
    """The stack that is interrupted."""

    environment: dict[str, str]

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            # What is started in the background ignores SIGINT, and so would its children.
            ["env", "--default-signal=INT", str(REPOSITORY / "praxis"), *arguments],
            env=self.environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def whole(self, *arguments: str) -> tuple[str, str]:
        running = self.begin(*arguments)
        out, said = running.communicate(timeout=600)
        assert running.returncode == 0, out + said
        return out, said

    def interrupted(self, number: signal.Signals, after_s: float, *arguments: str) -> int | None:
        """The exit code; None when it had ended before. SIGKILL meets the command alone, SIGINT all that it started,
        as at a terminal."""
        running = self.begin(*arguments)
        try:
            running.wait(after_s)
        except subprocess.TimeoutExpired:
            if number is signal.SIGKILL:
                running.kill()
            else:
                os.killpg(running.pid, number)
            running.communicate(timeout=120)
            return running.returncode
        return None

    def in_order(self) -> None:
        """Everything runs as declared, nothing runs twice, nothing is left of the run that was killed."""
        status = json.loads(self.whole("status", NAME, "--json")[0])
        assert all(service["ready"] for service in status["services"])
        assert {f"praxis-{NAME}-{service['service']}" for service in status["services"]} == names()
        assert json.loads(self.whole("drift", NAME, "--json")[0])["findings"] == []
        assert engines() == []


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("cut")
    raw = yaml.safe_load((REPOSITORY / "stacks/laptop.yaml").read_text())
    raw["edge"] |= PORTS
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def cut(stacks: Path) -> Iterator[Cut]:
    """What is left of it by one test, the next begins with; each ends in order."""
    running = Cut({**os.environ, "PRAXIS_STACKS": str(stacks)})
    yield running
    running.whole("down", NAME, "--yes")
    assert names() == set()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a few megabytes, for ``PRAXIS_HOME``."""
    with small_disk(tmp_path / "disk", SPARE_BYTES + (6 << 20)) as folder:
        yield folder


@pytest.mark.timeout(900)
def test_a_full_disk(stacks: Path, disk: Path) -> None:
    """It stands first: the others' stack has the same name, and is not there yet."""
    file = REPOSITORY / f"Pulumi.{NAME}.yaml"  # belongs to the stack of another PRAXIS_HOME
    file.unlink(missing_ok=True)
    cut, filler = Cut({**os.environ, "PRAXIS_STACKS": str(stacks), "PRAXIS_HOME": str(disk)}), disk / "filler"
    try:
        fill(filler)
        assert "no space left" in refused(cut.begin("up", NAME)).lower()
        assert names() == set(), "nothing was begun"
        filler.unlink()
        running = cut.begin("up", NAME)
        until = time.monotonic() + 120
        while not names():
            assert time.monotonic() < until
            time.sleep(0.2)
        fill(filler)
        assert "no space left" in refused(running).lower()
        filler.unlink()
        cut.whole("up", NAME)
        cut.in_order()
    finally:
        filler.unlink(missing_ok=True)
        cut.whole("down", NAME, "--yes")
        file.unlink(missing_ok=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", range(MOMENTS))
def test_a_first_up_killed(cut: Cut, moment: int) -> None:
    cut.whole("down", NAME, "--yes")
    after_s = 2 + (WHOLE_S - 2) * (moment + random.random()) / MOMENTS  # noqa: S311 - a moment, no secret
    code = cut.interrupted(signal.SIGKILL, after_s, "up", NAME)
    assert code in (None, -signal.SIGKILL)
    _, said = cut.whole("up", NAME)
    assert "the gateway answers" in said, f"killed after {after_s:.1f} s"
    cut.in_order()


@pytest.mark.timeout(900)
def test_a_preview_and_a_down_killed_and_an_up_interrupted_at_the_terminal(cut: Cut) -> None:
    cut.whole("up", NAME)
    assert cut.interrupted(signal.SIGKILL, 2, "preview", NAME) == -signal.SIGKILL
    assert cut.interrupted(signal.SIGINT, 2, "preview", NAME) != 0
    cut.in_order()
    cut.interrupted(signal.SIGKILL, 6, "down", NAME, "--yes")
    begun = time.monotonic()
    assert cut.interrupted(signal.SIGINT, 20, "up", NAME) != 0
    assert time.monotonic() - begun < 80, "it ends soon"
    assert engines() == []
    cut.whole("up", NAME)
    cut.in_order()


@pytest.mark.timeout(900)
@daemon.may_be_killed
def test_a_docker_daemon_that_dies(cut: Cut, proof: Proof, alice: str) -> None:
    """The next ``up`` starts it again where that is Praxis's to do, and other stacks come back with it."""
    cut.whole("down", NAME, "--yes")
    running = cut.begin("up", NAME)
    time.sleep(12)
    daemon.end(signal.SIGKILL)
    try:
        refused(running)
        cut.whole("up", NAME)
        cut.in_order()
    finally:
        ensure_docker(print)
        proof.wait_until_ready(300)
    assert proof.ask(alice, "Say hello.").status_code == 200


def refused(running: subprocess.Popen[str]) -> str:
    """What a command said that failed in words."""
    out, said = running.communicate(timeout=300)
    assert running.returncode in (1, 3), out + said
    assert "error: " in said
    assert "Traceback" not in said
    return said


def names() -> set[str]:
    found = docker.from_env().containers.list(all=True, filters={"label": f"praxis.stack={NAME}"})
    return {str(container.name) for container in found}


def engines() -> list[int]:
    """Processes that work for this stack's commands still. They may take a moment to end."""
    until = time.monotonic() + 5
    while found := [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _ours(pid)]:
        if time.monotonic() > until:
            return found
        time.sleep(0.2)
    return []


def _ours(pid: int) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{RUN}=".encode() in environment and f"/stacks/{NAME}/passphrase".encode() in environment
