"""Containers judged without a daemon: what Docker says is made up here."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from infra.drift.compare import Veil
from infra.drift.containers import Declared, Judge, Live
from infra.drift.findings import Finding, Kind

LABELS = {"praxis.stack": "t", "praxis.service": "edge"}
INPUTS: dict[str, Any] = {
    "name": "praxis-t-edge",
    "image": "sha256:one",
    "envs": ["A=1"],
    "user": "61009:61009",
    "hostname": "edge",
    "memory": 144,
    "memorySwap": 144,
    "restart": "unless-stopped",
    "readOnly": True,
    "init": True,
    "capabilities": {"drops": ["ALL"]},
    "securityOpts": ["no-new-privileges:true"],
    "tmpfs": {"/tmp": "size=16m"},
    "networkMode": "bridge",
    "networksAdvanced": [{"name": "praxis-t-front", "aliases": ["edge"]}],
    "ports": [{"internal": 8080, "external": 18080, "ip": "127.0.0.1", "protocol": "tcp"}],
    "mounts": [{"type": "bind", "source": "/config/edge-1", "target": "/etc/praxis", "readOnly": True}],
    "healthcheck": {"tests": ["CMD", "probe"], "interval": "4s", "timeout": "5s", "startPeriod": "2m0s", "retries": 5},
    "logDriver": "json-file",
    "logOpts": {"max-file": "3"},
    "labels": [{"label": key, "value": value} for key, value in LABELS.items()],
    "mustRun": True,
    "wait": True,
}
IMAGE = {"Config": {"Env": ["PATH=/bin"], "Cmd": ["run"], "Entrypoint": ["start"], "WorkingDir": "/"}}
FOUND: dict[str, Any] = {
    "Id": "a" * 64,
    "Name": "/praxis-t-edge",
    "Image": "sha256:one",
    "Created": "2030-01-02T03:04:05.678Z",
    "State": {
        "Status": "running",
        "StartedAt": "2030-01-02T03:04:06.1Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
        "Health": {"Status": "healthy"},
    },
    "Config": {
        "Image": "sha256:one",
        "Env": ["A=1", "PATH=/bin"],
        "Cmd": ["run"],
        "Entrypoint": ["start"],
        "WorkingDir": "/",
        "User": "61009:61009",
        "Hostname": "edge",
        "Labels": LABELS,
        "Healthcheck": {
            "Test": ["CMD", "probe"],
            "Interval": 4 * 10**9,
            "Timeout": 5 * 10**9,
            "StartPeriod": 120 * 10**9,
            "Retries": 5,
        },
    },
    "HostConfig": {
        "Memory": 144 * 2**20,
        "MemorySwap": 144 * 2**20,
        "RestartPolicy": {"Name": "unless-stopped"},
        "ReadonlyRootfs": True,
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "Tmpfs": {"/tmp": "size=16m"},
        "NetworkMode": "bridge",
        "LogConfig": {"Type": "json-file", "Config": {"max-file": "3"}},
        "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18080"}]},
    },
    "NetworkSettings": {"Networks": {"praxis-t-front": {"Aliases": ["edge"]}}},
    "Mounts": [{"Type": "bind", "Source": "/config/edge-1", "Destination": "/etc/praxis", "RW": False}],
}
WANT = Declared(
    service="edge", urn="urn:pulumi:t::praxis::docker:x:Container::service-edge", id="a" * 64, inputs=INPUTS
)


def judged(*found: dict[str, Any]) -> list[Finding]:
    return list(Judge("t", Veil(b"k")).judged([WANT], [Live(found=one, image=IMAGE) for one in found]))


def changed(path: str, value: Any) -> dict[str, Any]:
    found = deepcopy(FOUND)
    *parents, last = path.split(".")
    holder = found
    for step in parents:
        holder = holder[step]
    holder[last] = value
    return found


def test_as_declared_is_no_finding() -> None:
    assert judged(FOUND) == []


def test_every_field_that_an_operator_cares_about() -> None:
    cases: dict[str, tuple[str, Any]] = {
        "env.A": ("Config.Env", ["A=2", "PATH=/bin"]),
        "label.praxis.service": ("Config.Labels", {"praxis.stack": "t", "praxis.service": "x"}),
        "image": ("Image", "sha256:two"),
        "user": ("Config.User", "0:0"),
        "command": ("Config.Cmd", ["other"]),
        "entrypoint": ("Config.Entrypoint", ["sh"]),
        "restart": ("HostConfig.RestartPolicy", {"Name": "no"}),
        "read_only": ("HostConfig.ReadonlyRootfs", False),
        "privileged": ("HostConfig.Privileged", True),
        "limits.memory_mib": ("HostConfig.Memory", 200 * 2**20),
        "limits.processes": ("HostConfig.PidsLimit", 10),
        "capabilities.add": ("HostConfig.CapAdd", ["NET_ADMIN"]),
        "capabilities.drop": ("HostConfig.CapDrop", []),
        "security_options": ("HostConfig.SecurityOpt", []),
        "pid_mode": ("HostConfig.PidMode", "host"),
        "network_mode": ("HostConfig.NetworkMode", "host"),
        "ports.8080/tcp": ("HostConfig.PortBindings", {"8080/tcp": [{"HostIp": "", "HostPort": "18080"}]}),
        "networks.front": ("NetworkSettings.Networks", {}),
        "mounts./etc/praxis": ("Mounts", []),
        "health.test": ("Config.Healthcheck.Test", ["NONE"]),
        "tmpfs./tmp": ("HostConfig.Tmpfs", {"/tmp": "size=1g"}),
        "dns": ("HostConfig.Dns", ["192.0.2.1"]),
        "log.driver": ("HostConfig.LogConfig.Type", "none"),
    }
    for path, (place, value) in cases.items():
        assert [one.path for one in judged(changed(place, value))] == [path], path


def test_a_variable_that_nobody_declared_is_shown_as_a_digest() -> None:
    (found,) = judged(changed("Config.Env", ["A=1", "PATH=/bin", "KEY=sk-by-hand"]))
    assert (found.path, found.declared, found.since) == ("env.KEY", None, "2030-01-02T03:04:05Z")
    assert found.live == Veil(b"k").digest("sk-by-hand")


def test_missing_stopped_and_unhealthy() -> None:
    assert [(one.path, one.kind) for one in judged()] == [("state", Kind.MISSING)]
    ended = {"Status": "exited", "StartedAt": "", "FinishedAt": "2030-01-02T04:00:00.5Z"}
    (found,) = judged(changed("State", ended))
    assert (found.kind, found.live, found.since) == (Kind.STOPPED, "exited", "2030-01-02T04:00:00Z")
    assert [one.kind for one in judged(changed("State.Health", {"Status": "unhealthy"}))] == [Kind.UNHEALTHY]


def test_made_again_by_hand_under_our_label() -> None:
    assert [(one.path, one.kind) for one in judged(changed("Id", "b" * 64))] == [("id", Kind.RECREATED)]


def test_a_container_that_was_renamed() -> None:
    assert [(one.path, one.live) for one in judged(changed("Name", "/elsewhere"))] == [("name", "elsewhere")]


def test_a_declared_name_held_by_somebody_else() -> None:
    foreign = changed("Id", "b" * 64)
    foreign["Config"]["Labels"] = {}
    foreign["Config"]["User"] = "0"
    assert [(one.path, one.kind) for one in judged(foreign)] == [("name", Kind.FOREIGN)]


def test_our_label_on_what_nobody_declared() -> None:
    stranger = changed("Id", "b" * 64)
    stranger["Name"] = "/stranger"
    (found,) = judged(FOUND, stranger)
    assert (found.resource, found.kind, found.urn) == ("container/stranger", Kind.FOREIGN, None)
