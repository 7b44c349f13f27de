"""A container as facts: what was declared, and what Docker says of the live one, in the same words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from infra.plugins.standins.docker.facts import MIB, body_of
from infra.plugins.standins.values import Plain

NONE = "none"
Inspected = Mapping[str, Any]
"""What Docker's API says when a container or an image is inspected."""


def _mib(size: int | None) -> int:
    return (size or 0) // MIB


def _seconds(nanoseconds: int | None) -> str | None:
    return f"{nanoseconds / 1e9:g}s" if nanoseconds else None


def _sorted(values: Iterable[str] | None) -> list[str]:
    return sorted(values or ())


def _same(value: Any) -> Any:
    return value or None


SINGLE: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "user": ("Config.User", _same),
    "hostname": ("Config.Hostname", _same),
    "limits.memory_mib": ("HostConfig.Memory", _mib),
    "limits.memory_and_swap_mib": ("HostConfig.MemorySwap", _mib),
    "limits.cpus": ("HostConfig.NanoCpus", _same),
    "limits.cpu_shares": ("HostConfig.CpuShares", _same),
    "limits.cpu_quota": ("HostConfig.CpuQuota", _same),
    "limits.cpuset": ("HostConfig.CpusetCpus", _same),
    "limits.processes": ("HostConfig.PidsLimit", _same),
    "restart": ("HostConfig.RestartPolicy.Name", lambda name: name or "no"),
    "read_only": ("HostConfig.ReadonlyRootfs", bool),
    "privileged": ("HostConfig.Privileged", bool),
    "init": ("HostConfig.Init", bool),
    "capabilities.add": ("HostConfig.CapAdd", _sorted),
    "capabilities.drop": ("HostConfig.CapDrop", _sorted),
    "security_options": ("HostConfig.SecurityOpt", _sorted),
    "groups": ("HostConfig.GroupAdd", _sorted),
    "devices": ("HostConfig.Devices", lambda found: found or []),
    "network_mode": ("HostConfig.NetworkMode", lambda mode: mode if mode in ("host", NONE) else "bridge"),
    "pid_mode": ("HostConfig.PidMode", _same),
    "userns_mode": ("HostConfig.UsernsMode", _same),
    "dns": ("HostConfig.Dns", lambda found: found or []),
    "hosts": ("HostConfig.ExtraHosts", _sorted),
    "log.driver": ("HostConfig.LogConfig.Type", _same),
}
"""Field -> where it is in Docker's words, and how it is read; what Docker takes when nothing is said reads the same."""
OF_IMAGE: Mapping[str, str] = {
    "command": "Cmd",
    "entrypoint": "Entrypoint",
    "working_dir": "WorkingDir",
    "stop_signal": "StopSignal",
}
"""What an image says when the container does not."""
TABLES: Mapping[str, str] = {
    "sysctls": "HostConfig.Sysctls",
    "tmpfs": "HostConfig.Tmpfs",
    "log.options": "HostConfig.LogConfig.Config",
}


def declared(inputs: Plain, image: Inspected, prefix: str) -> dict[str, Any]:
    """What the container should be. ``image``: the one that it runs; ``prefix``: what network names begin with."""
    body = body_of(inputs)
    found = {"Config": body, "HostConfig": body["HostConfig"]}
    networks = {one["name"]: one.get("aliases") or [] for one in inputs.get("networksAdvanced", [])}
    return {
        **_facts(found, image),
        **_mounts(_declared_mount(mount) for mount in body["HostConfig"].get("Mounts") or []),
        **_networks(networks, prefix),
        "image": inputs["image"],
    }


def live(found: Inspected, image: Inspected, prefix: str) -> dict[str, Any]:
    """What the container is."""
    of_image = (image.get("Config") or {}).get("Volumes") or {}
    mounts = (
        _live_mount(mount)
        for mount in found["Mounts"]
        if not (mount["Type"] == "volume" and mount["Destination"] in of_image and len(mount.get("Name", "")) == 64)
    )
    attached = found["NetworkSettings"]["Networks"] or {}
    named = {name: data for name, data in attached.items() if name not in (NONE, "host")}
    if found["HostConfig"]["NetworkMode"] in ("default", "bridge") and set(named) == {"bridge"}:
        named = {}  # on Docker's own bridge because nothing else was said
    own = {found["Id"][:12]}
    return {
        **_facts(found, image),
        **_mounts(mounts),
        **_networks({name: set(data.get("Aliases") or []) - own for name, data in named.items()}, prefix),
        "image": found["Image"],
    }


def _facts(found: Inspected, image: Inspected) -> dict[str, Any]:
    of_image = image.get("Config") or {}
    config, host = found["Config"], found["HostConfig"]
    facts = {path: read(_at(found, place)) for path, (place, read) in SINGLE.items()}
    facts |= {path: config.get(key) or of_image.get(key) or None for path, key in OF_IMAGE.items()}
    env = {**_pairs(of_image.get("Env")), **_pairs(config.get("Env"))}
    labels = {**(of_image.get("Labels") or {}), **(config.get("Labels") or {})}
    facts |= {f"env.{key}": value for key, value in env.items()}
    facts |= {f"label.{key}": value for key, value in labels.items()}
    for table, place in TABLES.items():
        facts |= {f"{table}.{key}": value for key, value in (_at(found, place) or {}).items()}
    facts |= _ports(host.get("PortBindings") or {})
    facts |= _health(config.get("Healthcheck") or of_image.get("Healthcheck") or {})
    return {path: value for path, value in facts.items() if value is not None}


def _ports(bindings: Mapping[str, list[Mapping[str, str]] | None]) -> dict[str, Any]:
    return {
        f"ports.{inside}": ", ".join(sorted(f"{one['HostIp'] or '*'}:{one['HostPort']}" for one in hosts or []))
        for inside, hosts in bindings.items()
    }


def _health(check: Mapping[str, Any]) -> dict[str, Any]:
    times = {"interval": "Interval", "timeout": "Timeout", "start_period": "StartPeriod"}
    return {
        "health.test": check.get("Test") or None,
        "health.retries": check.get("Retries") or None,
        **{f"health.{path}": _seconds(check.get(key)) for path, key in times.items()},
    }


def _mounts(mounts: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {f"mounts.{target}": source for target, source in mounts}


def _declared_mount(mount: Mapping[str, Any]) -> tuple[str, str]:
    return mount["Target"], _mount(mount["Type"], mount.get("Source", ""), read_only=mount.get("ReadOnly", False))


def _live_mount(mount: Mapping[str, Any]) -> tuple[str, str]:
    source = mount.get("Name") if mount["Type"] == "volume" else mount.get("Source", "")
    return mount["Destination"], _mount(mount["Type"], source or "", read_only=not mount["RW"])


def _mount(kind: str, source: str, *, read_only: bool) -> str:
    return f"{kind} {source}{' (read-only)' if read_only else ''}"


def _networks(networks: Mapping[str, Iterable[str]], prefix: str) -> dict[str, Any]:
    return {f"networks.{name.removeprefix(prefix)}": f"as {', '.join(sorted(a))}" for name, a in networks.items()}


def _pairs(env: Iterable[str] | None) -> dict[str, str]:
    return {key: value for key, _, value in (entry.partition("=") for entry in env or ())}


def _at(holder: Mapping[str, Any], path: str) -> Any:
    found: Any = holder
    for step in path.split("."):
        found = (found or {}).get(step)
    return found
