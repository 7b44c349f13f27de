"""What was done with secrets is recorded, by whom, without a value; and a record that was tampered with shows."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.store import AUDIT_KEY, Password, RandomBytes, Recipe, Recipient, Store, StoreError

RECIPES: dict[str, Recipe] = {AUDIT_KEY: RandomBytes(), "password": Password()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "custody"


@pytest.fixture
def store(folder: Path) -> Store:
    store = Store(folder, audited=True)
    store.ensure(RECIPES)
    return store


def said(store: Store) -> list[tuple[str, str, int]]:
    return [(line["action"], line["name"], line["version"]) for line in store.records()]


def test_every_operation_has_a_line_and_no_value(store: Store, folder: Path) -> None:
    import pyrage

    store.set("key", "canary-1")
    store.replace("key", "canary-2")
    store.set_all({"key": "canary-2", "other": "canary-3"})
    assert store.get("key") == "canary-2"
    store.rotate("password", RECIPES)
    store.revoke("key")
    public = str(pyrage.x25519.Identity.generate().to_public())
    store.add_recipient(Recipient(public, "alice"))
    store.remove_recipient(public)
    assert said(store) == [
        ("make", "password", 1),
        ("make", AUDIT_KEY, 1),
        ("set", "key", 1),
        ("rotate", "key", 2),
        ("import", "other", 1),
        ("read", "key", 2),
        ("rotate", "password", 2),
        ("revoke", "key", 2),
        ("add recipient", public, 0),
        ("remove recipient", public, 0),
    ]
    assert "canary" not in (folder / "audit.jsonl").read_text()
    assert store.record_problems() == []


def test_the_record_is_its_owners_alone(store: Store, folder: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.glob("audit.*")}
    assert modes == {"audit.jsonl": 0o600, "audit.head": 0o600}
    (folder / "audit.jsonl").chmod(0o644)
    before = (folder / "store.age").read_bytes()
    with pytest.raises(StoreError, match="chmod 600"):
        store.set("key", "value")
    assert (folder / "store.age").read_bytes() == before


def test_who_is_whoever_called_sudo(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    store.get("password")
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    store.get(AUDIT_KEY)
    assert [line["who"] for line in store.records()[-2:]] == ["alice", "uid 4000000"]


def test_a_value_is_recorded_as_read_once_a_version(store: Store) -> None:
    for _ in range(3):
        store.get("password")
    store.rotate("password", RECIPES)
    store.get("password")
    reads = [line for line in said(store) if line[0] == "read"]
    assert reads == [("read", "password", 1), ("read", "password", 2)]


def test_delivery_is_recorded_once_a_version(store: Store) -> None:
    store.delivered(["password", "not-there"])
    store.delivered(["password"])
    store.rotate("password", RECIPES)
    store.delivered(["password"])
    deliveries = [line for line in said(store) if line[0] == "deliver"]
    assert deliveries == [("deliver", "password", 1), ("deliver", "password", 2)]


def test_a_store_that_is_not_audited_records_nothing(folder: Path) -> None:
    store = Store(folder)
    store.set("key", "value")
    store.get("key")
    assert sorted(path.name for path in folder.iterdir()) == ["host.key", "store.age"]


def test_a_store_from_before_begins_a_record(folder: Path) -> None:
    Store(folder).set("key", "value")
    store = Store(folder, audited=True)
    store.set("key", "new")
    assert said(store) == [("set", "key", 2), ("make", AUDIT_KEY, 1)]
    assert store.record_problems() == []


def _tampered(lines: list[bytes], how: str) -> list[bytes]:
    changed = json.loads(lines[2])
    changed["who"] = "somebody else"
    return {
        "changed": [*lines[:2], json.dumps(changed).encode(), *lines[3:]],
        "taken out": [*lines[:2], *lines[3:]],
        "first taken out": lines[1:],
        "last taken out": lines[:-1],
        "added": [*lines[:3], lines[2], *lines[3:]],
        "swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "garbled": [*lines[:2], b"nonsense", *lines[3:]],
        "number changed": [*lines[:2], lines[2].replace(b'"version": 1', b'"version": 9'), *lines[3:]],
        "surrogates": [*lines[:2], lines[2].replace(b'"mac": "', b'"mac": "\\ud800'), *lines[3:]],
        "emptied": [],
    }[how]


@pytest.mark.parametrize(
    "how",
    [
        *("changed", "taken out", "first taken out", "last taken out", "added"),
        *("swapped", "garbled", "number changed", "surrogates", "emptied"),
    ],
)
def test_a_line_that_was_tampered_with_shows(store: Store, folder: Path, how: str) -> None:
    for number in range(4):
        store.set(f"key-{number}", "value")
    assert store.record_problems() == []
    path = folder / "audit.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"".join(line + b"\n" for line in _tampered(lines, how)))
    assert store.record_problems() != []


@pytest.mark.parametrize("lost", ["audit.jsonl", "audit.head", "the last line"])
def test_what_is_missing_at_the_end_stops_further_operations(store: Store, folder: Path, lost: str) -> None:
    store.set("key", "value")
    path = folder / "audit.jsonl"
    if lost == "the last line":
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    else:
        (folder / lost).unlink()
    before = (folder / "store.age").read_bytes()
    assert store.record_problems() != []
    for action in (lambda: store.set("key", "new"), lambda: store.get("key")):
        with pytest.raises(StoreError, match=f"put it back from a backup, or begin a new one: .* {AUDIT_KEY}"):
            action()
    assert (folder / "store.age").read_bytes() == before


@pytest.mark.parametrize("state", ["intact", "tampered", "missing"])
def test_a_new_key_begins_a_new_file_and_says_how_the_old_one_was(store: Store, folder: Path, state: str) -> None:
    store.set("key", "value")
    path = folder / "audit.jsonl"
    if state == "tampered":
        path.write_bytes(path.read_bytes().replace(b'"set"', b'"sat"'))
    old = path.read_bytes()
    if state == "missing":
        path.unlink()
    store.rotate(AUDIT_KEY, RECIPES)
    assert said(store) == [("rotate", AUDIT_KEY, 2)]
    assert store.record_problems() == []
    earlier = store.records()[0]["earlier"]
    assert earlier["intact"] == (state == "intact")
    if state != "missing":
        assert earlier["sha256"] == hashlib.sha256(old).hexdigest()
        assert (folder / earlier["file"]).read_bytes() == old, "nothing of it is lost"
    store.set("key", "new")
    assert store.record_problems() == []


def test_what_a_killed_writer_left_of_a_line_is_no_line(store: Store, folder: Path) -> None:
    path = folder / "audit.jsonl"
    with path.open("ab") as file:
        file.write(b'{"seq": 3, "time": "2030')
    assert store.record_problems() == []
    store.set("key", "value")
    assert store.record_problems() == []
    assert said(store)[-1] == ("set", "key", 1)


def test_a_writer_killed_before_the_head_was_written_is_no_break(store: Store, folder: Path) -> None:
    head = (folder / "audit.head").read_bytes()
    store.set("key", "value")
    (folder / "audit.head").write_bytes(head)
    assert store.record_problems() == []
    store.set("key", "new")
    assert store.record_problems() == []


def test_an_operation_that_failed_has_a_second_line(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runtime.store.folder import Folder

    real: Callable[..., None] = Folder.replace

    def full(self: Folder, name: str, *rest: Any) -> None:
        if name == "store.age":
            raise StoreError("cannot write store.age: No space left on device")
        real(self, name, *rest)

    monkeypatch.setattr(Folder, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        store.set("key", "value")
    assert said(store)[-2:] == [("set", "key", 1), ("failed", "key", 1)]
    assert store.record_problems() == []
    with pytest.raises(StoreError, match="is not set"):
        store.get("key")


def test_a_recovery_is_recorded(store: Store, folder: Path) -> None:
    import pyrage

    alice = pyrage.x25519.Identity.generate()
    store.add_recipient(Recipient(str(alice.to_public())))
    (folder / "host.key").unlink()
    store.recover(str(alice))
    assert said(store)[-1] == ("recover", "host.key", 0)
    assert store.record_problems() == []


def _work(folder: Path, start: int) -> None:
    store = Store(folder, audited=True)
    for number in range(start, start + 8):
        store.set(f"name-{number}", str(number))
        store.get(f"name-{number}")


def test_writers_in_several_processes_keep_one_chain(store: Store, folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(folder, start)) for start in (0, 10, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert store.record_problems() == []
    assert [line["seq"] for line in store.records()] == list(range(1, 2 + 48 + 1))
