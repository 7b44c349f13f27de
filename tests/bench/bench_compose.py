"""What ``up`` takes to have all services healthy, against Docker Compose with the same containers.

``python -m tests.bench.bench_compose [--rounds 3] [--json FILE]`` from the repository's root, with images built. It
builds Docker Compose from its published module (minutes, once), brings the tests' own stack (``proof``) up and takes it
down again. Ends with status 1 when the goal is missed.

Each time, all containers are removed by force, and networks, volumes and data stay. Then one of the two brings the
containers back: the same images, limits, mounts, probes and needs. The clock stops when every probe says healthy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from components.blueprint import blueprint
from config import load_stack
from infra.healthcheck import passes
from infra.paths import REPOSITORY
from infra.supply.artefacts import GoTool
from infra.targets.on_host import AGENT
from tests.bench.report import Figure, tell
from tests.bench.stack import declared, seconds
from tests.proof import NAME, Proof

COMPOSE = GoTool(
    binary="docker-compose",
    folder=Path(__file__).parent / "compose",
    package="github.com/docker/compose/v2/cmd",
    version_symbol="github.com/docker/compose/v2/internal.Version",
    version_module="github.com/docker/compose/v2",
)
PROJECT = f"{NAME}-by-compose"
WITHIN_S = 300.0
LOOK_S = 1.0
PROBED_S = 4
"""Compose waits for the daemon, which therefore runs its probes as often as is usual."""


def containers() -> list[Container]:
    """All containers of the stack, whoever made them."""
    found: list[Container] = docker.from_env().containers.list(
        all=True, filters={"label": f"praxis.stack={NAME}"}, ignore_removed=True
    )
    return found


def remove() -> None:
    """Every container, by force; nothing else."""
    for container in containers():
        container.remove(force=True)


class Healthy:
    """Which containers have been found healthy, each by its own probe, run here: the daemon runs it too seldom."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._found: set[str] = set()

    def all(self) -> bool:
        """Whether all of them are there and have been. Each look takes a tenth of a second for whoever has not."""
        there = containers()
        for container in there:
            unknown = str(container.id) not in self._found and container.attrs["State"]["Running"]
            if unknown and passes(container):
                self._found.add(str(container.id))
        return len(there) == self._expected and self._found.issuperset(str(one.id) for one in there)


