"""The stack's own figures: how long its commands take, and what memory it holds after many requests.

``python -m tests.bench.bench_stack [--requests 5000] [--json FILE]`` from the repository's root, with images built. It
brings the tests' own stack (``proof``) up and takes it down again. Ends with status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path

import httpx

from tests.bench.calling import Calls, calls
from tests.bench.report import Figure, tell
from tests.bench.stack import best, declared, plain_preview, seconds
from tests.proof import NAME, Proof

AT_ONCE = 4
WARM_UP = 20
HELLO = {"model": "smollm2", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}


async def load(proof: Proof, key: str, number: int) -> Calls:
    """Send ``number`` requests, :data:`AT_ONCE` at a time.

    Raises:
        RuntimeError: one was not answered with 200.
    """
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=proof.url, headers=headers, timeout=60, trust_env=False) as client:

        async def one() -> None:
            answer = await client.post("/v1/chat/completions", json=HELLO)
            if answer.status_code != httpx.codes.OK:
                raise RuntimeError(f"HTTP {answer.status_code}: {answer.text[:300]}")

        return await calls(one, number, AT_ONCE)


def memory(proof: Proof, requests: int) -> list[Figure]:
    """What each service holds, and what all of them may and do."""
    status = json.loads(proof.praxis("status", NAME, "--json").stdout)
    services = [
        Figure(name=f"memory {one['service']}", value=one["memory_mib"], unit="MiB") for one in status["services"]
    ]
    limit = sum(one["limit_mib"] for one in status["services"])
    return [
        *services,
        Figure(name=f"memory in use after {requests:,} requests", value=status["memory_mib"], unit="MiB", goal=2560),
        Figure(name="hard limits, added up", value=limit, unit="MiB", goal=3584),
    ]


def measure(proof: Proof, requests: int) -> list[Figure]:
    """All figures, from no stack to no stack."""
    proof.praxis("down", NAME, "--yes", check=False)
    try:
        figures = [
            Figure(name="up, images built", value=seconds(lambda: proof.praxis("up", NAME)), unit="s", goal=90),
            Figure(name="up, nothing to do", value=best(lambda: proof.praxis("up", NAME)), unit="s", goal=10),
            Figure(name="pulumi preview, no change", value=best(lambda: plain_preview(proof)), unit="s", goal=3),
        ]
        key = proof.token("alice", "--kind", "virtual-key")
        asyncio.run(load(proof, key, WARM_UP))
        took = asyncio.run(load(proof, key, requests))
        figures += [
            Figure(name=f"request, p50 at {AT_ONCE}", value=took.p50_ms, unit="ms"),
            Figure(name=f"request, p99 at {AT_ONCE}", value=took.p99_ms, unit="ms"),
            Figure(name=f"requests a second at {AT_ONCE}", value=took.rate, unit="1/s"),
            *memory(proof, requests),
        ]
    finally:
        down = seconds(lambda: proof.praxis("down", NAME, "--yes"))
    return [*figures, Figure(name="down, with its data", value=down, unit="s")]


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    with declared(limits=False) as proof:
        figures = measure(proof, chosen.requests)
    return tell("Stack", figures, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
