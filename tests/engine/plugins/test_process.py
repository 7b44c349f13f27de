"""The stand-ins as processes: how they are installed, start, and end with the engine, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from infra.plugins.install import OWN, STAND_INS, install, write_launcher
from infra.plugins.standins.docker.provider import DockerStandIn
from infra.supply.engine import ENGINE
from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.harness import PROJECT, Engine, environment

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well
REPOSITORY = Path(__file__).parents[3]
WAITING = """
import sys
import pulumi, pulumi_docker
from pulumi import automation

name, image, command = sys.argv[1:]

def program():
    pulumi_docker.Container("one", name=name, image=image, entrypoints=["sh", "-c"], command=["sleep 3600"], init=True,
        network_mode="none", labels=[pulumi_docker.ContainerLabelArgs(label="praxis.stack", value=name)],
        healthcheck=pulumi_docker.ContainerHealthcheckArgs(tests=["CMD-SHELL", command], interval="1s", retries=1),
        wait=True, wait_timeout=200)

stack = automation.create_or_select_stack(name, project_name="%s", program=program)
stack.up(on_output=print, color="never", show_secrets=False)
"""


def until(condition: Callable[[], bool], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def children(pid: int) -> dict[int, str]:
    """Living child processes: pid -> command line."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8").rsplit(") ", 1)[1].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                text = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(status.parent.name)] = text
        except (OSError, IndexError):
            continue
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1][0] != "Z"
    except OSError:
        return False


class Run:
    """A program in a process of its own, whose engine waits for a container that never gets healthy."""

    def __init__(self, engine: Engine, name: str, image: str, check: str = "false") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WAITING % PROJECT, name, image, check],
            env={
                **os.environ,
                **environment(engine.folder),
                "PYTHONPATH": str(REPOSITORY),
                "TMPDIR": str(engine.folder),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._name = name

    def is_waiting(self) -> bool:
        found = docker.from_env().containers.list(filters={"name": self._name})
        return bool(found) and found[0].attrs["State"].get("Health", {}).get("Status") == "unhealthy"

    @property
    def engine(self) -> int:
        """The engine's process: the one child that runs ``up``."""
        return next(pid for pid, command in children(self.process.pid).items() if " up " in command)

    def plugins(self) -> list[int]:
        return [pid for pid, command in children(self.engine).items() if "infra.plugins.standins" in command]


@pytest.fixture
def waiting(engine: Engine, deploy: Deployer, unique: str, image: str) -> Iterator[Run]:
    deploy(lambda: None)
    run = Run(engine, unique, image)
    assert until(run.is_waiting, 60), run.process.communicate(timeout=5)[0] if run.process.poll() else "not waiting"
    yield run
    run.process.kill()
    run.process.wait()


def test_a_killed_engine_takes_its_plugins_with_it_and_the_next_run_goes_on(
    waiting: Run, engine: Engine, deploy: Deployer, unique: str, image: str
) -> None:
    plugins = waiting.plugins()
    assert len(plugins) == 1
    os.kill(waiting.engine, signal.SIGKILL)
    assert until(lambda: not any(alive(pid) for pid in plugins), 5)
    waiting.process.wait(timeout=30)
    assert docker.from_env().containers.list(all=True, filters={"name": unique})  # cut off: it was left

    deploy(lambda: None).stack.cancel()
    again = Run(engine, unique, image, check="true")
    said, _ = again.process.communicate(timeout=120)
    assert again.process.returncode == 0, said


def test_a_cancelled_run_ends_at_once_and_leaves_nothing(waiting: Run, unique: str) -> None:
    os.kill(waiting.engine, signal.SIGINT)
    said, _ = waiting.process.communicate(timeout=20)
    assert "create one: cancelled while waiting for the container to be healthy" in said
    assert docker.from_env().containers.list(all=True, filters={"name": unique}) == []


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    file = tmp_path / "pulumi-resource-docker"
    write_launcher(file, "docker", Path(sys.executable))
    return file


def started(launcher: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([launcher, "127.0.0.1:1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip().isdigit()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_quietly(launcher: Path, number: signal.Signals) -> None:
    process = started(launcher)
    process.send_signal(number)
    said, complaints = process.communicate(timeout=5)
    assert (process.returncode, said, complaints) == (0, "", "")


def test_it_ends_when_nobody_reads_it_any_more(launcher: Path) -> None:
    process = started(launcher)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=5) == 0


def test_it_ends_when_its_parent_is_gone(launcher: Path, tmp_path: Path) -> None:
    out = tmp_path / "port"
    shell = subprocess.Popen(["/bin/sh", "-c", f'"{launcher}" 127.0.0.1:1 > "{out}" & sleep 60'])
    assert until(lambda: out.exists() and out.read_text(encoding="ascii").strip().isdigit(), 20)
    plugin = next(pid for pid, command in children(shell.pid).items() if "standins" in command)
    shell.kill()
    shell.wait()
    assert until(lambda: not alive(plugin), 5)


def test_a_start_is_cheap_and_small(launcher: Path) -> None:
    cpu_s, sizes_mib = [], []
    for _ in range(3):
        process = started(launcher)
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8").rsplit(") ", 1)[1].split()
        cpu_s.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        sizes_mib.append(int(status.split("VmRSS:")[1].split()[0]) // 1024)
        process.terminate()
        process.wait()
    assert min(cpu_s) < 0.8  # 0.25 where the packages are compiled
    assert max(sizes_mib) < 64


def test_it_is_installed_where_the_engine_looks(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    install(home, Path(sys.executable))
    install(home, Path(sys.executable))  # nothing to do
    listed = subprocess.run(
        [ENGINE.path(), "plugin", "ls"],
        env={**os.environ, **environment(tmp_path), "PULUMI_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name, version in (STAND_INS | OWN).items():
        assert [name, "resource", version] in [line.split()[:3] for line in listed.splitlines()]
    assert not list(home.rglob("*.[0-9]*[0-9]/*.partial"))


def test_the_engine_installs_the_launcher_by_itself(launcher: Path, tmp_path: Path) -> None:
    subprocess.run(
        [ENGINE.path(), "plugin", "install", "resource", "docker", DockerStandIn().version, "--file", launcher],
        env={**os.environ, **environment(tmp_path)},
        capture_output=True,
        check=True,
    )
    assert list((tmp_path / "home/plugins").glob("resource-docker-v*/pulumi-resource-docker"))
