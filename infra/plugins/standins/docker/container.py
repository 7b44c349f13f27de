"""Containers: made, started and waited for; read back as far as the official plugin reads them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from docker.errors import APIError, NotFound

from infra.plugins.standins.compare import differences
from infra.plugins.standins.docker.client import Daemon, ours, worded
from infra.plugins.standins.docker.facts import ANY_ADDRESS, FACTS, body_of, imported_state, live_state
from infra.plugins.standins.docker.images import image, inspected
from infra.plugins.standins.docker.readiness import Readiness
from infra.plugins.standins.docker.uploads import SOURCES, archives
from infra.plugins.standins.durations import nanoseconds
from infra.plugins.standins.kinds import Call, PluginError, ResourceType
from infra.plugins.standins.values import Plain, blank, is_unknown, known

POLL_S = 0.25
REMOVAL_S = 60.0
REMEMBERED = frozenset(
    {"attach", "containerReadRefreshTimeoutMilliseconds", "destroyGraceSeconds", "logs", "mustRun", "removeVolumes",
     "rm", "start", "wait", "waitTimeout"}
)  # fmt: skip
"""Inputs that only say how the plugin is to handle the container: a change of theirs changes no container."""
LIMITS = {"memory": "mem_limit", "memoryReservation": "mem_reservation", "memorySwap": "memswap_limit",
          "cpuShares": "cpu_shares", "cpuSet": "cpuset_cpus", "cpuPeriod": "cpu_period",
          "cpuQuota": "cpu_quota"}  # fmt: skip
"""Inputs that Docker changes in a running container -> docker-py's names."""
RESTARTS = frozenset({"restart", "maxRetryCount"})


