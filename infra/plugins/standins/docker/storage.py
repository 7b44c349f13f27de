"""Networks and volumes."""

from __future__ import annotations

from typing import Any

from docker.types import IPAMConfig, IPAMPool

from infra.plugins.standins.compare import same
from infra.plugins.standins.docker.client import Daemon, labelled, ours, pairs, worded
from infra.plugins.standins.kinds import Call, GoneError, PluginError, ResourceType
from infra.plugins.standins.values import Plain

IN_USE_S = 30.0
"""How long a deletion waits for the last user to go (the official plugin does the same)."""
POLL_S = 0.5


class NetworkType(ResourceType):
    """``docker:index/network:Network``; its id is Docker's."""

    token = "docker:index/network:Network"  # noqa: S105 - a type token
    supported = frozenset(
        {"attachable", "driver", "ingress", "internal", "ipamConfigs", "ipamDriver", "ipamOptions", "ipv6", "labels",
         "name", "options"}
    )  # fmt: skip
    autonamed = True
    defaults = {"ipamDriver": "default"}
    sets = frozenset({"labels", "ipamConfigs"})
    computed = frozenset({"driver", "internal", "options", "ipamConfigs", "ipamConfigs.gateway", "scope"})

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        with worded():
            for found in self._daemon.api.networks(names=[inputs["name"]]):
                if found["Name"] == inputs["name"]:
                    live = _network(self._daemon.api.inspect_network(found["Id"]))
                    _adopt(self, inputs, live, found.get("Labels"))
                    return str(found["Id"]), live
            made = self._daemon.api.create_network(
                inputs["name"],
                driver=inputs.get("driver"),
                options=inputs.get("options"),
                ipam=_ipam(inputs),
                check_duplicate=True,
                internal=inputs.get("internal", False),
                labels=pairs(inputs.get("labels")),
                enable_ipv6=inputs.get("ipv6", False),
                attachable=inputs.get("attachable"),
                ingress=inputs.get("ingress"),
            )
            return str(made["Id"]), _network(self._daemon.api.inspect_network(made["Id"]))

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        with worded():
            found = self._daemon.api.inspect_network(resource_id)
        return str(found["Id"]), _network(found)

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        return {}  # by the schema every change is a replacement

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        _remove(lambda: self._daemon.api.remove_network(resource_id), "has active endpoints", call)


class VolumeType(ResourceType):
    """``docker:index/volume:Volume``; its id is its name."""

    token = "docker:index/volume:Volume"  # noqa: S105 - a type token
    supported = frozenset({"driver", "driverOpts", "labels", "name"})
    autonamed = True
    sets = frozenset({"labels"})
    computed = frozenset({"driver", "mountpoint"})

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        name = inputs["name"]
        try:
            # Docker would silently return a volume of that name with other options.
            _, live = self.read(name, {}, call)
        except GoneError:
            with worded():
                self._daemon.api.create_volume(
                    name,
                    driver=inputs.get("driver"),
                    driver_opts=inputs.get("driverOpts"),
                    labels=pairs(inputs.get("labels")),
                )
            return self.read(name, {}, call)
        _adopt(self, inputs, live, pairs(live["labels"]))
        return name, live

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        with worded():
            found = self._daemon.api.inspect_volume(resource_id)
        return resource_id, {
            "name": found["Name"],
            "driver": found["Driver"],
            "mountpoint": found["Mountpoint"],
            "driverOpts": found["Options"] or {},
            "labels": labelled(found["Labels"]),
        }

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        return {}  # by the schema every change of a supported input is a replacement

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        _remove(lambda: self._daemon.api.remove_volume(resource_id), "volume is in use", call)


def _ipam(inputs: Plain) -> IPAMConfig | None:
    if inputs.get("ipamDriver", "default") == "default" and not inputs.keys() & {"ipamConfigs", "ipamOptions"}:
        return None
    pools = [
        IPAMPool(
            subnet=pool.get("subnet"),
            iprange=pool.get("ipRange"),
            gateway=pool.get("gateway"),
            aux_addresses=pool.get("auxAddress"),
        )
        for pool in inputs.get("ipamConfigs", [])
    ]
    return IPAMConfig(driver=inputs["ipamDriver"], pool_configs=pools, options=inputs.get("ipamOptions"))


def _network(found: dict[str, Any]) -> Plain:
    pools = [
        {"subnet": pool.get("Subnet"), "gateway": pool.get("Gateway"), "ipRange": pool.get("IPRange"),
         "auxAddress": pool.get("AuxiliaryAddresses")}
        for pool in found["IPAM"]["Config"] or []
    ]  # fmt: skip
    return {
        "name": found["Name"],
        "labels": labelled(found["Labels"]),
        "driver": found["Driver"],
        "internal": found["Internal"],
        "attachable": found["Attachable"],
        "ingress": found["Ingress"],
        "ipv6": found["EnableIPv6"],
        "ipamDriver": found["IPAM"]["Driver"],
        "ipamOptions": found["IPAM"]["Options"] or {},
        "ipamConfigs": [{key: value for key, value in pool.items() if value} for pool in pools],
        "scope": found["Scope"],
        "options": found["Options"] or {},
    }


def _adopt(kind: ResourceType, inputs: Plain, live: Plain, labels: dict[str, str] | None) -> None:
    """What has our owner's label and is as declared was left by a run that was cut off: it is taken over.

    Raises:
        PluginError: it is somebody else's, or not as declared.
    """
    what = kind.token.rsplit(":", 1)[-1].lower()
    fix = f"remove it (docker {what} rm {inputs['name']}), or choose another name"
    if not ours(inputs.get("labels"), labels):
        raise PluginError(f"a {what} '{inputs['name']}' that is not ours exists; {fix}")
    other = sorted(key for key, value in inputs.items() if not same(kind, key, value, live.get(key)))
    if other:
        raise PluginError(f"a {what} '{inputs['name']}' exists, with other settings ({', '.join(other)}); {fix}")


def _remove(remove: Any, busy: str, call: Call) -> None:
    waiting = call.sooner(IN_USE_S)
    while True:
        try:
            with worded():
                remove()
        except PluginError as error:
            if busy not in str(error) or waiting.expired:
                raise
        else:
            return
        waiting.pause(POLL_S, "its last user to go")
