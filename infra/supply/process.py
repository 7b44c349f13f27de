"""Running the programs that build parts: quiet while they work, precise when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

LAST_LINES = 15


class SupplyError(Exception):
    """A part could not be had. ``fix`` says what an operator can do about it."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
) -> None:
    """Run ``command`` and keep all it prints in ``log`` (overwritten).

    ``what`` names the step in the message; ``env`` comes on top of this process's own environment.
    Raises :class:`SupplyError` with the last lines of the log if the program is missing or does not exit with 0.
    """
    words = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        try:
            result = subprocess.run(
                words,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                input=None if stdin is None else stdin.encode(),
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except FileNotFoundError:
            raise SupplyError(f"{what}: there is no program {words[0]}", fix=f"install {words[0]}") from None
    if result.returncode != 0:
        raise SupplyError(f"{what}: {words[0]} ended with {result.returncode}\n{tail(log)}", fix=f"see {log}")


def tail(log: Path) -> str:
    """The last lines of a log, indented."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
    return "\n".join(f"    {line}" for line in lines)