class ContainerType(ResourceType):
    """``docker:index/container:Container``; its id is Docker's."""

    token = "docker:index/container:Container"  # noqa: S105 - a type token
    supported = frozenset(
        {name.split(".")[0] for name in FACTS}
        | REMEMBERED
        | {"image", "name", "networksAdvanced", "platform", "uploads", "volumes"}
    )
    unsupported = frozenset({"mounts.volumeOptions.subpath", "networksAdvanced.gwPriority"})
    autonamed = True
    defaults = {
        "attach": False,
        "containerReadRefreshTimeoutMilliseconds": 15000,
        "logs": False,
        "memoryReservation": 0,
        "mustRun": True,
        "networkMode": "bridge",
        "readOnly": False,
        "removeVolumes": True,
        "restart": "no",
        "rm": False,
        "start": True,
        "stdinOpen": False,
        "tty": False,
        "wait": False,
        "waitTimeout": 60,
    }
    nested_defaults = {
        "ports": {"ip": ANY_ADDRESS, "protocol": "tcp"},
        "healthcheck": {
            "interval": "0s", "timeout": "0s", "startPeriod": "0s", "startInterval": "0s", "retries": 0
        },
        "uploads": {"executable": False},
    }  # fmt: skip
    sets = frozenset(
        {
            "capabilities.adds", "capabilities.drops", "dns", "dnsOpts", "dnsSearches", "envs", "groupAdds", "hosts",
            "labels", "mounts", "mounts.volumeOptions.labels", "networksAdvanced", "networksAdvanced.aliases",
            "networksAdvanced.driverOpts", "networksAdvanced.linkLocalIps", "ports", "securityOpts", "ulimits",
            "uploads", "volumes",
        }
    )  # fmt: skip
    computed = frozenset(
        {
            "bridge", "command", "containerLogs", "entrypoints", "envs", "exitCode", "healthcheck", "hostname", "init",
            "ipcMode", "labels", "logDriver", "networkDatas", "platform", "ports.external", "runtime", "securityOpts",
            "shmSize", "stopSignal", "stopTimeout", "user", "workingDir",
        }
    )  # fmt: skip
    durations = frozenset(f"healthcheck.{name}" for name in ("interval", "timeout", "startPeriod", "startInterval"))

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if not re.fullmatch("no|on-failure|always|unless-stopped", known(inputs.get("restart"), "no")):
            yield "restart", "must be no, on-failure, always or unless-stopped"
        for name, text in known(inputs.get("healthcheck"), {}).items():
            if f"healthcheck.{name}" in self.durations:
                try:
                    nanoseconds(known(text, "0"))
                except ValueError as error:
                    yield f"healthcheck.{name}", str(error)
        for index, mount in enumerate(known(inputs.get("mounts"), [])):
            if known(known(mount, {}).get("type"), "bind") not in ("bind", "volume", "tmpfs"):
                yield f"mounts[{index}].type", "must be bind, volume or tmpfs"
        for index, upload in enumerate(known(inputs.get("uploads"), [])):
            if not is_unknown(upload):
                yield from _upload_problems(upload, f"uploads[{index}]")

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        api = self._daemon.api
        with worded():
            self._clear_the_name(inputs)
            image(api, inputs["image"], inputs.get("platform"))
            made = api.create_container_from_config(  # type: ignore[no-untyped-call]  # untyped in the stubs
                body_of(inputs), name=inputs["name"], platform=inputs.get("platform")
            )
        container_id = str(made["Id"])
        try:
            with worded():
                return container_id, self._bring_up(container_id, inputs, call)
        except BaseException:
            # A container that did not come up is in no state: none is left behind, so that the next run can.
            self._discard(container_id)
            raise

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        with worded():
            api = self._daemon.api
            found = api.inspect_container(resource_id)
            if state:
                return str(found["Id"]), live_state(found, state)
            of_image = inspected(api, found["Image"])
            return str(found["Id"]), live_state(found, {}) | imported_state(found, of_image)

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        changed = frozenset(differences(self, old, new))
        raised = {key for key in changed & LIMITS.keys() if not blank(new.get(key))}
        if stuck := sorted(changed - raised - RESTARTS - REMEMBERED):
            raise PluginError(
                f"Docker cannot change {', '.join(stuck)} of a container that exists; replace it: "
                f"--target-replace once, or replace_on_changes={stuck} in its resource options"
            )
        limits: dict[str, Any] = {LIMITS[key]: FACTS[key].to(new[key]) for key in raised}
        if changed & RESTARTS:
            limits["restart_policy"] = {"Name": new["restart"], "MaximumRetryCount": new.get("maxRetryCount", 0)}
        with worded():
            api = self._daemon.api
            if limits:
                api.update_container(resource_id, **limits)
            if new["mustRun"] and new["start"] and not api.inspect_container(resource_id)["State"]["Running"]:
                api.start(resource_id)
                if new["wait"]:
                    Readiness(self._daemon, resource_id).wait(new["waitTimeout"], call)
        return self.read(resource_id, new, call)[1]

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        with worded():
            api = self._daemon.api
            if not state.get("attach"):
                api.stop(resource_id, timeout=state.get("destroyGraceSeconds", 0))
            self._remove(resource_id, state.get("removeVolumes", True), call)

    def _clear_the_name(self, inputs: Plain) -> None:
        """Remove what a run that was cut off left under this name; refuse to touch what is not ours."""
        api, name = self._daemon.api, inputs["name"]
        try:
            found = api.inspect_container(name)
        except NotFound:
            return
        if not ours(inputs.get("labels"), found["Config"]["Labels"]):
            raise PluginError(
                f"a container '{name}' that is not ours exists; remove it (docker rm -f {name}), or choose another name"
            )
        api.remove_container(name, v=True, force=True)

    def _bring_up(self, container_id: str, inputs: Plain, call: Call) -> Plain:
        api = self._daemon.api
        self._connect(container_id, inputs)
        for folder, archive in archives(inputs).items():
            api.put_archive(container_id, folder, archive)
        if not inputs["start"]:
            return live_state(api.inspect_container(container_id), inputs)
        api.start(container_id)
        if inputs["wait"]:
            Readiness(self._daemon, container_id).wait(inputs["waitTimeout"], call)
        if not inputs["attach"]:
            return live_state(api.inspect_container(container_id), inputs)
        return self._attend(container_id, inputs, call)

    def _attend(self, container_id: str, inputs: Plain, call: Call) -> Plain:
        """Until it has run to its end; then what it said, if that is wanted. With ``rm`` it is gone by then."""
        api, found = self._daemon.api, self._daemon.api.inspect_container(container_id)
        said: Plain = {}
        try:
            while found["State"]["Running"]:
                if inputs["logs"]:
                    said = {"containerLogs": api.logs(container_id).decode(errors="replace")}
                if call.expired:
                    raise PluginError("it has not come to its end in time; see custom_timeouts")
                call.pause(POLL_S, "the container to come to its end")
                found = api.inspect_container(container_id)
            if inputs["logs"]:
                said = {"containerLogs": api.logs(container_id).decode(errors="replace")}
        except NotFound:
            return {**said, "exitCode": found["State"]["ExitCode"]}
        return {**live_state(found, inputs), **said}

    def _connect(self, container_id: str, inputs: Plain) -> None:
        wanted = inputs.get("networksAdvanced", [])
        if not wanted:
            return
        api = self._daemon.api
        try:
            api.disconnect_container_from_network(container_id, "bridge", force=False)
        except APIError as error:
            if "is not connected to" not in str(error):
                raise
        for network in wanted:
            api.connect_container_to_network(
                container_id,
                network["name"],
                aliases=network.get("aliases"),
                ipv4_address=network.get("ipv4Address"),
                ipv6_address=network.get("ipv6Address"),
                link_local_ips=network.get("linkLocalIps"),
                driver_opt=dict(option.split("=", 1) for option in network.get("driverOpts", [])) or None,
                mac_address=network.get("macAddress"),
            )

    def _remove(self, container_id: str, volumes: bool, call: Call) -> None:
        """Remove, and wait until the name is free: a removal may be under way already."""
        api, limit = self._daemon.api, call.sooner(REMOVAL_S)
        try:
            api.remove_container(container_id, v=volumes, force=True)
        except APIError as error:
            if "already in progress" not in str(error):
                raise
        while not limit.expired:
            try:
                api.inspect_container(container_id)
            except NotFound:
                return
            call.pause(POLL_S, "the container to be removed")
        raise PluginError("Docker has not finished removing it")

    def _discard(self, container_id: str) -> None:
        try:
            self._daemon.api.remove_container(container_id, v=True, force=True)
        except APIError:
            return


def _upload_problems(upload: Plain, path: str) -> Iterator[tuple[str, str]]:
    given = [name for name in SOURCES if upload.get(name)]
    if len(given) > 1 or not upload.keys() & set(SOURCES):
        yield path, f"needs exactly one of {', '.join(SOURCES)}"
    if not re.fullmatch("(0[0-7]{3})?", known(upload.get("permissions"), "")):
        yield f"{path}.permissions", "must be four octal digits, the first one 0 (such as 0444)"
    try:
        base64.b64decode(known(upload.get("contentBase64"), ""), validate=True)
    except binascii.Error:
        yield f"{path}.contentBase64", "is not base64"
