"""The engine with our language host: plain ``pulumi`` from a shell, on a program of two resources."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from infra.supply.engine import build_engine, pulumi_environment

PROGRAM = """
import json, secrets, pulumi  # a neighbour called secrets.py must not come first
class Thing(pulumi.ComponentResource):
    def __init__(self, name, props):
        super().__init__("test:index:Thing", name, props)
        self.register_outputs(props)
config = pulumi.Config()
Thing("one", {"size": config.get_int("size") or 1})
pulumi.export("word", pulumi.Output.secret("hidden-word"))
pulumi.export("stdlib", "token_hex" in dir(secrets))
if config.get_bool("slow"):
    import time
    time.sleep(60)
if config.get_bool("broken"):
    raise ValueError("broken on purpose")
"""


class Shell:
    """A shell in a project's folder, with the environment that ``praxis env`` prints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, **pulumi_environment("test")}

    def pulumi(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["pulumi", *words, "--non-interactive", "--color=never"]
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=120, check=False
        )

    def set(self, key: str, value: str) -> None:
        assert self.pulumi("config", "set", key, value, "-s", "test").returncode == 0


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    build_engine()
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    (project / "infra").mkdir(parents=True)
    (project / "Pulumi.yaml").write_text("name: test\nruntime: python\nmain: infra/\n")
    (project / "infra/__main__.py").write_text(PROGRAM)
    (project / "infra/secrets.py").write_text("raise ImportError('shadowed')\n")
    made = Shell(project)
    assert made.pulumi("stack", "init", "test").returncode == 0
    return made


def test_up_preview_change_and_destroy(shell: Shell) -> None:
    up = shell.pulumi("up", "--yes", "-s", "test")
    assert up.returncode == 0, up.stdout + up.stderr
    assert "2 created" in up.stdout
    assert "hidden-word" not in up.stdout + up.stderr
    assert json.loads(shell.pulumi("stack", "output", "--json", "-s", "test").stdout)["stdlib"] is True
    assert shell.pulumi("preview", "--expect-no-changes", "-s", "test").returncode == 0
    shell.set("size", "2")
    assert shell.pulumi("preview", "--expect-no-changes", "-s", "test").returncode == 7
    assert shell.pulumi("destroy", "--yes", "-s", "test").returncode == 0


def test_the_state_holds_no_secret_in_the_clear(shell: Shell) -> None:
    shell.pulumi("up", "--yes", "-s", "test")
    state = shell.folder.parent / "home/state"
    written = [path.read_bytes() for path in state.rglob("*") if path.is_file()]
    assert written
    assert not any(b"hidden-word" in content for content in written)


def test_a_broken_program_is_an_error_with_its_cause(shell: Shell) -> None:
    shell.set("broken", "true")
    result = shell.pulumi("up", "--yes", "-s", "test")
    assert result.returncode != 0
    assert "broken on purpose" in result.stdout + result.stderr


def test_about_and_install_know_the_language(shell: Shell) -> None:
    about = json.loads(shell.pulumi("about", "--json").stdout)
    assert about["cliAbout"]["version"] == "3.274.1"
    assert any(package["name"] == "pulumi" for package in about["dependencies"])
    assert shell.pulumi("install").returncode == 0


def _hosts(shell: Shell) -> list[int]:
    """Running language hosts of this test's engine."""
    mark = f"PRAXIS_HOME={shell.environ['PRAXIS_HOME']}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if b"engine/host.py" in (folder / "cmdline").read_bytes() and mark in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_the_host_ends_with_a_killed_engine(shell: Shell) -> None:
    shell.environ |= {"PRAXIS_HOME": os.environ["PRAXIS_HOME"]}
    shell.set("slow", "true")
    command = ["pulumi", "preview", "-s", "test", "--non-interactive"]
    engine = subprocess.Popen(command, cwd=shell.folder, env=shell.environ, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not _hosts(shell):
        assert time.monotonic() < deadline, "the language host was never started"
        time.sleep(0.1)
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    deadline = time.monotonic() + 10
    while _hosts(shell):
        assert time.monotonic() < deadline, "the language host outlived its engine"
        time.sleep(0.1)
