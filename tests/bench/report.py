"""How a bench tells what it measured: a table for people, and one JSON file for everything else."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.cli.console import table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value. ``goal``: the most that it should be, in the same unit; none where there is no goal."""

    name: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def met(self) -> bool:
        """Whether the value is within its goal."""
        return self.goal is None or self.value <= self.goal


def tell(title: str, figures: Sequence[Figure], file: Path | None) -> int:
    """Print the figures and write them to ``file``; 0 when every goal is met, else 1.

    The load average stands with them: a figure taken on a busy machine is an upper bound.
    """
    rows = [
        [
            each.name,
            f"{each.value:,.2f}" if each.value < 100 else f"{each.value:,.0f}",
            each.unit,
            "" if each.goal is None else f"≤ {each.goal:g}",
            "" if each.goal is None else ("met" if each.met else "MISSED"),
        ]
        for each in figures
    ]
    table(title, ["figure", "value", "unit", "goal", ""], rows)
    if file is not None:
        machine = {"cpus": os.cpu_count(), "load": os.getloadavg(), "kernel": platform.release()}
        content = {"title": title, "machine": machine, "figures": [asdict(each) for each in figures]}
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return int(not all(each.met for each in figures))
