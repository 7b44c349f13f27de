"""The table of a container's properties: where each is in Docker's API, and whether it is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from infra.plugins.standins.docker.client import labelled, pairs
from infra.plugins.standins.durations import nanoseconds, written
from infra.plugins.standins.values import Plain, blank

MIB = 1024 * 1024
NANO = 10**9
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what Docker takes when none is given


class Read(Enum):
    """When the official plugin reads a property back."""

    ALWAYS = auto()
    GIVEN = auto()
    """Only if the state has it."""
    NEVER = auto()


@dataclass(frozen=True)
class Fact:
    """``path``: where the property is in what Docker says of a container (``HostConfig.Memory``).

    ``to`` and ``back`` convert; ``back`` of what is not there is not asked for.
    """

    path: str
    to: Callable[[Any], Any] = lambda value: value
    back: Callable[[Any], Any] = lambda value: value
    read: Read = Read.ALWAYS


def _mib(path: str) -> Fact:
    return Fact(path, lambda mib: mib * MIB if mib > 0 else mib, lambda size: size // MIB if size > 0 else size)


def _health(given: Plain) -> dict[str, Any]:
    times = {"Interval": "interval", "Timeout": "timeout", "StartPeriod": "startPeriod",
             "StartInterval": "startInterval"}  # fmt: skip
    body: dict[str, Any] = {key: nanoseconds(given.get(name, "0s")) for key, name in times.items()}
    return {key: value for key, value in body.items() if value} | {
        "Test": given.get("tests", []),
        "Retries": given.get("retries", 0),
    }


def _live_health(found: Mapping[str, Any]) -> Plain:
    return {
        "tests": found.get("Test") or [],
        "interval": written(found.get("Interval", 0)),
        "timeout": written(found.get("Timeout", 0)),
        "startPeriod": written(found.get("StartPeriod", 0)),
        "startInterval": written(found.get("StartInterval", 0)),
        "retries": found.get("Retries", 0),
    }


def _mounts(given: list[Plain]) -> list[dict[str, Any]]:
    return [_mount(mount) for mount in given]


def _mount(mount: Plain) -> dict[str, Any]:
    body: dict[str, Any] = {"Type": mount["type"], "Target": mount["target"], "ReadOnly": mount.get("readOnly", False)}
    if mount.get("source"):
        body["Source"] = mount["source"]
    bind, volume, tmpfs = (mount.get(f"{kind}Options") for kind in ("bind", "volume", "tmpfs"))
    if bind:
        body["BindOptions"] = {"Propagation": bind.get("propagation", "")}
    if volume:
        body["VolumeOptions"] = {
            "NoCopy": volume.get("noCopy", False),
            "Labels": pairs(volume.get("labels")),
            "DriverConfig": {"Name": volume.get("driverName", ""), "Options": volume.get("driverOptions", {})},
        }
    if tmpfs:
        body["TmpfsOptions"] = {"SizeBytes": tmpfs.get("sizeBytes", 0), "Mode": tmpfs.get("mode", 0)}
    return body


def _live_mounts(found: list[Mapping[str, Any]]) -> list[Plain]:
    return [_live_mount(mount) for mount in found]


def _live_mount(mount: Mapping[str, Any]) -> Plain:
    live: Plain = {
        "type": mount["Type"],
        "target": mount["Target"],
        "source": mount.get("Source", ""),
        "readOnly": mount.get("ReadOnly", False),
    }
    bind, volume, tmpfs = (mount.get(f"{kind}Options") for kind in ("Bind", "Volume", "Tmpfs"))
    if bind:
        live["bindOptions"] = {"propagation": bind.get("Propagation", "")}
    if volume:
        driver = volume.get("DriverConfig") or {}
        live["volumeOptions"] = {
            "noCopy": volume.get("NoCopy", False),
            "labels": labelled(volume.get("Labels")),
            "driverName": driver.get("Name", ""),
            "driverOptions": driver.get("Options") or {},
        }
    if tmpfs:
        live["tmpfsOptions"] = {"sizeBytes": tmpfs.get("SizeBytes", 0), "mode": tmpfs.get("Mode", 0)}
    return live


def _bindings(ports: list[Plain]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        host = {"HostIp": port.get("ip", ANY_ADDRESS), "HostPort": str(port.get("external") or "")}
        bindings.setdefault(f"{port['internal']}/{port.get('protocol', 'tcp')}", []).append(host)
    return bindings


def _live_ports(bindings: Mapping[str, list[Mapping[str, str]] | None]) -> list[Plain]:
    """Sorted by internal port, as the official plugin does."""
    ports = []
    for internal, hosts in sorted(bindings.items(), key=lambda item: int(item[0].split("/")[0])):
        number, protocol = internal.split("/")
        for host in hosts or []:
            port: Plain = {"internal": int(number), "ip": host["HostIp"] or ANY_ADDRESS, "protocol": protocol}
            ports.append({**port, "external": int(host["HostPort"])} if host["HostPort"] else port)
    return ports


def _hosts(found: list[str]) -> list[Plain]:
    return [dict(zip(("host", "ip"), entry.split(":", 1), strict=True)) for entry in found]


def _ulimits(found: list[Mapping[str, Any]]) -> list[Plain]:
    return [{"name": one["Name"], "soft": one["Soft"], "hard": one["Hard"]} for one in found]


FACTS: Mapping[str, Fact] = {
    "hostname": Fact("Config.Hostname"),
    "domainname": Fact("Config.Domainname"),
    "user": Fact("Config.User"),
    "workingDir": Fact("Config.WorkingDir"),
    "tty": Fact("Config.Tty"),
    "stdinOpen": Fact("Config.OpenStdin"),
    "command": Fact("Config.Cmd"),
    "entrypoints": Fact("Config.Entrypoint"),
    # Mixed with the image's own, so the official plugin never reads these two.
    "envs": Fact("Config.Env", read=Read.NEVER),
    "labels": Fact("Config.Labels", pairs, labelled, read=Read.NEVER),
    "stopSignal": Fact("Config.StopSignal"),
    "stopTimeout": Fact("Config.StopTimeout"),
    "healthcheck": Fact("Config.Healthcheck", _health, _live_health),
    "memory": _mib("HostConfig.Memory"),
    "memoryReservation": _mib("HostConfig.MemoryReservation"),
    "memorySwap": _mib("HostConfig.MemorySwap"),
    "shmSize": _mib("HostConfig.ShmSize"),
    "cpus": Fact(
        "HostConfig.NanoCpus",
        lambda cpus: int(Decimal(cpus) * NANO),
        lambda nano: f"{(Decimal(nano) / NANO).normalize():f}" if nano else "",
    ),
    "cpuShares": Fact("HostConfig.CpuShares"),
    "cpuSet": Fact("HostConfig.CpusetCpus"),
    "cpuPeriod": Fact("HostConfig.CpuPeriod", read=Read.NEVER),
    "cpuQuota": Fact("HostConfig.CpuQuota", read=Read.NEVER),
    "restart": Fact("HostConfig.RestartPolicy.Name", back=lambda name: name or "no"),
    "maxRetryCount": Fact("HostConfig.RestartPolicy.MaximumRetryCount"),
    "rm": Fact("HostConfig.AutoRemove"),
    "readOnly": Fact("HostConfig.ReadonlyRootfs"),
    "privileged": Fact("HostConfig.Privileged"),
    "publishAllPorts": Fact("HostConfig.PublishAllPorts"),
    "capabilities.adds": Fact("HostConfig.CapAdd"),
    "capabilities.drops": Fact("HostConfig.CapDrop"),
    "securityOpts": Fact("HostConfig.SecurityOpt"),
    "init": Fact("HostConfig.Init", back=bool),
    "runtime": Fact("HostConfig.Runtime"),
    "networkMode": Fact("HostConfig.NetworkMode"),
    "ipcMode": Fact("HostConfig.IpcMode"),
    "pidMode": Fact("HostConfig.PidMode", read=Read.GIVEN),
    "usernsMode": Fact("HostConfig.UsernsMode"),
    "cgroupnsMode": Fact("HostConfig.CgroupnsMode", read=Read.NEVER),
    "cgroupParent": Fact("HostConfig.CgroupParent", read=Read.NEVER),
    "dns": Fact("HostConfig.Dns"),
    "dnsOpts": Fact("HostConfig.DnsOptions"),
    "dnsSearches": Fact("HostConfig.DnsSearch"),
    "groupAdds": Fact("HostConfig.GroupAdd"),
    "hosts": Fact("HostConfig.ExtraHosts", lambda hosts: [f"{one['host']}:{one['ip']}" for one in hosts], _hosts),
    "sysctls": Fact("HostConfig.Sysctls"),
    "tmpfs": Fact("HostConfig.Tmpfs"),
    "logDriver": Fact("HostConfig.LogConfig.Type"),
    "logOpts": Fact("HostConfig.LogConfig.Config", read=Read.GIVEN),
    "mounts": Fact("HostConfig.Mounts", _mounts, _live_mounts),
    "ports": Fact("HostConfig.PortBindings", _bindings, _live_ports, read=Read.GIVEN),
    "ulimits": Fact(
        "HostConfig.Ulimits",
        lambda limits: [{"Name": one["name"], "Soft": one["soft"], "Hard": one["hard"]} for one in limits],
        _ulimits,
        read=Read.GIVEN,
    ),
}


def body_of(inputs: Plain) -> dict[str, Any]:
    """The body of Docker's "create a container": what is in the table, but nothing that says nothing."""
    body: dict[str, Any] = {"Image": inputs["image"]}
    for name, fact in FACTS.items():
        value = _at(inputs, name)
        if not blank(value):
            _put(body, fact.path.removeprefix("Config."), fact.to(value))
    host = body.setdefault("HostConfig", {})
    host.setdefault("Init", False)  # said in any case, or the daemon's own setting decides
    if inputs.get("ports"):
        body["ExposedPorts"] = {key: {} for key in host["PortBindings"]}
    if inputs.get("volumes"):
        host["Binds"] = [_bind(one) for one in inputs["volumes"] if one.get("hostPath") or one.get("volumeName")]
        host["VolumesFrom"] = [one["fromContainer"] for one in inputs["volumes"] if one.get("fromContainer")]
        body["Volumes"] = {one["containerPath"]: {} for one in inputs["volumes"] if one.get("containerPath")}
    return body


