"""A host port that another program holds is bad input, and finding that out needs no Docker daemon."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from config import SettingsError, load_stack
from infra.cli import lifecycle
from infra.cli.loading import Loaded
from infra.paths import STACKS, stack_folder


@pytest.fixture
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")


@pytest.fixture
def held() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def loaded(http_port: int) -> Loaded:
    stack = load_stack("laptop", STACKS)
    edge = stack.edge.model_copy(update={"http_port": http_port, "https_port": free(), "admin_port": free()})
    return Loaded("laptop", stack.model_copy(update={"edge": edge}), stack_folder("laptop"))


def free() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


def test_free_ports_ask_no_daemon(no_docker: None) -> None:
    """A bare machine has none yet: it is installed in the next step."""
    lifecycle.refuse_taken_ports(loaded(free()))


def test_a_held_port_is_named_without_a_daemon(no_docker: None, held: int) -> None:
    with pytest.raises(SettingsError) as caught:
        lifecycle.refuse_taken_ports(loaded(held))
    (problem,) = caught.value.problems
    assert problem.key == "edge.http_port"
    assert str(held) in problem.message
