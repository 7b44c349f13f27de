"""Containers: made, started and waited for; read back as far as the official plugin reads them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from docker.errors import APIError, NotFound

from infra.plugins.standins.core import GoneError, PluginError, ResourceType
from infra.plugins.standins.docker.client import Daemon, pairs, worded
from infra.plugins.standins.docker.shape import create_arguments, duration, live_state, nanoseconds
from infra.plugins.standins.docker.uploads import archive
from infra.plugins.standins.values import Plain, is_unknown

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - what Docker takes when none is given
DURATIONS = frozenset({"interval", "timeout", "startPeriod", "startInterval"})
POLL_S = 0.25
LOG_LINES = 15


class ContainerType(ResourceType):
    """``docker:index/container:Container``; its id is Docker's."""

    token = "docker:index/container:Container"  # noqa: S105 - a type token
    defaults: Mapping[str, Any] = {
        "attach": False,
        "logs": False,
        "mustRun": True,
        "restart": "no",
        "rm": False,
        "start": True,
        "wait": False,
        "waitTimeout": 60,
        "removeVolumes": True,
        "containerReadRefreshTimeoutMilliseconds": 15000,
    }
    unordered = frozenset(
        {"envs", "labels", "mounts", "networksAdvanced", "ports", "securityOpts", "uploads", "volumes"}
    )
    computed = frozenset(
        {
            "bridge", "cgroupnsMode", "command", "containerLogs", "entrypoints", "exitCode", "healthcheck", "hostname",
            "init", "ipcMode", "logDriver", "networkDatas", "networkMode", "pidMode", "platform", "privileged",
            "readOnly", "publishAllPorts", "runtime", "securityOpts", "shmSize", "stdinOpen", "stopSignal",
            "stopTimeout", "tty", "user", "workingDir",
        }
    )  # fmt: skip

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def normalise(self, inputs: Plain) -> Plain:
        nested: Plain = {
            "ports": [{"ip": ANY_ADDRESS, "protocol": "tcp", **port} for port in inputs.get("ports", [])],
            "mounts": [{"readOnly": False, **mount} for mount in inputs.get("mounts", [])],
            "healthcheck": {
                key: duration(nanoseconds(value)) if key in DURATIONS and not is_unknown(value) else value
                for key, value in inputs.get("healthcheck", {}).items()
            },
        }
        return {**inputs, **{key: value for key, value in nested.items() if value}}

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        with worded():
            self._clear_the_name(inputs)
            api = self._daemon.api
            try:
                made = api.create_container_from_config(  # type: ignore[no-untyped-call]  # untyped in the stubs
                    create_arguments(api, inputs), name=inputs["name"], platform=inputs.get("platform")
                )
            except NotFound:
                raise PluginError(
                    f"there is no image '{inputs['image']}'; ./praxis up builds what is missing"
                ) from None
        container_id = str(made["Id"])
        try:
            with worded():
                self._connect(container_id, inputs)
                self._upload(container_id, inputs)
                if inputs["start"]:
                    api.start(container_id)
                if inputs["wait"]:
                    self._wait(container_id, inputs, min(deadline, time.monotonic() + inputs["waitTimeout"]))
        except GoneError as error:
            self._discard(container_id)
            raise PluginError(str(error)) from None
        except BaseException:
            # A container that never came up is in no state file: leave none behind, so that the next run can.
            self._discard(container_id)
            raise
        return container_id, self.read(container_id, inputs)

    def read(self, resource_id: str, state: Plain) -> Plain:
        with worded():
            return live_state(self._daemon.api.inspect_container(resource_id), state)

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        limits: dict[str, Any] = {}
        for key, name, factor in (
            ("memory", "mem_limit", 1024 * 1024),
            ("memorySwap", "memswap_limit", 1024 * 1024),
            ("memoryReservation", "mem_reservation", 1024 * 1024),
            ("cpuShares", "cpu_shares", 1),
        ):
            if new.get(key) != old.get(key):
                limits[name] = new.get(key, 0) * factor
        if new["restart"] != old.get("restart") or new.get("maxRetryCount") != old.get("maxRetryCount"):
            limits["restart_policy"] = {"Name": new["restart"], "MaximumRetryCount": new.get("maxRetryCount", 0)}
        with worded():
            api = self._daemon.api
            if limits:
                api.update_container(resource_id, **limits)
            if new["mustRun"] and not api.inspect_container(resource_id)["State"]["Running"]:
                api.start(resource_id)
                if new["wait"]:
                    self._wait(resource_id, new, min(deadline, time.monotonic() + new["waitTimeout"]))
        return self.read(resource_id, new)

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        with worded():
            api = self._daemon.api
            api.stop(resource_id, timeout=state.get("destroyGraceSeconds", 0))
            api.remove_container(resource_id, v=state.get("removeVolumes", True), force=True)
            while time.monotonic() < deadline:  # a removal that is "already in progress" frees the name only at its end
                try:
                    api.inspect_container(resource_id)
                except NotFound:
                    return
                time.sleep(POLL_S)

    def _clear_the_name(self, inputs: Plain) -> None:
        """Remove what a run that was cut off left under this name; refuse to touch what is not ours."""
        api, name = self._daemon.api, inputs["name"]
        try:
            found = api.inspect_container(name)
        except NotFound:
            return
        stack = pairs(inputs.get("labels")).get("praxis.stack")
        if stack is None or (found["Config"]["Labels"] or {}).get("praxis.stack") != stack:
            raise PluginError(
                f"a container '{name}' that is not ours exists; remove it (docker rm -f {name}) or rename it"
            )
        api.remove_container(name, v=True, force=True)

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
            )

    def _upload(self, container_id: str, inputs: Plain) -> None:
        if inputs.get("uploads"):
            self._daemon.api.put_archive(container_id, "/", archive(inputs["uploads"]))

    def _wait(self, container_id: str, inputs: Plain, deadline: float) -> None:
        """Until the container's own health check says healthy.

        Raises:
            PluginError: not in time; with what the check and the container said last.
        """
        api = self._daemon.api
        while True:
            state = api.inspect_container(container_id)["State"]
            health = state.get("Health", {}).get("Status")
            if health == "healthy" or (health is None and state["Running"]):
                return
            if time.monotonic() > deadline:
                raise PluginError(self._why(container_id, state, inputs["waitTimeout"]))
            time.sleep(POLL_S)

    def _why(self, container_id: str, state: dict[str, Any], timeout_s: int) -> str:
        checks = state.get("Health", {}).get("Log") or []
        said = checks[-1]["Output"].strip() if checks else "its health check has not run yet"
        log = self._daemon.api.logs(container_id, tail=LOG_LINES).decode(errors="replace").strip()
        return (
            f"not healthy after {timeout_s} s (state {state['Status']}, exit code {state['ExitCode']}); "
            f"last check: {said or '-'}; last lines of its log:\n{log or '-'}"
        )

    def _discard(self, container_id: str) -> None:
        try:
            self._daemon.api.remove_container(container_id, v=True, force=True)
        except APIError:
            return
