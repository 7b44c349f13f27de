"""Drops what the tracking server never opens: ``prepare.py CONTEXT``. Standard library only."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

UNUSED = ("bin", "pandas/tests")


def prepare(context: Path) -> None:
    """Delete what is unused under ``context/site``. Raises ``FileNotFoundError`` if it is not where it was."""
    for folder in UNUSED:
        shutil.rmtree(context / "site" / folder)


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
