"""What the benches of a whole stack share: the tests' own stack, and the clock."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from infra.paths import REPOSITORY
from infra.supply.engine import pulumi_environment
from tests.proof import NAME, Proof, declare


@contextmanager
def declared(*, limits: bool = True) -> Iterator[Proof]:
    """The stack ``proof``, declared in a folder of its own and not brought up."""
    with tempfile.TemporaryDirectory() as folder:
        declare(Path(folder))
        if not limits:
            _without_limits(Path(folder))
        yield Proof(Path(folder), [])


@contextmanager
def running() -> Iterator[Proof]:
    """The same without limits on alice, brought up, and taken down at the end."""
    with declared(limits=False) as proof:
        try:
            proof.praxis("up", NAME)
            yield proof
        finally:
            proof.praxis("down", NAME, "--yes")


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def best(call: Callable[[], object], rounds: int = 3) -> float:
    """Wall time of the quickest of several calls: what else runs on the machine meets not all of them."""
    return min(seconds(call) for _ in range(rounds))


def _without_limits(folder: Path) -> None:
    """Take the limits off alice, so that the gateway is measured and not its fences."""
    file = folder / f"{NAME}.yaml"
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))
    raw["edge"]["requests_per_second"] = 100_000
    raw["roles"]["engineer"]["limits"] = {"requests_per_minute": 1_000_000}
    file.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")


def plain_preview(proof: Proof) -> None:
    """``pulumi preview`` as a user of plain Pulumi types it."""
    subprocess.run(
        ["pulumi", "preview", "--stack", NAME, "--expect-no-changes", "--non-interactive"],
        env={**proof.environment, **pulumi_environment(NAME)},
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
