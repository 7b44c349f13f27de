"""``make check``: all that can be said about the source without running it. Says everything wrong, then fails."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from infra.paths import REPOSITORY

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports",),
    (sys.executable, "-m", "infra.cli.reference", "--check"),
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def tracked(pattern: str) -> list[Path]:
    """The repository's files of this name pattern: what git tracks, or would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", pattern]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    return sorted(path for name in listed.split("\0") if name and (path := REPOSITORY / name).is_file())


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    found = set()
    for line in FENCE.sub("", page.read_text(encoding="utf-8")).splitlines():
        if line.startswith("#"):
            text = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            found.add(text.replace(" ", "-"))
    return found


def dead_links(pages: list[Path]) -> Iterator[str]:
    """One line for each link of the pages to a file or heading of this repository that is not there."""
    for page in pages:
        for target in LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            name, _, anchor = unquote(target).partition("#")
            file = page if not name else (page.parent / name)
            if not file.exists():
                yield f"{page.relative_to(REPOSITORY)}: {target}: no such file"
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                yield f"{page.relative_to(REPOSITORY)}: {target}: no such heading"


def main() -> int:
    """The number of checks that found something, as exit code 1; 0 if none did."""
    failed = []
    for command in COMMANDS:
        begin = time.monotonic()
        result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        name = " ".join(Path(word).name if word == sys.executable else word for word in command)
        print(f"{'ok  ' if result.returncode == 0 else 'FAIL'} {name} ({time.monotonic() - begin:.1f} s)", flush=True)
        if result.returncode != 0:
            failed.append(name)
            print(result.stdout + result.stderr, flush=True)
    links = list(dead_links(tracked("*.md")))
    print("\n".join([f"{'FAIL' if links else 'ok  '} links in docs", *links]), flush=True)
    return 1 if failed or links else 0


if __name__ == "__main__":
    sys.exit(main())
