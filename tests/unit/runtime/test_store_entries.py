"""What a store knows of each secret: versions, expiry, revocation, and the value before during its overlap."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pyrage
import pytest

from runtime.store import CaCert, EcKey, Password, Recipe, ServerCert, State, Store, StoreError

HOUR = datetime.timedelta(hours=1)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "custody"


@pytest.fixture
def store(folder: Path, clock: Clock) -> Store:
    return Store(folder, clock=clock)


def opened(folder: Path) -> bytes:
    identity = pyrage.x25519.Identity.from_str((folder / "host.key").read_text().strip())
    payload: bytes = pyrage.decrypt((folder / "store.age").read_bytes(), [identity])
    return payload


def test_a_store_of_the_first_form_opens_and_is_written_in_the_present_one(store: Store, folder: Path) -> None:
    store.set("other", "x")
    public = pyrage.x25519.Identity.from_str((folder / "host.key").read_text().strip()).to_public()
    first = {name: {"value": f"value of {name}", "created": "2029-01-01T00:00:00+00:00"} for name in ("format", "key")}
    (folder / "store.age").chmod(0o644)
    (folder / "store.age").write_bytes(pyrage.encrypt(json.dumps(first).encode(), [public]))
    assert store.get("format") == "value of format", "a secret may be called so"
    assert store.metadata()["key"].version == 1
    store.set("key", "new")
    assert store.values() == {"format": "value of format", "key": "new"}
    assert store.metadata()["key"].version == 2
    assert json.loads(opened(folder))["format"] == 2


def test_a_store_of_a_later_form_is_refused(store: Store, folder: Path) -> None:
    store.set("name", "x")
    public = pyrage.x25519.Identity.from_str((folder / "host.key").read_text().strip()).to_public()
    (folder / "store.age").chmod(0o644)
    (folder / "store.age").write_bytes(pyrage.encrypt(b'{"format": 3, "secrets": {}}', [public]))
    with pytest.raises(StoreError, match="is corrupt"):
        store.set("name", "y")


def test_each_value_has_a_version_and_a_time(store: Store, clock: Clock) -> None:
    store.set("name", "one")
    clock.now += HOUR
    store.set("name", "two")
    (known,) = store.metadata().values()
    assert (known.version, known.created, known.state) == (2, clock.now, State.SET)
    assert store.names() == {"name": "2030-01-01T01:00:00+00:00"}


def test_an_expired_secret_is_one_clear_error(store: Store, clock: Clock) -> None:
    store.set("name", "canary", expires=clock.now + HOUR)
    assert store.get("name") == "canary"
    clock.now += HOUR
    for read in (lambda: store.get("name"), lambda: store.accepted("name"), lambda: store.values()["name"]):
        with pytest.raises(StoreError) as caught:
            read()
        assert str(caught.value) == (
            "secret 'name' has expired (2030-01-01T01:00:00+00:00); set it with: ./praxis secrets set STACK name"
        )
    assert store.metadata()["name"].state is State.EXPIRED
    assert "name" not in store.values()
    store.set("name", "new")
    assert store.get("name") == "new"


def test_a_value_that_would_have_expired_already_is_refused(store: Store, clock: Clock) -> None:
    with pytest.raises(StoreError, match="would have expired already"):
        store.set("name", "value", expires=clock.now)


def test_a_revoked_secret_is_one_clear_error_and_its_values_are_gone(store: Store, folder: Path) -> None:
    store.set("name", "canary-1")
    store.set("name", "canary-2", overlap=HOUR)
    store.revoke("name")
    with pytest.raises(StoreError, match=r"'name' was revoked \(2030-01-01T00:00:00\+00:00\); set it with: "):
        store.get("name")
    with pytest.raises(StoreError, match="was revoked"):
        store.revoke("name")
    with pytest.raises(StoreError, match="'other' is not set"):
        store.revoke("other")
    assert b"canary" not in opened(folder)
    assert store.metadata()["name"].state is State.REVOKED
    store.set("name", "new", overlap=HOUR)
    assert store.accepted("name") == ("new",), "a revoked value never comes back"
    assert store.metadata()["name"].version == 3


def test_the_value_before_is_good_for_its_overlap_and_gone_after(store: Store, folder: Path, clock: Clock) -> None:
    store.set("name", "canary-old")
    store.set("name", "new", overlap=HOUR)
    assert store.get("name") == "new"
    assert store.accepted("name") == ("new", "canary-old")
    assert store.metadata()["name"].overlap_until == clock.now + HOUR
    clock.now += HOUR
    assert store.accepted("name") == ("new",)
    assert store.metadata()["name"].overlap_until is None
    store.set("other", "x")
    assert b"canary-old" not in opened(folder), "the first write after its end forgets it"


def test_an_overlap_does_not_outlast_the_old_values_own_end(store: Store, clock: Clock) -> None:
    store.set("name", "old", expires=clock.now + HOUR)
    store.set("name", "new", overlap=10 * HOUR)
    assert store.metadata()["name"].overlap_until == clock.now + HOUR
    clock.now += 2 * HOUR
    assert store.accepted("name") == ("new",)


def test_rotation_makes_a_new_value_and_what_is_made_from_it(store: Store) -> None:
    recipes: dict[str, Recipe] = {
        "password": Password(),
        "ca-key": EcKey(),
        "ca-cert": CaCert("ca-key"),
        "tls-key": EcKey(),
        "tls-cert": ServerCert("tls-key", ca_key="ca-key", ca_cert="ca-cert"),
    }
    store.ensure(recipes)
    before = store.values()
    assert store.rotate("password", recipes, overlap=HOUR) == ("password",)
    assert store.accepted("password") == (store.get("password"), before["password"])
    assert store.rotate("ca-key", recipes) == ("ca-cert", "ca-key", "tls-cert")
    assert store.get("tls-key") == before["tls-key"]
    assert store.rotate("tls-cert", recipes) == ("tls-cert",)
    assert store.ensure(recipes) == ()
    with pytest.raises(StoreError, match="'provider-key' has no recipe"):
        store.rotate("provider-key", recipes)


def test_what_praxis_makes_is_made_anew_when_it_was_revoked(store: Store) -> None:
    recipes: dict[str, Recipe] = {"password": Password()}
    store.ensure(recipes)
    first = store.get("password")
    store.revoke("password")
    assert store.ensure(recipes) == ("password",)
    assert store.get("password") != first
    assert store.metadata()["password"].version == 2


def test_values_are_not_in_what_is_printed_of_them(store: Store) -> None:
    store.set("name", "canary")
    assert "canary" not in repr(store.values())
    assert "canary" not in repr(store.metadata())


def test_a_rotation_is_unfinished_until_it_is_applied(tmp_path: Path) -> None:
    store, recipes = Store(tmp_path / "custody", audited=True), {"password": Password(), "other": Password()}
    store.ensure(recipes)
    assert not store.unfinished("password")
    store.rotate("password", recipes, overlap=HOUR)
    assert store.unfinished("password")
    assert not store.unfinished("other")
    store.applied(["password"], ended=["password"])
    assert not store.unfinished("password")
    assert store.accepted("password") == (store.get("password"),), "the value before is forgotten"
    store.rotate("password", recipes)
    assert store.unfinished("password"), "it is another rotation"
    assert store.record_problems() == []
