"""What asking the custodian costs at the egress: the same Traefik, upstream and client, with and without forward-auth.

``python -m tests.bench.bench_egress [--json FILE]`` from the repository's root, with images built. Traefik runs with
the routes that the stack would have, and the custodian's egress port with certificates as in a stack, in containers on
this host's network; the upstream answers after 20 ms. Ends with status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import docker
import yaml
from docker.models.containers import Container

from components.egress import egress as declared
from config import load_stack
from config.stack import Stack
from infra.paths import STACKS
from infra.supply.built import built_images
from runtime.store import CaCert, EcKey, ServerCert
from runtime.wire import EGRESS_PLACEHOLDER, TICKET_HEADER
from tests.bench.calling import calls, until_answered
from tests.bench.report import Figure, tell

PARTS = Path(__file__).parent
ROUNDS = 15
PATH = "/anthropic/v1/messages"


@dataclass(frozen=True)
class Way:
    """How a client reaches the egress: base URL, and what LiteLLM's requests carry."""

    url: str
    headers: dict[str, str]


def free_port() -> int:
    """A port of the loopback that nobody holds now."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


def certificates(folder: Path) -> None:
    """The files that custodian and egress find in ``/run/secrets``."""
    values = {name: EcKey().make({}) for name in ("ca-key", "server", "client")}
    values["ca-cert"] = CaCert("ca-key").make(values)
    server = ServerCert("server", ca_key="ca-key", ca_cert="ca-cert", names=("localhost",)).make(values)
    client = ServerCert("client", ca_key="ca-key", ca_cert="ca-cert", names=("egress",), client=True).make(values)
    for name, content in {
        "ca-cert": values["ca-cert"],
        "ca.crt": values["ca-cert"],
        "custodian-tls-key": values["server"],
        "custodian-tls-cert": server,
        "client.key": values["client"],
        "client.crt": client,
    }.items():
        (folder / name).write_text(content)
        (folder / name).chmod(0o644)


def routes(custodian: int, upstream: int) -> dict[str, Any]:
    """The stack's own routes, with the addresses of this bench, and each again without the custodian."""
    raw = load_stack("laptop", STACKS).model_dump(mode="json")
    price = {"input": 3, "output": 15}
    raw["models"]["claude"] = {
        "provider": "anthropic",
        "api_key": "secret://anthropic-api-key",
        "price_usd_per_million_tokens": price,
    }
    (spec,) = declared(Stack.model_validate(raw))
    made: dict[str, Any] = yaml.safe_load(spec.config_files["dynamic/routes.yaml"])
    http = made["http"]
    http["middlewares"]["custodian"]["forwardAuth"]["address"] = f"https://localhost:{custodian}/egress"
    http["services"]["anthropic"]["loadBalancer"]["servers"] = [{"url": f"http://127.0.0.1:{upstream}"}]
    asked = http["routers"]["anthropic"]
    http["routers"]["bare"] = {
        **asked,
        "rule": f"Method(`POST`) && Path(`/bare{PATH}`)",
        "middlewares": ["strip-bare", *(name for name in asked["middlewares"] if name != "custodian")],
    }
    http["middlewares"]["strip-bare"] = {"stripPrefix": {"prefixes": ["/bare"]}}
    return made


@contextmanager
def running(folder: Path) -> Iterator[Way]:
    """Everything up; yields how a client reaches it."""
    port, ping, custodian, upstream = (free_port() for _ in range(4))
    certificates(folder)
    (folder / "dynamic.yaml").write_text(yaml.safe_dump(routes(custodian, upstream)))
    static = {
        "entryPoints": {"egress": {"address": f"127.0.0.1:{port}"}, "ping": {"address": f"127.0.0.1:{ping}"}},
        "ping": {"entryPoint": "ping"},
        "providers": {"file": {"filename": "/run/secrets/dynamic.yaml", "watch": False}},
        "log": {"level": "ERROR"},
    }
    (folder / "traefik.yaml").write_text(yaml.safe_dump(static))
    (folder / ".ready").touch()
    folder.chmod(0o755)
    started: list[Container] = []
    try:
        custodian_part = part(started, folder, "runtime", "python3", "/bench/egress_parts.py", "custodian", custodian)
        part(started, folder, "runtime", "python3", "/bench/egress_parts.py", "upstream", upstream)
        part(started, folder, "traefik", "traefik", "--configFile=/run/secrets/traefik.yaml")
        ticket = next(iter(custodian_part.logs(stream=True, stderr=False))).decode().strip()
        yield Way(f"http://127.0.0.1:{port}", {"x-api-key": EGRESS_PLACEHOLDER, TICKET_HEADER: ticket})
    finally:
        for container in started:
            container.remove(force=True)


def part(started: list[Container], folder: Path, image: str, *command: object) -> Container:
    """One container on this host's network, as its service's uid would run."""
    container = docker.from_env().containers.run(
        built_images()[image],
        entrypoint=[str(word) for word in command],
        network_mode="host",
        user="61012:61012",
        volumes={
            str(folder): {"bind": "/run/secrets", "mode": "ro"},
            str(PARTS): {"bind": "/bench", "mode": "ro"},
        },
        detach=True,
    )
    started.append(container)
    return container


async def measure(way: Way, path: str = PATH) -> list[Figure]:
    """``path``, where the custodian is asked, and ``/bare`` before it, where it is not: in turn, so that what else runs
    on the machine meets both. Each round is compared in itself, and the middle of the rounds counts: from one to the
    next a shared machine changes by more than what is looked for. The client is a lean one: what it takes, it takes
    from the cores that serve it.
    """
    single: dict[str, list[float]] = {"/bare" + path: [], path: []}
    rates: dict[str, list[float]] = {"/bare" + path: [], path: []}
    within = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(way.url, headers=way.headers, timeout=within, raise_for_status=True) as client:

        async def one(path: str) -> None:
            async with client.post(path, json={"messages": []}) as answer:
                await answer.read()

        await until_answered(partial(one, path), within_s=60)
        for number in range(ROUNDS):
            for which in (list(single), list(single)[::-1])[number % 2]:
                single[which].append((await calls(partial(one, which), 100, at_once=1)).p50_ms)
            for which in (list(rates), list(rates)[::-1])[number % 2]:
                rates[which].append((await calls(partial(one, which), 800, at_once=16)).rate)
    bare, asked = map(median, single.values())
    bare_rate, asked_rate = map(median, rates.values())
    added = median(other - one for one, other in zip(*single.values(), strict=True))
    kept = median(other / one for one, other in zip(*rates.values(), strict=True))
    return [
        Figure(name="p50 at 1, without asking", value=bare, unit="ms"),
        Figure(name="p50 at 1, asking the custodian", value=asked, unit="ms"),
        Figure(name="added at 1", value=added, unit="ms", goal=1.0),
        Figure(name="requests a second at 16, without asking", value=bare_rate, unit="1/s"),
        Figure(name="requests a second at 16, asking", value=asked_rate, unit="1/s"),
        Figure(name="lost at 16", value=(1 - kept) * 100, unit="%", goal=10.0),
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as way:
        figures = asyncio.run(measure(way))
    return tell("Egress", figures, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
