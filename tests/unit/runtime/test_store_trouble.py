"""What can go wrong around a store: one clear message each, and what was there is still there."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.store import Store, StoreError

REPOSITORY = Path(__file__).parents[3]

KILLED = """
import os, pathlib, signal, sys
left = [int(sys.argv[2])]

def deadly(real):
    def call(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)
    return call

for holder, names in ((os, ("fsync", "write", "ftruncate", "open")), (pathlib.Path, ("rename", "mkdir"))):
    for name in names:
        setattr(holder, name, deadly(getattr(holder, name)))
from runtime.store import Store
Store(sys.argv[1], audited=True).set("name", "new")
"""

LIMITED = """
import resource, sys
from runtime.store import Store, StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    Store(sys.argv[1], audited=True).set("name", "new" * 1000)
except StoreError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "custody"


def run(program: str, folder: Path, number: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, str(folder), str(number)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("which", "mode", "said"),
    [
        ("custody", 0o777, "can change .*/custody: run 'chmod 755 "),
        ("custody", 0o775, "can change .*/custody: run 'chmod 755 "),
        ("custody/store.age", 0o666, r"can change .*/store\.age: run 'chmod 444 "),
        ("custody/host.key", 0o464, r"can change .*/host\.key: run 'chmod 444 "),
        ("", 0o755, "can look into .*/stack: run 'chmod 700 "),
        ("", 0o710, "can look into .*/stack: run 'chmod 700 "),
    ],
)
def test_wrong_permissions_are_named_with_the_command_that_mends_them(
    folder: Path, which: str, mode: int, said: str
) -> None:
    store = Store(folder)
    store.set("name", "value")
    content = (folder / "store.age").read_bytes()
    path = folder.parent / which
    right = path.stat().st_mode & 0o777
    path.chmod(mode)
    for action in (lambda: store.get("name"), lambda: store.set("name", "new")):
        with pytest.raises(StoreError, match=said):
            action()
    assert (folder / "store.age").read_bytes() == content
    path.chmod(right)
    assert store.get("name") == "value"


def test_somebody_without_rights_is_told_so(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    Store(folder, audited=True).set("name", "value")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setuid(65534)
            Store(folder).get("name")
        except StoreError as error:
            code = 0 if str(error).startswith("no permission to look into ") else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_root_writes_stays_the_owners(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to write into the folder of somebody else")
    store = Store(folder, audited=True)
    store.set("name", "value")
    for path in (folder, *folder.iterdir()):
        os.chown(path, 61011, 61011)
    store.set("name", "new")
    assert {path.name: path.stat().st_uid for path in folder.iterdir()} == dict.fromkeys(
        ("store.age", "host.key", "audit.jsonl", "audit.head"), 61011
    )


def test_a_lost_store_is_not_made_anew(folder: Path) -> None:
    """With new passwords in it no database would open: whoever lost the file must be told."""
    store = Store(folder)
    store.set("name", "value")
    (folder / "store.age").unlink()
    key = (folder / "host.key").read_bytes()
    for action in (lambda: store.get("name"), lambda: store.set("name", "new"), store.metadata):
        with pytest.raises(StoreError, match=r"store\.age is missing"):
            action()
    assert (folder / "host.key").read_bytes() == key
    assert not (folder / "store.age").exists()


@pytest.mark.parametrize("first", [True, False])
def test_a_writer_killed_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path, first: bool) -> None:
    """Killed before each call that touches the disk, one after the other, until it gets through."""
    for moment in range(1, 60):
        folder = tmp_path / str(moment) / "custody"
        store = Store(folder, audited=True)
        if not first:
            store.set("name", "old")
        killed = run(KILLED, folder, moment)
        if killed.returncode == 0:
            break
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        store.set("other", "value")  # the next writer finds its way
        values = Store(folder).values()
        assert values.get("name") in ({None, "new"} if first else {"old", "new"})
        assert values["other"] == "value"
        assert store.record_problems() == []
        left = {path.name for path in folder.iterdir() if not path.name.startswith("audit.")}
        assert left == {"store.age", "host.key"}
    else:
        raise AssertionError("it never got through")
    assert moment > 10


@pytest.mark.parametrize(("beyond", "hit"), [(10, "audit.jsonl"), (600, "store.age")])
def test_a_file_that_cannot_grow_is_one_message_and_no_change(folder: Path, beyond: int, hit: str) -> None:
    """RLIMIT_FSIZE stands for a full disk or a quota; ``beyond`` is what the record may grow by."""
    store = Store(folder, audited=True)
    store.set("name", "old")
    before = (folder / "store.age").read_bytes()
    result = run(LIMITED, folder, (folder / "audit.jsonl").stat().st_size + beyond)
    assert result.returncode == 1
    assert result.stderr == f"cannot write {folder / hit}: File too large; nothing was changed\n"
    assert (folder / "store.age").read_bytes() == before
    assert store.record_problems() == []
    assert sorted(path.name for path in folder.iterdir()) == ["audit.head", "audit.jsonl", "host.key", "store.age"]
    store.set("name", "new")
    assert store.get("name") == "new"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(disk)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Write until nothing more fits; returns the file to delete."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(b"x" * 512)
    return path


def test_a_full_disk_is_one_message_and_no_change(small_disk: Path) -> None:
    store = Store(small_disk / "custody", audited=True)
    store.set("name", "old")
    before = (small_disk / "custody" / "store.age").read_bytes()
    filler = fill(small_disk)
    with pytest.raises(StoreError, match=r"cannot write .*: No space left on device; nothing was changed"):
        store.set("name", "new" * 2000)
    with pytest.raises(StoreError, match=r"cannot write .*: No space left on device; nothing was changed"):
        store.revoke("name")
    assert (small_disk / "custody" / "store.age").read_bytes() == before
    filler.unlink()
    assert store.record_problems() == []
    assert store.get("name") == "old"


def test_a_full_disk_before_the_first_write_leaves_nothing_that_is_in_the_way(small_disk: Path) -> None:
    store = Store(small_disk / "custody", audited=True)
    filler = fill(small_disk)
    with pytest.raises(StoreError, match="No space left on device"):
        store.set("name", "value")
    filler.unlink()
    store.set("name", "value")
    assert store.get("name") == "value"
    assert store.record_problems() == []
