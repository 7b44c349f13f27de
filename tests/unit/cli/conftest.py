"""A stack of the tests' own, in a home of its own, with one model of a provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.cli import loading, main
from infra.paths import STACKS

PROVIDER = """models:
  claude:
    provider: anthropic
    model: claude-sonnet-4-5
    api_key: secret://anthropic-api-key
    price_usd_per_million_tokens: {input: 3, output: 15}
  gpt:
    provider: openai
    api_key: secret://openai-api-key
    price_usd_per_million_tokens: {input: 3, output: 15}
"""

Praxis = Callable[..., Result]
"""``praxis("secrets", "list", "t", stdin="…")``: what the command did."""


@pytest.fixture
def praxis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Praxis:
    """The command line, over a stack ``t`` with two providers' models."""
    stacks = tmp_path / "stacks"
    stacks.mkdir()
    laptop = (STACKS / "laptop.yaml").read_text()
    assert "\nmodels:\n" in laptop
    (stacks / "t.yaml").write_text(laptop.replace("\nmodels:\n", f"\n{PROVIDER}"))
    monkeypatch.setattr(loading, "STACKS", stacks)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    runner = CliRunner()

    def run(*arguments: str, stdin: str = "") -> Result:
        return runner.invoke(main.app, list(arguments), input=stdin)

    return run


@pytest.fixture
def custody(tmp_path: Path) -> Path:
    """The custody folder of the stack ``t``."""
    return tmp_path / "home" / "stacks" / "t" / "custody"
