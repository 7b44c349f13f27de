"""Between the official plugin's properties of a container and Docker's API."""

from __future__ import annotations

import re
from typing import Any

import docker
from docker.types import Healthcheck, HostConfig, LogConfig, Mount

from infra.plugins.standins.docker.client import pairs
from infra.plugins.standins.values import Plain

MIB = 1024 * 1024
_UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def nanoseconds(duration: str) -> int:
    """Go's duration text (``1m30s``) in nanoseconds."""
    return sum(int(float(number) * _UNITS[unit]) for number, unit in re.findall(r"([\d.]+)(ms|us|ns|h|m|s)", duration))


def duration(value_ns: int) -> str:
    """Nanoseconds as Go prints them (``1m30s``)."""
    if value_ns == 0:
        return "0s"
    if value_ns < 10**9:
        return f"{value_ns / 10**6:g}ms"
    seconds = value_ns / 10**9
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    text = f"{hours:g}h" if hours else ""
    text += f"{minutes:g}m" if minutes or hours else ""
    return f"{text}{seconds:g}s"


def create_arguments(api: docker.APIClient, inputs: Plain) -> dict[str, Any]:
    """The body of Docker's "create a container"."""
    ports = inputs.get("ports", [])
    return dict(
        api.create_container_config(
            inputs["image"],
            command=inputs.get("command", []),
            entrypoint=inputs.get("entrypoints"),
            hostname=inputs.get("hostname"),
            domainname=inputs.get("domainname"),
            user=inputs.get("user"),
            environment=inputs.get("envs"),
            working_dir=inputs.get("workingDir"),
            labels=pairs(inputs.get("labels")),
            stop_signal=inputs.get("stopSignal"),
            tty=inputs.get("tty", False),
            stdin_open=inputs.get("stdinOpen", False),
            ports=[(port["internal"], port["protocol"]) for port in ports] or None,
            healthcheck=_healthcheck(inputs.get("healthcheck")),
            host_config=_host_config(api, inputs),
        )
    ) | ({"StopTimeout": inputs["stopTimeout"]} if "stopTimeout" in inputs else {})


def _host_config(api: docker.APIClient, inputs: Plain) -> HostConfig:
    capabilities = inputs.get("capabilities", {})
    memory, swap = inputs.get("memory"), inputs.get("memorySwap")
    return api.create_host_config(
        binds=[_bind(volume) for volume in inputs.get("volumes", [])] or None,
        mounts=[_mount(mount) for mount in inputs.get("mounts", [])] or None,
        port_bindings={
            f"{p['internal']}/{p['protocol']}": (p["ip"], p.get("external")) for p in inputs.get("ports", [])
        },
        publish_all_ports=inputs.get("publishAllPorts", False),
        mem_limit=memory * MIB if memory else None,
        memswap_limit=swap * MIB if swap and swap > 0 else swap,
        nano_cpus=int(float(inputs["cpus"]) * 10**9) if inputs.get("cpus") else None,
        cpu_shares=inputs.get("cpuShares"),
        restart_policy={"Name": inputs["restart"], "MaximumRetryCount": inputs.get("maxRetryCount", 0)},
        read_only=inputs.get("readOnly", False),
        privileged=inputs.get("privileged", False),
        cap_add=capabilities.get("adds"),
        cap_drop=capabilities.get("drops"),
        security_opt=inputs.get("securityOpts"),
        tmpfs=inputs.get("tmpfs"),
        init=inputs.get("init"),
        network_mode=inputs.get("networkMode"),
        dns=inputs.get("dns"),
        extra_hosts={host["host"]: host["ip"] for host in inputs.get("hosts", [])} or None,
        sysctls=inputs.get("sysctls"),
        shm_size=inputs["shmSize"] * MIB if inputs.get("shmSize") else None,
        group_add=inputs.get("groupAdds"),
        log_config=LogConfig(type=inputs.get("logDriver", ""), config=inputs.get("logOpts", {})),
    )


def _bind(volume: Plain) -> str:
    source = volume.get("hostPath") or volume.get("volumeName") or ""
    mode = ":ro" if volume.get("readOnly") else ""
    return f"{source}:{volume['containerPath']}{mode}"


def _mount(mount: Plain) -> Mount:
    options = mount.get("tmpfsOptions", {})
    return Mount(
        target=mount["target"],
        source=mount.get("source"),
        type=mount["type"],
        read_only=mount.get("readOnly", False),
        tmpfs_size=options.get("sizeBytes"),
        tmpfs_mode=options.get("mode"),
    )


