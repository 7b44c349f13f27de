"""What ``supply: auto`` means: decided once for a stack, said once with the reason, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import docker
import pytest
from docker.errors import DockerException

from config import Stack, load_stack
from infra.paths import STACKS
from infra.supply import pins, programs, registry
from infra.supply.choice import against_official, decided, settled
from infra.supply.pins import Pins
from infra.supply.process import SupplyError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which nothing is against ``official``."""
    monkeypatch.setattr(pins, "complete", Pins)
    monkeypatch.setattr(programs, "this_platform", lambda: "linux-amd64")
    monkeypatch.setattr(docker, "from_env", lambda: SimpleNamespace(version=lambda: {"Arch": "amd64"}))
    monkeypatch.setattr(registry, "container_registry_reached", lambda: True)


@pytest.fixture
def stack() -> Stack:
    return load_stack("laptop", STACKS)


@pytest.mark.usefixtures("everything")
class TestAgainstOfficial:
    def test_nothing(self) -> None:
        assert against_official() == ""

    def test_no_lock(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(pins, "complete", lambda: real(tmp_path / "none.json"))
        assert against_official().endswith("which is not there; write it: ./praxis lock")

    def test_a_platform_that_nothing_is_published_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse() -> None:
            raise SupplyError("supply: official runs on a, b; this is c", fix="f")

        monkeypatch.setattr(programs, "this_platform", refuse)
        assert "this is c" in against_official()

    def test_a_daemon_of_another_kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(docker, "from_env", lambda: SimpleNamespace(version=lambda: {"Arch": "arm64"}))
        assert "the Docker daemon runs arm64" in against_official()

    def test_no_daemon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails() -> None:
            raise DockerException("no socket")

        monkeypatch.setattr(docker, "from_env", fails)
        assert "does not answer: no socket" in against_official()

    def test_no_registry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "container_registry_reached", lambda: False)
        assert against_official() == "the container registry is not reached"


real = pins.complete


@pytest.mark.usefixtures("everything")
def test_said_once_and_kept_when_the_world_changes(stack: Stack, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    said: list[str] = []
    assert settled("laptop", stack).supply == "auto"
    assert decided("laptop", stack, said.append).supply == "official"
    monkeypatch.setattr(registry, "container_registry_reached", lambda: False)
    assert decided("laptop", stack, said.append).supply == "official"
    assert settled("laptop", stack).supply == "official"
    assert said == ["supply: official (the container registry is reached, and every part is locked)"]
    assert json.loads((home / "stacks/laptop/choices.json").read_text())["supply"] == "official"
    assert decided("another", stack, said.append).supply == "registries", "each stack has its own"
    assert said[1:] == ["supply: registries (the container registry is not reached)"]


def test_what_the_file_says_is_not_decided(stack: Stack, home: Path) -> None:
    told = stack.model_copy(update={"supply": "official"})
    assert decided("laptop", told, lambda _: pytest.fail("nothing to say")) == told
    assert not (home / "stacks").exists()


@pytest.mark.usefixtures("everything")
def test_the_file_wins_over_what_was_decided(stack: Stack) -> None:
    decided("laptop", stack, lambda _: None)
    assert settled("laptop", stack.model_copy(update={"supply": "registries"})).supply == "registries"
