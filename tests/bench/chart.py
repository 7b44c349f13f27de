"""A chart of measured figures against their goals, as an SVG for the documentation.

``python -m tests.bench.chart FILE.json … --svg docs/images/figures.svg``: the files are what benches write with
``--json``. A bar that ends before the line is within its goal; figures without a goal are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.bench.report import Figure

ROW, BAR, NAMES, VALUES = 26, 14, 330, 150
"""Heights of a row and of its bar, and widths of the columns of names and of values, in pixels."""
PER_GOAL = 300
"""Pixels from nothing to the goal."""
MOST = 1.4
"""Where a bar that goes far beyond its goal is cut."""
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 } .value { fill: #59636e }
.met { fill: #2da44e } .missed { fill: #cf222e } .goal { stroke: #59636e; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .value { fill: #9198a1 } .goal { stroke: #9198a1 } }
"""


def chart(benches: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    """The SVG. ``benches``: title and figures of each."""
    parts: list[str] = []
    y = ROW
    for title, figures in benches:
        shown = [figure for figure in figures if figure.goal]
        if not shown:
            continue
        parts.append(f'<text class="title" x="0" y="{y + 12}">{escape(title)}</text>')
        y += ROW
        for figure in shown:
            parts.extend(_row(figure, y))
            y += ROW
    line = NAMES + PER_GOAL
    parts.append(f'<line class="goal" x1="{line}" x2="{line}" y1="{ROW}" y2="{y}"/>')
    parts.append(f'<text class="value" x="{line}" y="14" text-anchor="middle">goal</text>')
    width = NAMES + int(PER_GOAL * MOST) + VALUES
    size = f'width="{width}" height="{y + 8}" viewBox="0 0 {width} {y + 8}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}</style>\n{body}\n</svg>\n'


def _row(figure: Figure, y: int) -> list[str]:
    part = min(figure.value / (figure.goal or 1), MOST)
    value = f"{figure.value:,.2f}" if figure.value < 100 else f"{figure.value:,.0f}"
    kind = "met" if figure.met else "missed"
    end = NAMES + int(PER_GOAL * MOST)
    return [
        f'<text x="0" y="{y + 12}">{escape(figure.name)}</text>',
        f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{PER_GOAL * part:.0f}" height="{BAR}" rx="2"/>',
        f'<text class="value" x="{end + 8}" y="{y + 12}">{value} of {figure.goal:,.4g} {escape(figure.unit)}</text>',
    ]


def main() -> int:
    """Read, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.json")
    parser.add_argument("--svg", type=Path, required=True, metavar="FILE")
    chosen = parser.parse_args()
    told: list[dict[str, Any]] = [json.loads(file.read_text(encoding="utf-8")) for file in chosen.files]
    chosen.svg.write_text(chart([(one["title"], [Figure(**each) for each in one["figures"]]) for one in told]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
