"""A store that is kept elsewhere: its copy in the custody folder, what counts when they differ, and moves."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyrage
import pytest

from runtime.store import Place, RefusedError, Store, Stored, StoreError, UnreachableError, noted_in
from runtime.store.backend import ConflictError


class Elsewhere:
    """A place in memory, which can be away, and lose what it is given."""

    def __init__(self, where: str = "'one' in Memory") -> None:
        self.where = where
        self.stored: Stored | None = None
        self.away = False
        self.forgetful = False

    def load(self) -> Stored | None:
        if self.away:
            raise UnreachableError(f"{self.where} cannot be asked")
        return self.stored

    def save(self, content: bytes, expected: str | None) -> None:
        if self.away:
            raise UnreachableError(f"{self.where} cannot be asked")
        if (self.stored.version if self.stored else None) != expected:
            raise ConflictError(self.where)
        if not self.forgetful:
            self.stored = Stored(content, str(int(expected or 0) + 1))

    def place(self, **settings: str) -> Place:
        return Place(identity=self.where, settings=settings, backend=self)


@pytest.fixture
def remote() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def custody(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "custody"


@pytest.fixture
def store(custody: Path, remote: Elsewhere) -> Store:
    return Store(custody, audited=True, place=remote.place())


def copy(custody: Path) -> bytes:
    return (custody / "store.age").read_bytes()


def kept(remote: Elsewhere) -> bytes:
    assert remote.stored is not None
    return remote.stored.content


def test_each_save_leaves_a_copy_that_opens_without_the_place(store: Store, custody: Path, remote: Elsewhere) -> None:
    for value in ("canary-1", "canary-2"):
        store.set("name", value)
        assert copy(custody) == kept(remote)
        assert b"canary" not in kept(remote)
        remote.away = True
        assert Store(custody).get("name") == value
        remote.away = False
    assert noted_in(custody) is not None
    modes = {path.name: path.stat().st_mode & 0o777 for path in custody.iterdir() if path.suffix != ".jsonl"}
    assert modes == {"store.age": 0o444, "host.key": 0o444, "place.json": 0o444, "audit.head": 0o600}


def test_the_place_counts_when_both_differ(store: Store, custody: Path, remote: Elsewhere) -> None:
    store.set("name", "old")
    old = copy(custody)
    store.set("name", "new")
    (custody / "store.age").unlink()
    (custody / "store.age").write_bytes(old)
    (custody / "store.age").chmod(0o444)
    assert Store(custody).get("name") == "old", "what the agent would deliver"
    assert store.get("name") == "new"
    assert copy(custody) == kept(remote)


def test_a_copy_that_is_in_line_is_not_written_again(store: Store, custody: Path) -> None:
    store.set("name", "value")
    before = {path: path.stat().st_ino for path in custody.iterdir() if path.name in ("store.age", "place.json")}
    assert len(before) == 2
    Store(custody, place=store._sealed._place).values()
    assert {path: path.stat().st_ino for path in before} == before


def test_what_does_not_open_never_becomes_the_copy(store: Store, custody: Path, remote: Elsewhere) -> None:
    store.set("name", "value")
    good = copy(custody)
    stranger = pyrage.encrypt(b"{}", [pyrage.x25519.Identity.generate().to_public()])
    for content in (stranger, b"", b"damaged", good[:-1]):
        remote.stored = Stored(content, "9")
        for act in (store.values, lambda: store.set("name", "new")):
            with pytest.raises(StoreError, match="'one' in Memory is corrupt"):
                act()
        assert copy(custody) == good
        assert kept(remote) == content


def test_a_place_that_is_away_changes_nothing_and_the_copy_still_serves(
    store: Store, custody: Path, remote: Elsewhere
) -> None:
    store.set("name", "value")
    before = {path.name: path.read_bytes() for path in custody.iterdir()}
    remote.away = True
    for act in (store.metadata, store.values, lambda: store.set("name", "new"), lambda: store.revoke("name")):
        with pytest.raises(UnreachableError, match="cannot be asked"):
            act()
    assert {path.name: path.read_bytes() for path in custody.iterdir()} == before
    assert Store(custody).get("name") == "value"


def test_a_place_that_is_away_at_the_first_use_leaves_nothing(store: Store, custody: Path, remote: Elsewhere) -> None:
    remote.away = True
    with pytest.raises(UnreachableError):
        store.set("name", "value")
    assert not custody.exists() or list(custody.iterdir()) == []


def test_no_room_for_the_copy_is_said_before_anything_is_saved(
    store: Store, custody: Path, remote: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set("name", "old")
    before = remote.stored

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    plain = Store(custody, place=remote.place())  # not audited: the record would be full first
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(StoreError, match=r"store\.age: No space left on device; nothing was changed"):
            plain.set("name", "new")
    assert remote.stored == before
    assert copy(custody) == kept(remote)
    assert [path.name for path in custody.iterdir() if path.name.startswith(".")] == []


def test_a_writer_killed_before_its_copy_is_in_place_is_mended_by_the_next_read(
    store: Store, custody: Path, remote: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set("name", "old")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            Store(custody, place=remote.place()).set("name", "new")
    assert copy(custody) != kept(remote)
    assert Store(custody, place=remote.place()).get("name") == "new"
    assert copy(custody) == kept(remote)


def test_a_place_that_lost_the_document_makes_nothing_anew_and_names_the_way_back(
    store: Store, custody: Path, remote: Elsewhere
) -> None:
    store.set("name", "value")
    remote.stored = None
    with pytest.raises(
        StoreError, match=r"is missing, though its host\.key is there: .*store\.age is a copy: .*--from-"
    ):
        store.set("name", "new")
    assert remote.stored is None
    Store(custody, audited=True).move(remote.place())
    assert store.get("name") == "value"


def test_many_readers_and_writers_leave_the_newest_as_the_copy(custody: Path, remote: Elsewhere) -> None:
    Store(custody, place=remote.place()).set("name", "0")

    def work(number: int) -> None:
        own = Store(custody, place=remote.place())
        for each in range(5):
            own.set(f"name-{number}", str(each))
            own.values()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert copy(custody) == kept(remote)
    assert {f"name-{number}": "4" for number in range(4)}.items() <= Store(custody).values().items()


def test_a_reader_that_mends_the_copy_holds_off_writers_until_it_is_done(
    store: Store, custody: Path, remote: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set("name", "old")
    (custody / "store.age").unlink()
    late = threading.Thread(target=lambda: Store(custody, place=remote.place()).set("name", "new"))
    load, loads = remote.load, iter(range(100))

    def overtaken() -> Stored | None:
        found = load()
        if next(loads) == 1:  # the load whose content becomes the copy
            late.start()
            late.join(timeout=0.5)
        return found

    reader = Elsewhere()
    monkeypatch.setattr(reader, "load", overtaken)
    assert Store(custody, place=reader.place()).get("name") == "old"
    late.join()
    assert copy(custody) == kept(remote)
    assert Store(custody).get("name") == "new"


def test_a_store_is_moved_and_read_back_and_the_move_is_recorded(custody: Path, remote: Elsewhere) -> None:
    file = Store(custody, audited=True)
    file.set("name", "canary")
    before = copy(custody)
    file.move(remote.place(way="a file"))
    assert kept(remote) == copy(custody) == before
    assert json.loads((custody / "place.json").read_text()) == {
        "identity": remote.where,
        "settings": {"way": "a file"},
    }
    moved = Store(custody, audited=True, place=remote.place())
    assert moved.get("name") == "canary"
    assert [(line["action"], line["name"]) for line in moved.records()][-2:] == [
        ("move", remote.where),
        ("read", "name"),
    ]
    assert moved.record_problems() == []
    moved.set("name", "newer")
    moved.move(None)
    assert not (custody / "place.json").exists()
    assert Store(custody).get("name") == "newer"
    assert kept(remote) == copy(custody), "what was there is left"


def test_who_still_holds_the_old_place_cannot_write_there_any_more(custody: Path, remote: Elsewhere) -> None:
    file = Store(custody, audited=True)
    file.set("name", "value")
    other = Elsewhere("'two' in Memory")
    file.move(remote.place())
    with pytest.raises(StoreError, match=r"is not kept in .*store\.age any more: run the same command again"):
        file.set("name", "new")
    first = Store(custody, audited=True, place=remote.place())
    first.move(other.place())
    before = remote.stored
    with pytest.raises(StoreError, match="is not kept in 'one' in Memory any more"):
        first.set("name", "new")
    assert remote.stored == before


def test_another_document_at_the_new_place_is_not_written_over_unasked(custody: Path, remote: Elsewhere) -> None:
    file = Store(custody, audited=True)
    file.set("name", "value")
    remote.stored = Stored(b"of somebody else", "7")
    with pytest.raises(RefusedError, match="'one' in Memory holds another document; --replace writes over it"):
        file.move(remote.place())
    assert kept(remote) == b"of somebody else"
    assert not (custody / "place.json").exists()
    file.move(remote.place(), replace=True)
    assert kept(remote) == copy(custody)


@pytest.mark.parametrize("trouble", ["away", "forgetful"])
def test_a_move_that_fails_leaves_the_store_where_it_is(custody: Path, remote: Elsewhere, trouble: str) -> None:
    file = Store(custody, audited=True)
    file.set("name", "value")
    setattr(remote, trouble, True)
    with pytest.raises(StoreError, match="cannot be asked" if trouble == "away" else "does not give back"):
        file.move(remote.place())
    assert not (custody / "place.json").exists()
    file.set("name", "goes on")
    assert file.record_problems() == []
    setattr(remote, trouble, False)
    file.move(remote.place())
    assert Store(custody, place=remote.place()).get("name") == "goes on"


def test_a_lost_host_key_is_recovered_from_the_place(
    store: Store, custody: Path, remote: Elsewhere, tmp_path: Path
) -> None:
    from runtime.store import Recipient

    alice = pyrage.x25519.Identity.generate()
    store.set("name", "value")
    store.add_recipient(Recipient(str(alice.to_public())))
    fresh = tmp_path / "other" / "custody"
    on_another_host = Store(fresh, place=remote.place())
    with pytest.raises(StoreError, match=r"host\.key is missing"):
        on_another_host.values()
    on_another_host.recover(str(alice))
    assert Store(fresh).get("name") == "value"
    assert copy(fresh) == kept(remote)
    assert noted_in(fresh) is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"identity": "x"}', '{"identity": "x", "settings": 3}'])
def test_a_damaged_note_is_never_taken_for_the_file(store: Store, custody: Path, text: str) -> None:
    store.set("name", "value")
    (custody / "place.json").unlink()
    (custody / "place.json").write_text(text)
    with pytest.raises(StoreError, match=r"place\.json is damaged"):
        noted_in(custody)
    with pytest.raises(StoreError, match=r"place\.json is damaged"):
        Store(custody).set("name", "new")
