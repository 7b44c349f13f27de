"""The stand-in for pulumi-docker, driven by the real engine, on the real daemon."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import docker
import pulumi
import pulumi_docker
import pytest
from pulumi import automation

from tests.engine.plugins.conftest import LABEL, Deployer
from tests.engine.plugins.containers import IN_ITS_PLACE, labels, sleeper
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


class Everything:
    """A program with all that the stack's own containers use; its settings can be changed between runs."""

    def __init__(self, name: str, image: str) -> None:
        self.name = name
        self.image = image
        self.memory = 64
        self.env = "A=1"

    def __call__(self) -> None:
        network = pulumi_docker.Network(
            "network",
            name=f"{self.name}-net",
            internal=True,
            labels=[pulumi_docker.NetworkLabelArgs(label=LABEL, value=self.name)],
        )
        volume = pulumi_docker.Volume(
            "volume",
            name=f"{self.name}-data",
            driver="local",
            driver_opts={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=61002,gid=61002,mode=0700"},
            labels=[pulumi_docker.VolumeLabelArgs(label=LABEL, value=self.name)],
        )
        container = pulumi_docker.Container(
            "container",
            **sleeper(
                f"{self.name}-one",
                self.image,
                labels=labels(self.name),
                envs=[self.env, "B=2"],
                user="61002:61002",
                hostname="one",
                working_dir="/tmp",
                memory=self.memory,
                memory_swap=self.memory,
                cpus="0.5",
                restart="unless-stopped",
                read_only=True,
                capabilities=pulumi_docker.ContainerCapabilitiesArgs(drops=["ALL"]),
                security_opts=["no-new-privileges:true"],
                tmpfs={"/tmp": "size=1m,mode=1777"},
                mounts=[
                    pulumi_docker.ContainerMountArgs(type="volume", source=volume.name, target="/data"),
                    pulumi_docker.ContainerMountArgs(type="bind", source="/etc/hosts", target="/h", read_only=True),
                ],
                network_mode="bridge",
                networks_advanced=[
                    pulumi_docker.ContainerNetworksAdvancedArgs(name=network.name, aliases=["one", "first"])
                ],
                ports=[
                    pulumi_docker.ContainerPortArgs(internal=8081, ip="127.0.0.1"),
                    pulumi_docker.ContainerPortArgs(internal=8080, ip="127.0.0.1"),
                ],
                healthcheck=pulumi_docker.ContainerHealthcheckArgs(
                    tests=["CMD", "true"], interval="1s", timeout="5s", start_period="120s", retries=5
                ),
                wait=True,
                wait_timeout=30,
                stop_timeout=3,
                stop_signal="SIGTERM",
                log_driver="json-file",
                log_opts={"max-size": "1m", "max-file": "2"},
                sysctls={"net.ipv4.ip_unprivileged_port_start": "0"},
                dns=["127.0.0.1"],
            ),
            opts=IN_ITS_PLACE,
        )
        pulumi.export("id", container.id)


def test_a_whole_life(deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient) -> None:
    program = Everything(unique, image)
    stack = deploy(program)

    assert stack.preview() == {"create": 4}
    assert stack.up() == {"create": 4}
    name = f"{unique}-one"
    eventually(lambda: daemon.api.inspect_container(name)["State"]["Health"]["Status"] == "healthy", 10, 0.2)
    found = daemon.api.inspect_container(name)
    assert found["HostConfig"]["ReadonlyRootfs"] is True
    assert found["HostConfig"]["NanoCpus"] == 500_000_000
    assert list(found["NetworkSettings"]["Networks"]) == [f"{unique}-net"]
    assert {"one", "first"} <= set(found["NetworkSettings"]["Networks"][f"{unique}-net"]["Aliases"])
    assert daemon.api.inspect_network(f"{unique}-net")["Internal"] is True

    assert stack.preview() == {}
    assert stack.preview(refresh=True) == {}
    stack.stack.refresh(show_secrets=False)
    assert stack.preview(refresh=True) == {}

    program.memory = 96
    assert stack.preview() == {"update": 1}
    assert stack.changed["container"] == ["memory", "memorySwap"]
    assert stack.up() == {"update": 1}
    assert daemon.api.inspect_container(f"{unique}-one")["Id"] == found["Id"]
    assert daemon.api.inspect_container(f"{unique}-one")["HostConfig"]["Memory"] == 96 * 1024**2

    program.env = "A=2"
    assert stack.up() == {"replace": 1}
    replaced = daemon.api.inspect_container(f"{unique}-one")
    assert replaced["Id"] != found["Id"]
    assert "A=2" in replaced["Config"]["Env"]
    assert stack.preview(refresh=True) == {}

    assert stack.destroy() == {"delete": 4}
    assert daemon.containers.list(all=True, filters={"name": unique}) == []
    assert daemon.networks.list(names=[f"{unique}-net"]) == []
    assert daemon.volumes.list(filters={"name": unique}) == []


def test_what_was_changed_by_hand_is_found_and_put_right(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    stack = deploy(Everything(unique, image))
    stack.up()
    name = f"{unique}-one"

    daemon.api.update_container(name, mem_limit=80 * 1024**2, memswap_limit=80 * 1024**2)
    assert stack.preview(refresh=True) == {"update": 1}
    daemon.api.stop(name, timeout=0)
    assert stack.preview(refresh=True) == {"update": 1}
    assert stack.up(refresh=True)["update"] == 1
    found = daemon.api.inspect_container(name)
    assert (found["State"]["Running"], found["HostConfig"]["Memory"]) == (True, 64 * 1024**2)

    daemon.api.remove_container(name, force=True)
    assert stack.preview(refresh=True) == {"create": 1}
    assert stack.up(refresh=True)["create"] == 1
    assert stack.preview(refresh=True) == {}


def test_files_are_uploaded_below_a_mount_of_a_read_only_container(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    def program() -> None:
        pulumi_docker.Container(
            "one",
            **sleeper(
                unique,
                image,
                user="61002:61002",
                read_only=True,
                mounts=[pulumi_docker.ContainerMountArgs(type="volume", target="/etc/praxis")],
                uploads=[
                    pulumi_docker.ContainerUploadArgs(file="/etc/praxis/a.json", content="{}", permissions="0444"),
                    pulumi_docker.ContainerUploadArgs(file="/etc/praxis/sub/b", content_base64="AAEC"),
                ],
            ),
        )

    stack = deploy(program)
    stack.up()
    files = {}
    archive = b"".join(daemon.api.get_archive(unique, "/etc/praxis")[0])
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                files[member.name] = (member.uid, member.gid, oct(member.mode & 0o777), content.read())
    assert files == {
        "praxis/a.json": (0, 0, "0o444", b"{}"),
        "praxis/sub/b": (0, 0, "0o644", b"\x00\x01\x02"),
    }
    assert stack.preview(refresh=True) == {}
    mounted = {mount["Name"] for mount in daemon.api.inspect_container(unique)["Mounts"]}
    stack.destroy()
    left = daemon.api.volumes()["Volumes"] or []
    assert mounted.isdisjoint(volume["Name"] for volume in left)


def test_a_failure_half_way_keeps_what_was_made_and_the_next_run_goes_on(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    wanted = "there-is-no-such-image:0"

    def program() -> None:
        volume = pulumi_docker.Volume("volume", name=unique)
        pulumi_docker.Container(
            "one",
            **sleeper(
                unique,
                wanted,
                mounts=[pulumi_docker.ContainerMountArgs(type="volume", source=volume.name, target="/data")],
            ),
        )

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "image 'there-is-no-such-image:0' is not on the daemon and cannot be pulled" in stack.said
    assert [volume.name for volume in daemon.volumes.list(filters={"name": unique})] == [unique]

    wanted = image
    assert stack.up() == {"create": 1}


def test_secrets_are_not_in_the_plain_state(
    deploy: Deployer, unique: str, image: str, daemon: docker.DockerClient
) -> None:
    canary = f"canary-{unique}"

    def program() -> None:
        pulumi_docker.Container(
            "one",
            **sleeper(
                unique,
                image,
                envs=[pulumi.Output.secret(f"TOKEN={canary}")],
                uploads=[pulumi_docker.ContainerUploadArgs(file="/key", content=pulumi.Output.secret(canary))],
            ),
        )

    stack = deploy(program)
    stack.preview(diff=True)
    assert canary not in stack.said
    stack.up(diff=True)
    assert canary not in stack.said + stack.plain_state()
    assert f"TOKEN={canary}" in daemon.api.inspect_container(unique)["Config"]["Env"]
    stack.stack.refresh(show_secrets=False)
    assert canary not in stack.plain_state()
    assert stack.preview() == {}


def test_a_local_image_is_found_by_name_and_kept(deploy: Deployer, unique: str, image: str) -> None:
    name = docker.from_env().images.get(image).tags[0]

    def program() -> None:
        found = pulumi_docker.RemoteImage("image", name=name, keep_locally=True)
        pulumi.export("id", found.image_id)

    stack = deploy(program)
    assert stack.up() == {"create": 2}
    assert stack.stack.outputs()["id"].value == image
    assert stack.preview(refresh=True) == {}
    stack.destroy()
    assert docker.from_env().images.get(name).id == image


def test_one_that_is_attended_runs_to_its_end(deploy: Deployer, unique: str, image: str) -> None:
    def program() -> None:
        ran = pulumi_docker.Container(
            "job",
            **sleeper(
                unique,
                image,
                entrypoints=["sh", "-c"],
                command=["echo done; exit 4"],
                attach=True,
                logs=True,
                must_run=False,
            ),
        )
        pulumi.export("log", ran.container_logs)
        pulumi.export("code", ran.exit_code)

    stack = deploy(program)
    stack.up()
    outputs = stack.stack.outputs()
    assert (outputs["log"].value.strip(), outputs["code"].value) == ("done", 4)
    assert stack.preview(refresh=True) == {}


def test_what_docker_cannot_change_in_place_is_not_claimed(deploy: Deployer, unique: str, image: str) -> None:
    interval, options = "1s", pulumi.ResourceOptions()

    def program() -> None:
        check = pulumi_docker.ContainerHealthcheckArgs(tests=["CMD", "true"], interval=interval)
        pulumi_docker.Container("one", **sleeper(unique, image, healthcheck=check), opts=options)

    stack = deploy(program)
    stack.up()
    interval = "2s"
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "Docker cannot change healthcheck of a container that exists; replace it" in stack.said

    options = pulumi.ResourceOptions(replace_on_changes=["healthcheck"], delete_before_replace=True)
    assert stack.up() == {"replace": 1}
    assert stack.preview(refresh=True) == {}


def test_bad_inputs_are_named_before_anything_is_made(deploy: Deployer, unique: str, image: str) -> None:
    class Raw(pulumi.CustomResource):
        """Without the SDK's own checks."""

        def __init__(self, name: str, properties: dict[str, Any]) -> None:
            super().__init__("docker:index/container:Container", name, properties, opts=VERSION)

    def program() -> None:
        Raw("one", {"name": unique, "image": image, "memmory": 64, "restart": 5, "gpus": "all"})

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.preview()
    for words in ("memmory", "did you mean 'memory'?", "restart", "must be a text", "gpus", "is not supported"):
        assert words in stack.said


VERSION = pulumi.ResourceOptions(version="5.1.0")


def test_a_daemon_that_is_not_there_is_said_so(deploy: Deployer, unique: str) -> None:
    def program() -> None:
        provider = pulumi_docker.Provider("nowhere", host="unix:///nowhere/docker.sock")
        pulumi_docker.Network("one", name=unique, opts=pulumi.ResourceOptions(provider=provider))

    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "the Docker daemon cannot be reached at unix:///nowhere/docker.sock" in stack.said
    assert "Traceback" not in stack.said
