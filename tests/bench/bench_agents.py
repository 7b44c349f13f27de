"""How a preview and a look for drift grow with the number of agents.

``python -m tests.bench.bench_agents [--agents 10 50 100] [--json FILE]`` from the repository's root, with images built.
It brings the tests' own stack (``proof``) up, adds agents, and takes it down again. Ends with status 1 when a goal is
missed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.bench.report import Figure, tell
from tests.bench.stack import best, declared, plain_preview, seconds
from tests.proof import NAME, Proof

GOALS = {100: (6.0, 20.0)}
"""Agents -> most seconds of a preview, and of a look for drift."""


def with_agents(folder: Path, number: int) -> None:
    """Declare ``number`` agents in the stack file."""
    file = folder / f"{NAME}.yaml"
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    raw["agents"] = {f"agent-{index}": {"role": "analyst", "department": "finance"} for index in range(number)}
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")


def measure(proof: Proof, numbers: Sequence[int]) -> list[Figure]:
    """All figures, from no stack to no stack."""
    proof.praxis("down", NAME, "--yes", check=False)
    figures: list[Figure] = []
    try:
        for number in numbers:
            with_agents(proof.stacks, number)
            up = seconds(lambda: proof.praxis("up", NAME))
            preview, drift = GOALS.get(number, (None, None))
            figures += [
                Figure(name=f"{number} agents: up", value=up, unit="s"),
                Figure(
                    name=f"{number} agents: pulumi preview, no change",
                    value=best(lambda: plain_preview(proof)),
                    unit="s",
                    goal=preview,
                ),
                Figure(
                    name=f"{number} agents: drift, none",
                    value=best(lambda: proof.praxis("drift", NAME)),
                    unit="s",
                    goal=drift,
                ),
            ]
    finally:
        proof.praxis("down", NAME, "--yes")
    return figures


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[10, 50, 100], metavar="N")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    with declared() as proof:
        figures = measure(proof, chosen.agents)
    return tell("Growth with agents", figures, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
