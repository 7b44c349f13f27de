"""What can go wrong when the agent starts: one clear line, exit status 1, and no service has a part of its secrets."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.agent import DeliveryError, Receiver, deliver
from runtime.store import Store, utc_now

REPOSITORY = Path(__file__).parents[3]
CODE = (
    "import runtime.agent as a, sys; from pathlib import Path; "
    "a.CUSTODY, a.MANIFEST = Path(sys.argv[1]), Path(sys.argv[2]); a.main()"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes small disks (tmpfs of 64 KiB), as each service has one for its secrets."""
    made: list[Path] = []

    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=2750", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            pytest.skip("needs the right to mount a tmpfs")
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write until nothing more fits; returns the file to delete."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 512)
    return path


def run(custody: Path, *services: Receiver) -> subprocess.CompletedProcess[str]:
    """The agent, until it ends."""
    manifest = custody.parent / "delivery.json"
    entries = [{"name": s.name, "folder": str(s.folder), "files": dict(s.files)} for s in services]
    manifest.write_text(json.dumps({"services": entries}))
    command = [sys.executable, "-c", CODE, str(custody), str(manifest)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, check=False)


def lose_the_key(store: Store, custody: Path) -> None:
    (custody / "host.key").unlink()


def bring_another_key(store: Store, custody: Path) -> None:
    other = custody.parent.parent / "other" / "custody"
    Store(other).set("x", "y")
    (custody / "host.key").unlink()
    (custody / "host.key").write_bytes((other / "host.key").read_bytes())
    (custody / "host.key").chmod(0o444)


def cut_the_store(store: Store, custody: Path) -> None:
    path = custody / "store.age"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-20])
    path.chmod(0o444)


TROUBLE: dict[str, tuple[Callable[[Store, Path], object], str]] = {
    "folder that others may change": (lambda _, custody: custody.chmod(0o777), "can change .*custody: run 'chmod 755"),
    "store that others may change": (lambda _, custody: (custody / "store.age").chmod(0o666), "run 'chmod 444"),
    "parent that others may look into": (lambda _, custody: custody.parent.chmod(0o755), "run 'chmod 700"),
    "lost host key": (lose_the_key, "host.key is missing"),
    "other host key": (bring_another_key, "corrupt, or host.key belongs to another store"),
    "half a store": (cut_the_store, "corrupt"),
    "no store": (lambda _, custody: (custody / "store.age").unlink(), "store.age"),
    "revoked secret": (lambda store, _: store.revoke("b"), "second: secret 'b' was revoked .*secrets set STACK b"),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_one_line_and_nothing_half_started(tmp_path: Path, disk: Callable[[str], Path], what: str) -> None:
    custody = tmp_path / "stack" / "custody"
    store = Store(custody)
    store.set_all({"a": "a-canary", "b": "b-canary"})
    first = Receiver("first", disk("first"), {"a": "${a}"})
    second = Receiver("second", disk("second"), {"b": "${b}"})
    trouble, said = TROUBLE[what]
    trouble(store, custody)
    done = run(custody, first, second)
    assert done.returncode == 1
    assert done.stderr.startswith("secrets agent: ")
    assert done.stderr.count("\n") == 1
    assert "canary" not in done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert os.listdir(first.folder) == os.listdir(second.folder) == []


def test_an_expired_secret_of_praxis_own(tmp_path: Path, disk: Callable[[str], Path]) -> None:
    custody = tmp_path / "stack" / "custody"
    past = utc_now() - datetime.timedelta(days=2)
    Store(custody, clock=lambda: past).set("a", "a-canary", expires=past + datetime.timedelta(days=1))
    service = Receiver("first", disk("first"), {"a": "${a}"})
    done = run(custody, service)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "first: secret 'a' has expired" in done.stderr
    assert os.listdir(service.folder) == []


def test_no_room_at_the_second_service_leaves_the_first_without(tmp_path: Path, disk: Callable[[str], Path]) -> None:
    custody = tmp_path / "stack" / "custody"
    Store(custody).set_all({"a": "a-canary", "b": "b-canary" * 100})
    first = Receiver("first", disk("first"), {"a": "${a}"})
    second = Receiver("second", disk("second"), {"b": "${b}"})
    filler = fill(second.folder)
    done = run(custody, first, second)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr == f"secrets agent: second: cannot write {second.folder}: No space left on device\n"
    assert os.listdir(first.folder) == []
    assert os.listdir(second.folder) == ["filler"]
    filler.unlink()


def test_no_room_later_leaves_what_was_delivered(disk: Callable[[str], Path]) -> None:
    first = Receiver("first", disk("first"), {"a": "${a}"})
    second = Receiver("second", disk("second"), {"b": "${b}"})
    deliver([first, second], {"a": "old", "b": "old"})
    fill(second.folder)
    with pytest.raises(DeliveryError, match=r"second: cannot write .*: No space left on device"):
        deliver([first, second], {"a": "new", "b": "new" * 5000})
    assert (first.folder / "a").read_text() == (second.folder / "b").read_text() == "old"
    assert sorted(os.listdir(first.folder)) == [".ready", "a"]
