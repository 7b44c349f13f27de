"""The real Claude Code out of npm, as the lock beside this pins it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.npm import fetched, machine, run

FOLDER = Path(__file__).parent
QUIET = {"DISABLE_TELEMETRY": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
"""There is nobody on this network whom it could tell anything; it would wait for an answer."""


def installed() -> Path:
    """The client's program.

    Raises:
        NoClientError: it cannot be had here.
    """
    program = f"@anthropic-ai/claude-code-linux-{machine()}/claude"
    return fetched(FOLDER, "claude-code", program)


@dataclass(frozen=True)
class Said:
    """What the client made of it: its exit code, and the JSON that it printed."""

    code: int
    result: dict[str, Any]


@dataclass(frozen=True)
class ClaudeCode:
    """The client on a machine where nobody has used it before."""

    program: Path
    home: Path

    def ask(self, text: str, base_url: str, model: str, more: Mapping[str, str]) -> Said:
        """One question, with ``ANTHROPIC_BASE_URL`` and ``more`` variables and nothing else set."""
        command = [str(self.program), "-p", text, "--output-format", "json", "--model", model]
        done = run(self.home, command, **QUIET, **{"ANTHROPIC_BASE_URL": base_url, **more})
        assert done.stdout.startswith("{"), f"{done.returncode}: {done.stdout[:500]} {done.stderr[:500]}"
        return Said(done.returncode, json.loads(done.stdout))
