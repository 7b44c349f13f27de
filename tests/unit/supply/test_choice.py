"""What ``supply: auto`` means: decided once for a stack, said once with the reason, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import docker
import pytest
from docker.errors import DockerException

from config import SettingsError, Stack, load_stack
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
    monkeypatch.setattr(docker, "from_env", daemon)
    monkeypatch.setattr(registry, "container_registry_reached", lambda: True)


def daemon(architecture: str = "amd64", memory: int = 16 * 10**9) -> SimpleNamespace:
    return SimpleNamespace(version=lambda: {"Arch": architecture}, info=lambda: {"MemTotal": memory})


@pytest.fixture
def stack() -> Stack:
    """``supply: auto``, with MLflow."""
    return load_stack("laptop", STACKS)


def asking(stack: Stack, supply: str, store: str) -> Stack:
    seen = stack.observability.model_copy(update={"store": store})
    return stack.model_copy(update={"supply": supply, "observability": seen})


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
        monkeypatch.setattr(docker, "from_env", lambda: daemon("arm64"))
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


@pytest.mark.usefixtures("everything")
class TestTraceStore:
    def test_auto_takes_langfuse_where_it_can_run(self, stack: Stack) -> None:
        said: list[str] = []
        found = decided("one", asking(stack, "auto", "auto"), said.append)
        assert (found.supply, found.observability.store) == ("official", "langfuse")
        assert said[1] == "observability.store: langfuse (there is room for it)"
        assert decided("one", asking(stack, "auto", "auto"), said.append) == found
        assert len(said) == 2, "said once"

    def test_auto_says_why_it_takes_mlflow(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(docker, "from_env", lambda: daemon(memory=8 * 10**9))
        said: list[str] = []
        assert decided("one", asking(stack, "official", "auto"), said.append).observability.store == "mlflow"
        assert said == ["observability.store: mlflow (langfuse needs 12 GB of memory, and there are 8.0)"]

    def test_auto_with_registries(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "container_registry_reached", lambda: False)
        said: list[str] = []
        assert decided("one", asking(stack, "auto", "auto"), said.append).observability.store == "mlflow"
        assert "langfuse needs supply: official, and this is registries" in said[1]

    def test_another_port_than_the_realms_own(self, stack: Stack) -> None:
        moved = stack.model_copy(update={"edge": stack.edge.model_copy(update={"http_port": 9080})})
        said: list[str] = []
        assert decided("one", asking(moved, "auto", "auto"), said.append).observability.store == "mlflow"
        assert "edge.http_port: 8080" in said[1]

    @pytest.mark.parametrize("supply", ["auto", "official"])
    def test_what_is_asked_for_and_cannot_run_is_refused(
        self, stack: Stack, supply: str, monkeypatch: pytest.MonkeyPatch, home: Path
    ) -> None:
        monkeypatch.setattr(docker, "from_env", lambda: daemon(memory=8 * 10**9))
        with pytest.raises(SettingsError, match="langfuse needs 12 GB") as caught:
            decided("one", asking(stack, supply, "langfuse"), lambda _: None)
        (problem,) = caught.value.problems
        assert problem.key == "observability.store"
        assert problem.message.endswith("set store: mlflow")
        assert not (home / "stacks").exists()

    def test_the_reason_of_the_supply_is_said_with_it(self, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "container_registry_reached", lambda: False)
        with pytest.raises(SettingsError, match="the container registry is not reached"):
            decided("one", asking(stack, "auto", "langfuse"), lambda _: None)

    def test_what_is_declared_and_can_run_is_taken(self, stack: Stack, home: Path) -> None:
        told = asking(stack, "official", "langfuse")
        assert decided("one", told, lambda _: pytest.fail("nothing to say")) == told
        assert not (home / "stacks").exists()
