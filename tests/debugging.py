"""The services of the running stack at debug level, for a while, in place of the ones that are declared.

The stack file has no setting for it on purpose. Each is a second container of the same image, with the same files,
secrets, limits and networks, that is only told to say more; the declared one is stopped meanwhile and started after.
Not covered: PostgreSQL, whose start script keeps statements out of its log while it sets passwords and which is given
no secret by anybody later; the sign-in proxy and the local model, which have no such level.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.models.containers import Container

from tests.proof import NAME

_TRAEFIK = (
    "sed 's/level: INFO/level: DEBUG/' /etc/praxis/traefik.yaml >/tmp/debug.yaml"
    " && exec traefik --configFile=/tmp/debug.yaml"
)
_LITELLM = (
    "import runtime.hooks.serve as s; quiet = s.environment;"
    "s.environment = lambda key: {**quiet(key), 'LITELLM_LOG': 'DEBUG'}; s.main()"
)
_CUSTODIAN = (
    "import logging, runpy; logging.basicConfig(level=logging.DEBUG);"
    "runpy.run_module('runtime.custodian', run_name='__main__')"
)


@dataclass(frozen=True, kw_only=True)
class Debug:
    """What makes a service say more: an entry point (empty: the image's), arguments, variables; and a word that its
    log then holds, which it does not otherwise."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    proof: bytes


SERVICES: Mapping[str, Debug] = {
    "redis": Debug(command=("/opt/praxis/redis.conf", "--loglevel", "debug"), proof=b"clients connected"),
    "collector": Debug(
        command=("--config=/etc/praxis/collector.yaml", "--set=service::telemetry::logs::level=debug"),
        proof=b"debug",
    ),
    "keycloak": Debug(env={"KC_LOG_LEVEL": "debug"}, proof=b"DEBUG"),
    "mlflow": Debug(env={"MLFLOW_LOGGING_LEVEL": "DEBUG"}, proof=b""),
    "litellm": Debug(
        entrypoint=("python3", "-m", "runtime.with_secrets", "--redact", "--", "python3", "-c", _LITELLM),
        proof=b"DEBUG",
    ),
    "custodian": Debug(entrypoint=("python3", "-c", _CUSTODIAN), proof=b"DEBUG:"),
    "egress": Debug(entrypoint=("await-secrets", "bash", "-c", _TRAEFIK), proof=b'"level":"debug"'),
    "edge": Debug(entrypoint=("await-secrets", "bash", "-c", _TRAEFIK), proof=b'"level":"debug"'),
}
"""In the order in which they need each other."""


@contextmanager
def talkative() -> Iterator[dict[str, Container]]:
    """All of :data:`SERVICES` at debug level, ready; after the block the declared ones again, ready."""
    client = docker.from_env()
    declared = {name: client.containers.get(f"praxis-{NAME}-{name}") for name in SERVICES}
    with ExitStack() as after:
        for name in reversed(list(SERVICES)):
            declared[name].stop()
        for name in reversed(list(SERVICES)):  # called from the last to the first
            after.callback(_started, declared[name])
        running = {}
        for name, debug in SERVICES.items():
            running[name] = _beside(client, declared[name], debug)
            after.callback(running[name].remove, force=True)
            _started(running[name])
        yield running


def _beside(client: docker.DockerClient, declared: Container, debug: Debug) -> Container:
    """A container like ``declared``, made and not started."""
    config, host = declared.attrs["Config"], declared.attrs["HostConfig"]
    service = config["Labels"]["praxis.service"]
    name = f"{declared.name}-debug"
    for left in client.containers.list(all=True, filters={"name": f"^{name}$"}):
        left.remove(force=True)
    made = client.containers.create(
        declared.attrs["Image"],
        name=name,
        hostname=service,
        entrypoint=list(debug.entrypoint) or None,
        command=list(debug.command) or (None if debug.entrypoint else config["Cmd"]),
        environment=[*config["Env"], *(f"{key}={value}" for key, value in debug.env.items())],
        user=config["User"],
        healthcheck=config.get("Healthcheck"),
        volumes_from=[f"{declared.name}"],
        tmpfs=host["Tmpfs"],
        ports=_published(host["PortBindings"] or {}),
        mem_limit=host["Memory"] * 2,  # it may hold more while it says more
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        init=True,
        dns=host["Dns"],
        network=next(iter(declared.attrs["NetworkSettings"]["Networks"])),
    )
    first, *_ = networks = list(declared.attrs["NetworkSettings"]["Networks"])
    client.networks.get(first).disconnect(made)
    for network in networks:
        client.networks.get(network).connect(made, aliases=[service])
    return made


def _published(bindings: Mapping[str, list[dict[str, str]]]) -> Any:
    return {port: [(one["HostIp"], int(one["HostPort"])) for one in found] for port, found in bindings.items()}


def _started(container: Container, timeout_s: float = 240) -> None:
    """Start it, and wait until it is healthy.

    Raises:
        AssertionError: it was not in time; with the end of its log.
    """
    container.start()
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        container.reload()
        state = container.attrs["State"]
        if state["Status"] == "running" and state.get("Health", {}).get("Status", "healthy") == "healthy":
            return
        time.sleep(0.5)
    raise AssertionError(f"{container.name} is not ready: {container.logs(tail=20)!r}")
