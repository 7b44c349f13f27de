"""The whole way of a request against LiteLLM alone, and against the model alone, in the same run.

``python -m tests.bench.bench_path [--json FILE]`` from the repository's root, with images built. The stack is the
tests' own (``proof``), brought up and taken down. Beside it runs LiteLLM of the same image, without gate, database,
Redis or keys, before a model container of its own; every container has the limits that the stack's has. Each way is
measured in turn in several rounds, so that what else runs on the machine meets all of them; the best round counts.
Ends with status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import httpx
import yaml
from docker.models.containers import Container

from infra.supply.built import built_images
from tests.bench.bench_egress import free_port
from tests.bench.bench_stack import HELLO
from tests.bench.calling import Calls, calls, until_answered
from tests.bench.report import Figure, tell
from tests.bench.stack import running
from tests.proof import NAME, Proof

ROUNDS = 3
NUMBER = {1: 60, 16: 320}
"""At once -> requests a round."""
BARE = "praxis-bench-litellm"
KEY = "sk-" + "bench" * 8
"""LiteLLM starts with no other door than its master key."""
MODEL = "praxis-bench-model"
SERVE = """
import os, uvicorn
from litellm.proxy.proxy_server import app
uvicorn.run(app, host="0.0.0.0", port=4000, access_log=False, log_level="warning")
"""


@dataclass(frozen=True)
class Way:
    """How the model is reached. ``containers``: whose CPU time counts."""

    name: str
    url: str
    headers: Mapping[str, str]
    containers: tuple[str, ...]


@dataclass(frozen=True)
class Took:
    """One round. ``cpu_ms``: CPU time of a request, in milliseconds."""

    calls: Calls
    cpu_ms: float


@contextmanager
def bare(folder: Path) -> Iterator[tuple[Way, Way]]:
    """The model alone, and LiteLLM alone before it."""
    client = docker.from_env()
    model_port, litellm_port = free_port(), free_port()
    config = {
        "model_list": [
            {
                "model_name": "smollm2",
                "litellm_params": {
                    "model": "openai/smollm2",
                    "api_base": f"http://{MODEL}:8080/v1",
                    "api_key": "none",
                },
            }
        ]
    }
    (folder / "litellm.yaml").write_text(yaml.safe_dump(config))
    (folder / "litellm.yaml").chmod(0o644)
    folder.chmod(0o755)
    network = client.networks.create("praxis-bench")
    started: list[Container] = []
    try:
        started.append(_like("model", MODEL, {"8080/tcp": ("127.0.0.1", model_port)}))
        started.append(
            _like(
                "litellm",
                BARE,
                {"4000/tcp": ("127.0.0.1", litellm_port)},
                entrypoint=["python3", "-c", SERVE],
                environment={
                    "CONFIG_FILE_PATH": "/etc/praxis/litellm.yaml",
                    "LITELLM_MODE": "PRODUCTION",
                    "LITELLM_LOG": "ERROR",
                    "LITELLM_MASTER_KEY": KEY,
                },
                volumes={str(folder): {"bind": "/etc/praxis", "mode": "ro"}},
            )
        )
        yield (
            Way("model alone", f"http://127.0.0.1:{model_port}", {}, (MODEL,)),
            Way("LiteLLM alone", f"http://127.0.0.1:{litellm_port}", {"Authorization": f"Bearer {KEY}"}, (MODEL, BARE)),
        )
    finally:
        for container in started:
            container.remove(force=True)
        network.remove()


def _like(service: str, name: str, ports: dict[str, Any], **more: Any) -> Container:
    """A container with the image and limits of the stack's."""
    client = docker.from_env()
    theirs = client.containers.get(f"praxis-{NAME}-{service}").attrs
    for left in client.containers.list(all=True, filters={"name": f"^{name}$"}):
        left.remove(force=True)
    variables = [entry for entry in theirs["Config"]["Env"] if entry.startswith(("MODEL_", "N_"))]
    environment = more.pop("environment", None) or variables
    return client.containers.run(
        built_images()[service],
        name=name,
        network="praxis-bench",
        ports=ports,
        mem_limit=theirs["HostConfig"]["Memory"],
        environment=environment,
        tmpfs={"/tmp": ""},
        detach=True,
        **more,
    )


def cpu_ms(containers: tuple[str, ...]) -> float:
    """CPU time that these have had, in milliseconds."""
    api = docker.from_env().api
    told: list[Any] = [api.stats(name, stream=False, one_shot=True) for name in containers]
    return float(sum(one["cpu_stats"]["cpu_usage"]["total_usage"] for one in told) / 1e6)


