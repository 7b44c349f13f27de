"""The stand-in for pulumi-docker, where something is there already: somebody else's, or of a run that was cut off."""

from __future__ import annotations

import docker
import pulumi
import pulumi_docker
import pytest
from pulumi import automation

from tests.engine.plugins.conftest import LABEL, Deployer
from tests.engine.plugins.containers import labels, sleeper

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


def test_a_port_that_is_taken_is_said_with_what_to_do(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    def program() -> None:
        first = pulumi_docker.Container(
            "first",
            **sleeper(
                f"{unique}-1", image, network_mode="bridge", ports=[pulumi_docker.ContainerPortArgs(internal=80)]
            ),
        )
        pulumi_docker.Container(
            "second",
            **sleeper(
                f"{unique}-2",
                image,
                network_mode="bridge",
                ports=[pulumi_docker.ContainerPortArgs(internal=80, external=first.ports[0].external)],
            ),
        )

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "port is already allocated; another container or program has that port" in stack.said
    assert daemon.containers.list(all=True, filters={"name": f"{unique}-2"}) == []


@pytest.mark.parametrize("kind", ["container", "network", "volume"])
def test_what_is_somebody_else_s_is_not_touched(
    kind: str, deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    def program() -> None:
        if kind == "container":
            pulumi_docker.Container("one", **sleeper(unique, image))
        elif kind == "network":
            mine = [pulumi_docker.NetworkLabelArgs(label=LABEL, value=unique)]
            pulumi_docker.Network("one", name=unique, labels=mine)
        else:
            pulumi_docker.Volume("one", name=unique, labels=[pulumi_docker.VolumeLabelArgs(label=LABEL, value=unique)])

    foreign = {LABEL: "another"}
    if kind == "container":
        daemon.containers.create(image, name=unique, labels=foreign)
    else:
        getattr(daemon, f"{kind}s").create(unique, labels=foreign)
    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert f"a {kind} '{unique}' that is not ours exists; remove it" in stack.said
    left = getattr(daemon, f"{kind}s").get(unique)
    left.remove()

    assert stack.up() == {"create": 1}


def test_what_a_run_that_was_cut_off_left_is_taken_over(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    ours = {LABEL: unique}
    daemon.networks.create(f"{unique}-net", labels=ours, internal=True)
    daemon.volumes.create(f"{unique}-data", labels=ours)
    old = daemon.containers.create(image, name=f"{unique}-one", labels=ours)

    def program() -> None:
        pulumi_docker.Network(
            "network",
            name=f"{unique}-net",
            internal=True,
            labels=[pulumi_docker.NetworkLabelArgs(label=LABEL, value=unique)],
        )
        pulumi_docker.Volume(
            "volume", name=f"{unique}-data", labels=[pulumi_docker.VolumeLabelArgs(label=LABEL, value=unique)]
        )
        pulumi_docker.Container("container", **sleeper(f"{unique}-one", image, labels=labels(unique)))

    stack = deploy(program)
    assert stack.up() == {"create": 3 + 1}
    assert daemon.containers.get(f"{unique}-one").id != old.id
    assert stack.preview(refresh=True) == {}


def test_a_left_over_with_other_settings_is_not_taken_over(
    deploy: Deployer, unique: str, daemon: docker.DockerClient
) -> None:
    daemon.networks.create(unique, labels={LABEL: unique})  # with a way out, where none is wanted

    def program() -> None:
        mine = [pulumi_docker.NetworkLabelArgs(label=LABEL, value=unique)]
        pulumi_docker.Network("one", name=unique, internal=True, labels=mine)

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert f"a network '{unique}' exists, with other settings (internal)" in stack.said


def test_what_exists_is_imported(deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient) -> None:
    network = daemon.networks.create(f"{unique}-net", labels={LABEL: unique}, internal=True)
    daemon.volumes.create(f"{unique}-data", labels={LABEL: unique})
    container = daemon.containers.run(
        image,
        ["3600"],
        entrypoint="sleep",
        name=f"{unique}-one",
        labels={LABEL: unique},
        environment={"A": "1"},
        init=True,
        network=f"{unique}-net",
        detach=True,
    )

    def program() -> None:
        pulumi_docker.Network(
            "network",
            name=f"{unique}-net",
            internal=True,
            labels=[pulumi_docker.NetworkLabelArgs(label=LABEL, value=unique)],
            opts=pulumi.ResourceOptions(import_=network.id),
        )
        pulumi_docker.Volume(
            "volume",
            name=f"{unique}-data",
            labels=[pulumi_docker.VolumeLabelArgs(label=LABEL, value=unique)],
            opts=pulumi.ResourceOptions(import_=f"{unique}-data"),
        )
        pulumi_docker.Container(
            "container",
            name=f"{unique}-one",
            image=image,
            entrypoints=["sleep"],
            command=["3600"],
            envs=["A=1"],
            labels=labels(unique),
            network_mode=f"{unique}-net",
            networks_advanced=[pulumi_docker.ContainerNetworksAdvancedArgs(name=f"{unique}-net")],
            init=True,
            opts=pulumi.ResourceOptions(import_=container.id),
        )

    stack = deploy(program)
    assert stack.up() == {"create": 1, "import": 3}
    assert stack.preview(refresh=True) == {}
    assert daemon.containers.get(f"{unique}-one").id == container.id
