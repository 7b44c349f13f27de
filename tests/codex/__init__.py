"""The real Codex out of npm, as the lock beside this pins it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.clients import KEY_VARIABLE
from tests.npm import fetched, machine, run

FOLDER = Path(__file__).parent
TRIPLES = {"x64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"}


def installed() -> Path:
    """The client's program.

    Raises:
        NoClientError: it cannot be had here.
    """
    here = machine()
    return fetched(FOLDER, "codex", f"@openai/codex-linux-{here}/vendor/{TRIPLES[here]}/bin/codex")


@dataclass(frozen=True)
class Codex:
    """The client on a machine where nobody has used it before."""

    program: Path
    home: Path

    def ask(self, text: str, settings: str, key: str, model: str) -> tuple[int, list[dict[str, Any]]]:
        """One question, with ``config.toml`` as given and the key in its variable: exit code, and what it told."""
        folder = self.home / ".codex"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(settings)
        command = [str(self.program), "exec", "--skip-git-repo-check", "--json", "--model", model, text]
        done = run(self.home, command, **{KEY_VARIABLE: key})
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
