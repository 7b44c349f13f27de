"""The way from a bare Python: the launcher, the environments, and what they say when they cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.paths import REPOSITORY
from infra.supply import bootstrap
from infra.supply.process import SupplyError
from infra.supply.python import LOCKS, environment_folder
from infra.supply.root import as_root, ensure_programs

LAUNCHER = REPOSITORY / "praxis"


def test_the_launcher_refuses_an_old_python(tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    result = subprocess.run([LAUNCHER, "--help"], env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "needs Python 3.11" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(("extras", "lock"), [("", "operate.txt"), ("1", "extras.txt")])
def test_the_bootstrap_needs_only_the_standard_library(tmp_path: Path, extras: str, lock: str) -> None:
    """Run by a Python without any package, with an environment that is there: it must get as far as starting it."""
    folder = tmp_path / "cache/python" / environment_folder(LOCKS / lock).name
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").write_text('#!/bin/sh\necho "started $@"\n')
    (folder / "bin/python").chmod(0o755)
    (folder / ".complete").touch()
    command: list[str | Path] = [
        sys.executable,
        "-I",
        "-S",
        REPOSITORY / "infra/supply/bootstrap.py",
        "status",
        "laptop",
    ]
    environ = {**os.environ, "PRAXIS_CACHE": str(tmp_path / "cache"), "PRAXIS_EXTRAS": extras}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.stderr == ""
    assert result.stdout.startswith("started -P -c")
    assert result.stdout.endswith("status laptop\n")


def test_an_environment_is_named_by_its_lock(tmp_path: Path) -> None:
    lock = tmp_path / "operate.txt"
    lock.write_text("a==1 --hash=sha256:0\n")
    first = environment_folder(lock)
    lock.write_text("a==2 --hash=sha256:0\n")
    assert environment_folder(lock) != first
    assert environment_folder(lock).name.startswith("operate-3.")


def test_a_half_made_environment_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAXIS_CACHE", str(tmp_path))
    lock = LOCKS / "operate.txt"
    (environment_folder(lock) / "bin").mkdir(parents=True)
    (environment_folder(lock) / "bin/half").touch()
    ran: list[str] = []

    def run(command: list[object], *, what: str, **_: object) -> None:
        ran.append(what)
        (environment_folder(lock) / "bin").mkdir(parents=True, exist_ok=True)
        (environment_folder(lock) / "bin/python").touch()

    uv = tmp_path / "uv"
    uv.touch()
    monkeypatch.setattr(bootstrap, "run", run)
    monkeypatch.setattr(bootstrap, "_uv", lambda: uv)
    for _ in range(2):
        assert bootstrap.environment(lock) == environment_folder(lock)
    assert ran == ["making the environment", "installing Python packages"]
    assert not (environment_folder(lock) / "bin/half").exists()


def test_what_is_there_is_not_installed() -> None:
    ensure_programs({"sh": "dash"}, pytest.fail)


def test_without_apt_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SupplyError, match=r"missing on this host: docker\.io iptables") as caught:
        ensure_programs({"dockerd": "docker.io", "iptables": "iptables"}, pytest.fail)
    assert "package tool" in caught.value.fix


def test_without_root_and_sudo_it_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(SupplyError, match="no sudo") as caught:
        as_root("sudo apt-get install x")
    assert caught.value.fix == "sudo apt-get install x"
