"""What with-secrets costs: at the start of a program, and on what the program prints.

``python -m tests.bench.bench_with_secrets [--json FILE]`` from the repository's root. Each figure stands beside the
same command run bare in the same run. Ends with status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from infra.paths import REPOSITORY
from tests.bench.report import Figure, tell

STARTS = 40
OUTPUT_MIB = 64
SECRETS = 8
PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
"""The one of the system, as in the images: the locked environment's start is slower."""
LINE = b'{"time":"2026-01-01T00:00:00Z","level":"DEBUG","message":"POST /v1/chat/completions 200 in 12.5 ms"}\n'


def took(command: Sequence[str]) -> float:
    """Wall seconds of one run, its output read and dropped through a pipe."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        while process.stdout.read(1 << 20):
            pass
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return time.perf_counter() - begin


def medians(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Median seconds of each command; they take turns, so that a busy moment hits all of them."""
    seen: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            seen[name].append(took(command))
    return {name: statistics.median(each) for name, each in seen.items()}


def start_up(wrapped: Sequence[str], folder: Path) -> list[Figure]:
    """A program that does nothing, started in each way."""
    await_secrets = REPOSITORY / "images/base/await-secrets"
    waiting = await_secrets.read_text(encoding="utf-8").replace("folder=/run/secrets", f"folder={folder}")
    commands = {
        "bare": ["true"],
        "Python alone": [PYTHON, "-c", "pass"],
        "await-secrets": ["bash", "-c", waiting, "await-secrets", "true"],
        "with-secrets": [*wrapped, "--fd", "KEY=secret-0", "--", "true"],
        "with-secrets --redact": [*wrapped, "--redact", "--", "true"],
    }
    measured = medians(commands, STARTS)
    bare = measured["bare"]
    figures = [Figure(name=f"start, {name}", value=each * 1000, unit="ms") for name, each in measured.items()]
    return [
        *figures,
        *(
            Figure(name=f"start, {name}, over bare", value=measured[name] / bare, unit="times")
            for name in ("await-secrets", "with-secrets", "with-secrets --redact")
        ),
        Figure(
            name="start, with-secrets, over Python alone",
            value=measured["with-secrets"] / measured["Python alone"],
            unit="times",
            goal=4,
        ),
    ]


def throughput(wrapped: Sequence[str], folder: Path) -> list[Figure]:
    """A program that prints much, without a secret in it and with one in every tenth line."""
    value = (folder / "secret-0").read_bytes()
    figures = []
    for what, block in (("no secret", LINE * 10), ("a secret in 10 lines", LINE * 9 + b"key=" + value + b" " + LINE)):
        file = folder.parent / "output"
        file.write_bytes(block * (OUTPUT_MIB * 2**20 // len(block)))
        mib = file.stat().st_size / 2**20
        measured = medians(
            {"bare": ["cat", str(file)], "redacted": [*wrapped, "--redact", "--", "cat", str(file)]}, rounds=5
        )
        figures += [
            Figure(name=f"output bare, {what}", value=mib / measured["bare"], unit="MiB/s"),
            Figure(name=f"output redacted, {what}", value=mib / measured["redacted"], unit="MiB/s"),
            Figure(name=f"time over bare, {what}", value=measured["redacted"] / measured["bare"], unit="times"),
        ]
    return figures


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        folder = root / "secrets"
        folder.mkdir()
        for number in range(SECRETS):
            (folder / f"secret-{number}").write_text(secrets.token_urlsafe(32))
        (folder / ".ready").touch()
        wrapped = [PYTHON, "-m", "runtime.with_secrets", "--folder", str(folder)]
        figures = [*start_up(wrapped, folder), *throughput(wrapped, folder)]
    finally:
        shutil.rmtree(root)
    return tell("with-secrets", figures, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