def live_state(found: Mapping[str, Any], state: Plain) -> Plain:
    """What the table reads out of Docker's words on a container, and what is computed besides."""
    live: Plain = {}
    for name, fact in FACTS.items():
        if fact.read is Read.NEVER or (fact.read is Read.GIVEN and not _at(state, name)):
            continue
        value = _at(found, fact.path)
        if value is not None:
            _put(live, name, fact.back(value))
    live["name"] = found["Name"].lstrip("/")
    # An image given by its name must not come back as an id.
    by_id = str(state.get("image", "sha256:")).startswith("sha256:")
    live["image"] = found["Image"] if by_id else found["Config"]["Image"]
    live["platform"] = found.get("Platform", "")
    live["bridge"] = found["NetworkSettings"].get("Bridge", "")
    networks = sorted((found["NetworkSettings"]["Networks"] or {}).items())
    live["networkDatas"] = [_network(name, data) for name, data in networks]
    if not found["State"]["Running"]:
        live["exitCode"] = found["State"]["ExitCode"]
        if state.get("mustRun", True):
            live["mustRun"] = False  # which the next update answers by starting it
    if "ports" in live:
        _add_chosen_ports(live["ports"], found["NetworkSettings"].get("Ports") or {})
    return live


def imported_state(found: Mapping[str, Any], image: Mapping[str, Any]) -> Plain:
    """What an import reads besides: all that can be told apart from the image's own."""
    of_image = image.get("Config") or {}
    env, labels = of_image.get("Env") or [], of_image.get("Labels") or {}
    own = {key: value for key, value in (found["Config"]["Labels"] or {}).items() if labels.get(key) != value}
    networks = found["NetworkSettings"]["Networks"] or {}
    named = [name for name in sorted(networks) if name not in ("bridge", "none", "host")]
    short_id = found["Id"][:12]
    return {
        "envs": [one for one in found["Config"]["Env"] or [] if one not in env],
        "labels": labelled(own),
        "logOpts": found["HostConfig"]["LogConfig"]["Config"] or {},
        "ports": _live_ports(found["HostConfig"]["PortBindings"] or {}),
        "networksAdvanced": [
            {"name": name, "aliases": [one for one in networks[name].get("Aliases") or [] if one != short_id]}
            for name in named
        ],
    }


