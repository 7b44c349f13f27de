"""Networks and volumes."""

from __future__ import annotations

from typing import Any

from docker.types import IPAMConfig, IPAMPool

from infra.plugins.standins.core import GoneError, PluginError, ResourceType
from infra.plugins.standins.docker.client import Daemon, pairs, worded
from infra.plugins.standins.values import Plain


def labelled(labels: dict[str, str] | None) -> list[dict[str, str]]:
    """A mapping as ``[{label, value}]``, sorted."""
    return [{"label": key, "value": value} for key, value in sorted((labels or {}).items())]


class NetworkType(ResourceType):
    """``docker:index/network:Network``; its id is Docker's."""

    token = "docker:index/network:Network"  # noqa: S105 - a type token
    unordered = frozenset({"labels", "ipamConfigs"})
    computed = frozenset({"driver", "internal", "options", "ipamDriver", "ipamConfigs", "scope"})

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        with worded():
            api = self._daemon.api
            for found in api.networks(names=[inputs["name"]]):
                if found["Name"] == inputs["name"]:
                    network_id = _adopt(found, inputs, "network")
                    return network_id, self.read(network_id, inputs)
            pools = [
                IPAMPool(subnet=pool.get("subnet"), iprange=pool.get("ipRange"), gateway=pool.get("gateway"))
                for pool in inputs.get("ipamConfigs", [])
            ]
            ipam = IPAMConfig(driver=inputs.get("ipamDriver", "default"), pool_configs=pools) if pools else None
            made = api.create_network(
                inputs["name"],
                driver=inputs.get("driver", "bridge"),
                options=inputs.get("options"),
                ipam=ipam,
                internal=inputs.get("internal", False),
                labels=pairs(inputs.get("labels")),
                enable_ipv6=inputs.get("ipv6", False),
                attachable=inputs.get("attachable"),
                ingress=inputs.get("ingress"),
            )
        return str(made["Id"]), self.read(str(made["Id"]), inputs)

    def read(self, resource_id: str, state: Plain) -> Plain:
        with worded():
            found = self._daemon.api.inspect_network(resource_id)
        live: Plain = {
            "name": found["Name"],
            "driver": found["Driver"],
            "internal": found["Internal"],
            "scope": found["Scope"],
            "options": found["Options"] or {},
            "ipamDriver": found["IPAM"]["Driver"],
            "ipamConfigs": [
                {
                    key: value
                    for key, value in (
                        ("subnet", pool.get("Subnet")),
                        ("gateway", pool.get("Gateway")),
                        ("ipRange", pool.get("IPRange")),
                    )
                    if value
                }
                for pool in found["IPAM"]["Config"] or []
            ],
        }
        if "labels" in state or not state:
            live["labels"] = labelled(found["Labels"])
        return live

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        raise PluginError("a network cannot be changed in place")

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        with worded():
            self._daemon.api.remove_network(resource_id)


class VolumeType(ResourceType):
    """``docker:index/volume:Volume``; its id is its name."""

    token = "docker:index/volume:Volume"  # noqa: S105 - a type token
    unordered = frozenset({"labels"})
    computed = frozenset({"driver", "mountpoint"})

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        name = inputs["name"]
        try:
            # Docker would silently return a volume of that name with other options.
            with worded():
                found = self._daemon.api.inspect_volume(name)
        except GoneError:
            with worded():
                self._daemon.api.create_volume(
                    name,
                    driver=inputs.get("driver", "local"),
                    driver_opts=inputs.get("driverOpts"),
                    labels=pairs(inputs.get("labels")),
                )
        else:
            _adopt(found, inputs, "volume")
        return name, self.read(name, inputs)

    def read(self, resource_id: str, state: Plain) -> Plain:
        with worded():
            found = self._daemon.api.inspect_volume(resource_id)
        live: Plain = {"name": found["Name"], "driver": found["Driver"], "mountpoint": found["Mountpoint"]}
        options: dict[str, Any] = found["Options"] or {}
        if options or "driverOpts" in state:
            live["driverOpts"] = options
        if "labels" in state or not state:
            live["labels"] = labelled(found["Labels"])
        return live

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        raise PluginError("a volume cannot be changed in place")

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        with worded():
            self._daemon.api.remove_volume(resource_id)


def _adopt(found: dict[str, Any], inputs: Plain, what: str) -> str:
    """An object of that name with the very labels asked for is ours, from a run that was cut off; any other is not."""
    wanted = pairs(inputs.get("labels"))
    if not wanted or (found.get("Labels") or {}) != wanted:
        name = inputs["name"]
        raise PluginError(
            f"a {what} '{name}' that is not ours exists; remove it (docker {what} rm {name}) or rename ours"
        )
    return str(found.get("Id") or found["Name"])