def until_healthy(command: Sequence[str | Path], proof: Proof, expected: int) -> float:
    """Seconds from the start of a command until all is healthy; the command is then waited for.

    Raises:
        RuntimeError: the command fails, or it takes too long.
    """
    remove()
    healthy = Healthy(expected)
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        running = subprocess.Popen(
            command, cwd=REPOSITORY, env=proof.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        while not (all_healthy := healthy.all()) and not running.poll():
            if time.perf_counter() - began > WITHIN_S:
                running.kill()
            time.sleep(LOOK_S)
        took = time.perf_counter() - began
        if running.wait(WITHIN_S) or not all_healthy:
            log.seek(0)
            raise RuntimeError(f"{command[0]} ended with {running.returncode}:\n{log.read().decode()[-2000:]}")
    return took


def project(needs: dict[str, list[str]]) -> dict[str, Any]:
    """The running containers as a Compose project. ``needs``: service -> services that it waits for."""
    found = {str(one.labels["praxis.service"]): one.attrs for one in containers()}
    probed = {name: "Health" in one["State"] for name, one in found.items()}
    services = {}
    for name, one in found.items():
        waits = {need: {"condition": f"service_{'healthy' if probed[need] else 'started'}"} for need in needs[name]}
        services[name] = {**_service(one), "depends_on": waits}
    mounts = (mount for one in found.values() for mount in one["HostConfig"].get("Mounts") or [])
    volumes = {mount["Source"] for mount in mounts if mount["Type"] == "volume"}
    networks = {network for one in found.values() for network in _networks(one)}
    outside = {key: {name: {"external": True} for name in sorted(names)}
               for key, names in (("volumes", volumes), ("networks", networks))}  # fmt: skip
    return {"name": PROJECT, "services": services, **outside}


def _networks(attrs: dict[str, Any]) -> list[str]:
    return [name for name in attrs["NetworkSettings"]["Networks"] if name != "none"]


def _service(attrs: dict[str, Any]) -> dict[str, Any]:
    config, host = attrs["Config"], attrs["HostConfig"]
    service = {
        "container_name": attrs["Name"].removeprefix("/"),
        "image": attrs["Image"],
        "pull_policy": "never",
        "hostname": config["Hostname"],
        "user": config["User"],
        "entrypoint": config["Entrypoint"],
        "command": config["Cmd"],
        "environment": config["Env"],
        "labels": {"praxis.stack": NAME, "praxis.service": config["Labels"]["praxis.service"]},
        "healthcheck": _probe(config.get("Healthcheck")),
        "stop_grace_period": f"{config.get('StopTimeout') or 10}s",
        "init": host["Init"],
        "read_only": host["ReadonlyRootfs"],
        "cap_drop": host["CapDrop"],
        "security_opt": host["SecurityOpt"],
        "sysctls": host.get("Sysctls"),
        "dns": host["Dns"],
        "tmpfs": [f"{path}:{options}" for path, options in (host.get("Tmpfs") or {}).items()],
        "mem_limit": host["Memory"],
        "memswap_limit": host["MemorySwap"],
        "ulimits": {one["Name"]: {"soft": one["Soft"], "hard": one["Hard"]} for one in host["Ulimits"] or []},
        "restart": host["RestartPolicy"]["Name"],
        "logging": {"driver": host["LogConfig"]["Type"], "options": host["LogConfig"]["Config"]},
        "volumes": [_mount(mount) for mount in host.get("Mounts") or []],
        "ports": [
            {"target": int(port.split("/")[0]), "host_ip": to["HostIp"], "published": to["HostPort"]}
            for port, tos in (host["PortBindings"] or {}).items()
            for to in tos
        ],
    }
    networks = _networks(attrs)
    service |= {"networks": networks} if networks else {"network_mode": "none"}
    # A dollar is a variable in a project.
    escaped: dict[str, Any] = json.loads(
        json.dumps({key: one for key, one in service.items() if one}).replace("$", "$$")
    )
    return escaped


def _probe(probe: dict[str, Any] | None) -> dict[str, Any] | None:
    if not probe:
        return None
    spans = (("timeout", "Timeout"), ("start_period", "StartPeriod"))
    times = {name: f"{probe[key]}ns" for name, key in spans if probe.get(key)}
    return {"test": probe["Test"], "retries": probe.get("Retries") or 3, **times, "interval": f"{PROBED_S}s"}


def _mount(mount: dict[str, Any]) -> dict[str, Any]:
    read_only = mount.get("ReadOnly", False)
    return {"type": mount["Type"], "source": mount["Source"], "target": mount["Target"], "read_only": read_only}


def measure(proof: Proof, rounds: int) -> list[Figure]:
    """All figures, from no stack to no stack."""
    compose = COMPOSE.build()
    proof.praxis("down", NAME, "--yes", check=False)
    try:
        first = seconds(lambda: proof.praxis("up", NAME))
        plan = blueprint(load_stack(NAME, proof.stacks), NAME)
        file, expected = proof.stacks / "compose.json", len(containers())
        needs = {AGENT: [], **{spec.name: [AGENT, *spec.needs] for spec in plan.services if spec.name != AGENT}}
        file.write_text(json.dumps(project(needs)), encoding="utf-8")
        ways: dict[str, list[str | Path]] = {
            "praxis up": [REPOSITORY / "praxis", "up", NAME, "--yes"],
            "docker compose up --wait": [compose, "-f", file, "up", "--wait"],
        }
        took = dict.fromkeys(ways, WITHIN_S)
        for _ in range(rounds):
            for name, command in ways.items():
                took[name] = min(took[name], until_healthy(command, proof, expected))
    finally:
        remove()
        proof.praxis("down", NAME, "--yes")
    ours, theirs = took.values()
    return [
        Figure(name="first up, from no data", value=first, unit="s"),
        *(Figure(name=f"{name}, data there", value=one, unit="s") for name, one in took.items()),
        Figure(name="praxis / compose", value=ours / theirs, unit="x", goal=1.10),
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    with declared() as proof:
        figures = measure(proof, chosen.rounds)
    return tell("Against Docker Compose", figures, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