def _add_chosen_ports(ports: list[Plain], bound: Mapping[str, list[Mapping[str, str]] | None]) -> None:
    """A port that Docker chose is known only while the container runs."""
    for port in ports:
        hosts = bound.get(f"{port['internal']}/{port['protocol']}") or []
        if "external" not in port and hosts:
            port["external"] = int(hosts[0]["HostPort"])


def _bind(volume: Plain) -> str:
    modes = ["ro" if volume.get("readOnly") else "rw", *filter(None, [volume.get("selinuxRelabel")])]
    return f"{volume.get('hostPath') or volume['volumeName']}:{volume['containerPath']}:{','.join(modes)}"


def _network(name: str, data: Mapping[str, Any]) -> Plain:
    return {
        "networkName": name,
        "gateway": data["Gateway"],
        "globalIpv6Address": data["GlobalIPv6Address"],
        "globalIpv6PrefixLength": data["GlobalIPv6PrefixLen"],
        "ipAddress": data["IPAddress"],
        "ipPrefixLength": data["IPPrefixLen"],
        "ipv6Gateway": data["IPv6Gateway"],
        "macAddress": data["MacAddress"],
    }


def _at(holder: Mapping[str, Any], path: str) -> Any:
    found: Any = holder
    for step in path.split("."):
        found = (found or {}).get(step)
    return found


def _put(holder: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for step in parents:
        holder = holder.setdefault(step, {})
    holder[last] = value