async def load(way: Way, number: int, at_once: int) -> Calls:
    """Send ``number`` requests. The first waits until the way answers."""
    async with httpx.AsyncClient(base_url=way.url, headers=way.headers, timeout=120, trust_env=False) as client:

        async def one() -> None:
            (await client.post("/v1/chat/completions", json=HELLO)).raise_for_status()

        await until_answered(one, within_s=180)
        return await calls(one, number, at_once)


def round_of(way: Way, at_once: int) -> Took:
    """One round."""
    number, used = NUMBER[at_once], cpu_ms(way.containers)
    took = asyncio.run(load(way, number, at_once))
    return Took(took, (cpu_ms(way.containers) - used) / (number + 1))  # one to begin with


def first_token_ms(way: Way) -> float:
    """Milliseconds to the first event with content of a streamed answer; the median of ten."""
    body = HELLO | {"max_tokens": 4, "stream": True}
    found = []
    with httpx.Client(base_url=way.url, headers=dict(way.headers), timeout=60, trust_env=False) as client:
        for _ in range(10):
            begin = time.perf_counter()
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    if line.startswith("data: {") and _content(json.loads(line[6:])):
                        found.append((time.perf_counter() - begin) * 1000)
                        break
                else:
                    raise RuntimeError(f"{way.name}: a stream without content")
    return statistics.median(found)


def _content(event: dict[str, Any]) -> bool:
    return any(choice.get("delta", {}).get("content") for choice in event.get("choices", []))


def measure(ways: tuple[Way, ...]) -> list[Figure]:
    """All ways in turn."""
    figures: list[Figure] = []
    best: dict[tuple[str, int], Took] = {}
    for at_once in NUMBER:
        rounds: dict[str, list[Took]] = {way.name: [] for way in ways}
        for _ in range(ROUNDS):
            for way in ways:
                rounds[way.name].append(round_of(way, at_once))
        for name, took in rounds.items():
            best[name, at_once] = min(took, key=lambda one: one.calls.p50_ms)
    for way in ways:
        for at_once in NUMBER:
            one = best[way.name, at_once]
            figures += [
                Figure(name=f"{way.name}: p50 at {at_once}", value=one.calls.p50_ms, unit="ms"),
                Figure(name=f"{way.name}: p99 at {at_once}", value=one.calls.p99_ms, unit="ms"),
                Figure(name=f"{way.name}: requests a second at {at_once}", value=one.calls.rate, unit="1/s"),
                Figure(name=f"{way.name}: CPU a request at {at_once}", value=one.cpu_ms, unit="ms"),
            ]
        figures.append(Figure(name=f"{way.name}: first token", value=first_token_ms(way), unit="ms"))
    _, alone, whole = (way.name for way in ways)
    seen = {key: one.calls for key, one in best.items()}
    alone_1, alone_16, whole_1, whole_16 = (seen[way, at_once] for way in (alone, whole) for at_once in (1, 16))
    return [
        *figures,
        Figure(name="p50 at 1, Praxis / LiteLLM", value=whole_1.p50_ms / alone_1.p50_ms, unit="x", goal=1.10),
        Figure(
            name="requests a second at 16, LiteLLM / Praxis",
            value=alone_16.rate / whole_16.rate,
            unit="x",
            goal=1 / 0.9,
        ),
        Figure(name="Praxis: p99 / p50 at 16", value=whole_16.p99_ms / whole_16.p50_ms, unit="x", goal=2),
    ]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    with running() as proof, tempfile.TemporaryDirectory() as folder:
        key = proof.token("alice", "--kind", "virtual-key")
        names = tuple(f"praxis-{NAME}-{one['service']}" for one in status(proof))
        whole = Way("Praxis", proof.url, {"Authorization": f"Bearer {key}"}, names)
        with bare(Path(folder)) as (model, litellm):
            ways = (model, litellm, whole)
            for way in ways:
                asyncio.run(load(way, 40, at_once=4))
            figures = measure(ways)
    return tell("The way of a request", figures, chosen.json)


def status(proof: Proof) -> list[dict[str, Any]]:
    """The services of the stack."""
    found: list[dict[str, Any]] = json.loads(proof.praxis("status", NAME, "--json").stdout)["services"]
    return found


if __name__ == "__main__":
    sys.exit(main())