def _healthcheck(given: Plain | None) -> Healthcheck | None:
    if given is None:
        return None
    return Healthcheck(
        test=given["tests"],
        interval=nanoseconds(given.get("interval", "0s")),
        timeout=nanoseconds(given.get("timeout", "0s")),
        start_period=nanoseconds(given.get("startPeriod", "0s")),
        retries=given.get("retries", 0),
    )


def live_state(found: dict[str, Any], state: Plain) -> Plain:
    """What the official plugin reads back. Never env, labels, volumes, uploads; ports and networks only in part."""
    config, host = found["Config"], found["HostConfig"]
    live: Plain = {
        "name": found["Name"].lstrip("/"),
        "image": found["Image"],
        "command": config["Cmd"] or [],
        "entrypoints": config["Entrypoint"] or [],
        "hostname": config["Hostname"],
        "user": config["User"],
        "workingDir": config["WorkingDir"],
        "tty": config["Tty"],
        "stdinOpen": config["OpenStdin"],
        "memory": host["Memory"] // MIB,
        "memorySwap": host["MemorySwap"] // MIB if host["MemorySwap"] > 0 else host["MemorySwap"],
        "restart": host["RestartPolicy"]["Name"] or "no",
        "readOnly": host["ReadonlyRootfs"],
        "privileged": host["Privileged"],
        "securityOpts": host["SecurityOpt"] or [],
        "networkMode": host["NetworkMode"],
        "ipcMode": host["IpcMode"],
        "runtime": host["Runtime"],
        "shmSize": host["ShmSize"] // MIB,
        "publishAllPorts": host["PublishAllPorts"],
        "logDriver": host["LogConfig"]["Type"],
        "capabilities": {"adds": host["CapAdd"] or [], "drops": host["CapDrop"] or []},
        # Docker forgets that a container was made with ``--init`` off when the daemon decides.
        "init": bool(host["Init"]),
        "exitCode": found["State"]["ExitCode"],
        "networkDatas": [
            _network_data(name, data) for name, data in sorted(found["NetworkSettings"]["Networks"].items())
        ],
    }
    if "image" in state and state["image"] in (found["Config"]["Image"], found["Image"]):
        live["image"] = state["image"]
    if not found["State"]["Running"] and not found["State"]["Restarting"] and state.get("mustRun", True):
        live["mustRun"] = False  # which the next update answers by starting it
    for name, value in (
        ("healthcheck", _live_healthcheck(config.get("Healthcheck"))),
        ("mounts", [_live_mount(mount) for mount in host.get("Mounts") or []]),
        ("tmpfs", host.get("Tmpfs") or {}),
        ("logOpts", host["LogConfig"]["Config"] or {}),
        ("ports", _live_ports(host["PortBindings"] or {})),
    ):
        if name in state or (not state and value):
            live[name] = value
    if "stopTimeout" in config:
        live["stopTimeout"] = config["StopTimeout"]
    if "command" not in state or not state.get("command"):
        live.pop("command")  # the image's own: computed, and not ours to compare
    if not state.get("entrypoints"):
        live.pop("entrypoints")
    return live


def _network_data(name: str, data: dict[str, Any]) -> Plain:
    return {
        "networkName": name,
        "gateway": data["Gateway"],
        "ipAddress": data["IPAddress"],
        "ipPrefixLength": data["IPPrefixLen"],
        "macAddress": data["MacAddress"],
    }


def _live_healthcheck(found: dict[str, Any] | None) -> Plain | None:
    if not found:
        return None
    return {
        "tests": found["Test"],
        "interval": duration(found.get("Interval", 0)),
        "timeout": duration(found.get("Timeout", 0)),
        "startPeriod": duration(found.get("StartPeriod", 0)),
        "retries": found.get("Retries", 0),
    }


def _live_mount(mount: dict[str, Any]) -> Plain:
    live: Plain = {"type": mount["Type"], "target": mount["Target"], "readOnly": mount.get("ReadOnly", False)}
    if mount.get("Source"):
        live["source"] = mount["Source"]
    return live


def _live_ports(bindings: dict[str, list[dict[str, str]]]) -> list[Plain]:
    ports = []
    for internal, hosts in sorted(bindings.items()):
        number, protocol = internal.split("/")
        for host in hosts:
            ports.append(
                {
                    "internal": int(number),
                    "external": int(host["HostPort"] or 0),
                    "ip": host["HostIp"] or "0.0.0.0",  # noqa: S104 - what Docker means by none
                    "protocol": protocol,
                }
            )
    return ports
