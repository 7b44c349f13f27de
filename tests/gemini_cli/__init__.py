"""The real Gemini CLI out of npm, as the lock beside this pins it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.clients import GEMINI_CLI_SETTINGS
from tests.npm import fetched, run

FOLDER = Path(__file__).parent
FIRST = "session_id"
"""What its JSON begins with; other lines may be said before it."""


def installed() -> Path:
    """The client's program, which Node runs.

    Raises:
        NoClientError: it cannot be had here.
    """
    return fetched(FOLDER, "gemini-cli", "@google/gemini-cli/bundle/gemini.js")


@dataclass(frozen=True)
class GeminiCli:
    """The client on a machine where nobody has used it before."""

    program: Path
    home: Path

    def ask(self, text: str, settings: str, model: str) -> tuple[int, dict[str, Any]]:
        """One question, with ``.env`` as given and the settings for it: exit code, and what it told."""
        folder = self.home / ".gemini"
        folder.mkdir(exist_ok=True)
        (folder / ".env").write_text(settings)
        (folder / "settings.json").write_text(GEMINI_CLI_SETTINGS)
        arguments = ["--model", model, "--prompt", text, "--output-format", "json", "--skip-trust"]
        done = run(self.home, ["node", str(self.program), *arguments])
        told = done.stdout if done.returncode == 0 else done.stderr
        return done.returncode, json.loads(told[told.index(f'{{\n  "{FIRST}"') :])
