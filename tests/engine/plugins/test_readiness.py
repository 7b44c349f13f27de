"""How pulumi-docker's stand-in waits for a container to be healthy."""

from __future__ import annotations

from typing import Any

import docker
import pulumi_docker
import pytest
from pulumi import automation

from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.containers import HEALTHY, sleeper

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


def waited_for(
    name: str, image: str, command: str, check: pulumi_docker.ContainerHealthcheckArgs, **arguments: Any
) -> None:
    """A container whose program is a shell's, waited for."""
    pulumi_docker.Container(
        "one",
        **sleeper(name, image, entrypoints=["sh", "-c"], command=[command], healthcheck=check, wait=True, **arguments),
    )


def test_one_that_is_not_healthy_says_why_and_leaves_nothing(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    check = "echo the reason; false"

    def program() -> None:
        health = pulumi_docker.ContainerHealthcheckArgs(
            tests=["CMD-SHELL", check], interval="1s", timeout="2s", retries=1
        )
        waited_for(unique, image, "echo the log; sleep 3600", health, wait_timeout=3)

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    for word in ("create one: not healthy after 3 s", "the reason", "the log"):
        assert word in stack.said
    assert "Traceback" not in stack.said
    assert "File " not in stack.said
    assert daemon.containers.list(all=True, filters={"name": unique}) == []

    check = "true"
    assert stack.up() == {"create": 1}
    assert stack.preview() == {}


def test_a_check_that_the_daemon_runs_late_is_run_sooner(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    def program() -> None:
        health = pulumi_docker.ContainerHealthcheckArgs(
            tests=["CMD-SHELL", "test -e /tmp/ready"], interval="300s", timeout="2s", retries=1
        )
        command, tmpfs = "sleep 2; touch /tmp/ready; sleep 1000", {"/tmp": "size=1m,mode=1777"}
        waited_for(unique, image, command, health, tmpfs=tmpfs, wait_timeout=30)

    assert deploy(program).up() == {"create": 2}  # its provider is the other
    (found,) = daemon.containers.list(filters={"name": unique})
    assert found.attrs["State"]["Health"]["Status"] == "starting"
    assert found.exec_run(["test", "-e", "/tmp/ready"]).exit_code == 0


def test_one_that_ends_before_it_is_healthy_is_not_waited_for(deploy: Deployer, unique: str, image: str) -> None:
    def program() -> None:
        waited_for(unique, image, "echo no; exit 3", HEALTHY)

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "it ended before it was healthy (state exited, exit code 3" in stack.said
