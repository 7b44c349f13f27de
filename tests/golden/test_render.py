"""Rendered stacks against the copies in this folder. ``PRAXIS_UPDATE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from config import Stack, load_stack
from infra.cli.lifecycle import rendered
from infra.cli.loading import Loaded
from infra.paths import STACKS, stack_folder
from tests.stacks import federated, full

STORED = Path(__file__).parent


@pytest.mark.parametrize(
    ("name", "stack"),
    [("laptop", load_stack("laptop", STACKS)), ("full", full()), ("federated", federated())],
)
def test_a_stack_renders_as_recorded(name: str, stack: Stack) -> None:
    golden = STORED / f"{name}.json"
    text = json.dumps(rendered(Loaded(name, stack, stack_folder(name))), indent=1, sort_keys=True) + "\n"
    if os.environ.get("PRAXIS_UPDATE_GOLDEN"):
        golden.write_text(text)
    assert json.loads(text) == json.loads(golden.read_text()), "see the diff; PRAXIS_UPDATE_GOLDEN=1 accepts it"
