"""A disk that becomes full while the engine writes its state: what was made is known afterwards."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest

from infra.cli.spare import SPARE_BYTES, spare, torn
from infra.supply.engine import state_file, state_folder
from tests.engine.plugins import harness
from tests.filling import fill, small_disk
from tests.waiting import eventually

NAME = "full"
COUNT, SOME, AT_ONCE = 300, 60, 20


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[harness.Deployment]:
    """Of many resources, on a disk of a few megabytes."""
    with small_disk(tmp_path / "disk", SPARE_BYTES + (2 << 20)) as disk:
        monkeypatch.setenv("PRAXIS_HOME", str(disk))
        monkeypatch.setattr(harness, "PROJECT", "praxis")
        for name, value in harness.environment(disk).items():
            monkeypatch.setenv(name, value)
        yield harness.Deployment(disk, NAME, program)


def program() -> None:
    """A few at a time, so that those to come wait for those whose state cannot be written."""
    made: list[pulumi.Resource] = []
    for number in range(COUNT):
        after = pulumi.ResourceOptions(depends_on=made[-AT_ONCE : 1 - AT_ONCE])
        made.append(pulumi.ComponentResource("test:index:Thing", f"thing-{number}", opts=after))


def test_the_state_knows_all_that_was_made(deployment: harness.Deployment) -> None:
    filler = deployment.folder / "filler"

    def when_some_are_made() -> None:
        eventually(lambda: known() > SOME, within_s=60, every_s=0.01)
        fill(filler)

    begun = threading.Thread(target=when_some_are_made)
    begun.start()
    with pytest.raises(OSError, match="No space left") as full, spare(NAME):
        deployment.up()
    begun.join()
    assert full.value.errno == errno.ENOSPC
    assert not torn(state_file(NAME))
    assert SOME < known() < COUNT, "the run was ended"
    filler.unlink()
    with spare(NAME):
        deployment.up()
    assert known() == COUNT
    # A killed engine would leave half of such a file, and nobody could read the state any more.
    assert not list(state_folder().rglob("*.attrs"))


def known() -> int:
    file = state_file(NAME)
    if not file.exists() or torn(file):
        return 0
    return file.read_text().count('"urn":"urn:pulumi:full::praxis::test:index:Thing::thing-')
