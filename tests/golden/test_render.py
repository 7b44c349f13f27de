"""The laptop stack, rendered, against the copy in this folder. ``PRAXIS_UPDATE_GOLDEN=1`` writes it anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

from infra.cli.lifecycle import rendered
from infra.cli.loading import load

GOLDEN = Path(__file__).parent / "laptop.json"


def test_the_laptop_stack_renders_as_recorded() -> None:
    text = json.dumps(rendered(load("laptop")), indent=1, sort_keys=True) + "\n"
    if os.environ.get("PRAXIS_UPDATE_GOLDEN"):
        GOLDEN.write_text(text)
    assert json.loads(text) == json.loads(GOLDEN.read_text()), "see the diff; PRAXIS_UPDATE_GOLDEN=1 accepts it"
