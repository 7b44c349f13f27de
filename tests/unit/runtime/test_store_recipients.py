"""Who can open a store: the host, operators' age keys, and a key that AWS KMS wraps; and what a lost host key needs."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyrage
import pytest
from moto import mock_aws

from runtime.store import Recipient, Store, StoreError, parsed, wrapped_by_kms


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "custody"


@pytest.fixture
def store(folder: Path) -> Store:
    store = Store(folder)
    store.set("name", "value-canary")
    return store


@pytest.fixture
def alice() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def kms_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield str(boto3.client("kms").create_key()["KeyMetadata"]["Arn"])


def opens(identity: pyrage.x25519.Identity, folder: Path) -> bool:
    try:
        return b"value-canary" in pyrage.decrypt((folder / "store.age").read_bytes(), [identity])
    except pyrage.DecryptError:
        return False


def of(identity: pyrage.x25519.Identity, label: str = "") -> Recipient:
    return Recipient(str(identity.to_public()), label)


def test_every_write_is_for_all_recipients_until_they_are_removed(
    store: Store, folder: Path, alice: pyrage.x25519.Identity
) -> None:
    bob = pyrage.x25519.Identity.generate()
    assert not opens(alice, folder)
    store.add_recipient(of(alice, "alice"))
    assert opens(alice, folder), "adding one encrypts again"
    store.add_recipient(of(bob))
    store.set("other", "x")
    assert opens(alice, folder)
    assert opens(bob, folder)
    text = (folder / "recipients.txt").read_text()
    assert text == f"{alice.to_public()}  # alice\n{bob.to_public()}\n"
    assert (folder / "recipients.txt").stat().st_mode & 0o777 == 0o444
    assert store.recipients() == (of(alice, "alice"), of(bob))
    store.remove_recipient(str(alice.to_public()))
    assert not opens(alice, folder)
    assert opens(bob, folder)
    assert store.get("name") == "value-canary"


def test_recipients_that_make_no_sense_are_refused(store: Store, folder: Path, alice: pyrage.x25519.Identity) -> None:
    store.add_recipient(of(alice))
    before = (folder / "store.age").read_bytes()
    with pytest.raises(StoreError, match="is a recipient already"):
        store.add_recipient(of(alice))
    with pytest.raises(StoreError, match="is not a recipient of this store"):
        store.remove_recipient("age1other")
    assert (folder / "store.age").read_bytes() == before
    for line, message in (("age1nonsense", "not an age public key"), ("two words", "is no recipient")):
        with pytest.raises(StoreError, match=message):
            parsed(line)
    with pytest.raises(StoreError, match="an identity, which is secret") as caught:
        parsed(str(alice))
    assert str(alice) not in str(caught.value)


@pytest.mark.parametrize("how", ["added", "removed", "deleted", "garbled"])
def test_recipients_changed_by_hand_are_noticed(
    store: Store, folder: Path, alice: pyrage.x25519.Identity, how: str
) -> None:
    store.add_recipient(of(alice))
    path = folder / "recipients.txt"
    mallory = pyrage.x25519.Identity.generate()
    path.chmod(0o644)
    match how:
        case "added":
            path.write_text(f"{path.read_text()}{mallory.to_public()}\n")
        case "removed":
            path.write_text("")
        case "deleted":
            path.unlink()
        case "garbled":
            path.write_text("nonsense\n")
    with pytest.raises(StoreError, match=r"recipients\.txt"):
        store.set("name", "new")
    assert store.get("name") == "value-canary", "reading goes on, and nothing was written for a stranger"
    assert not opens(mallory, folder)
    store.reset_recipients()
    store.set("other", "x")
    assert opens(alice, folder)
    assert path.read_text() == f"{alice.to_public()}\n"


def test_a_comment_in_the_file_is_no_change(store: Store, folder: Path, alice: pyrage.x25519.Identity) -> None:
    store.add_recipient(of(alice))
    path = folder / "recipients.txt"
    path.chmod(0o644)
    path.write_text(f"# who may open it\n\n{path.read_text()}")
    store.set("name", "new")


@pytest.mark.parametrize("lost", ["missing", "foreign", "garbled"])
def test_an_operators_identity_recovers_a_lost_host_key(
    store: Store, folder: Path, alice: pyrage.x25519.Identity, lost: str
) -> None:
    store.add_recipient(of(alice, "alice"))
    old = (folder / "host.key").read_bytes()
    (folder / "host.key").unlink()
    left = b""
    if lost != "missing":
        left = b"nonsense" if lost == "garbled" else f"{pyrage.x25519.Identity.generate()}\n".encode()
        (folder / "host.key").write_bytes(left)
    with pytest.raises(StoreError, match=r"host\.key"):
        store.get("name")
    stranger = pyrage.x25519.Identity.generate()
    with pytest.raises(StoreError, match="the identity does not open"):
        store.recover(str(stranger))
    assert (folder / "host.key").exists() == (lost != "missing"), "a failed recovery changes nothing"
    store.recover(f"# created: 2030\n# public key: {alice.to_public()}\n{alice}\n")
    assert store.get("name") == "value-canary"
    assert (folder / "host.key").read_bytes() not in (old, left)
    assert [path.read_bytes() for path in folder.glob("host.key.old-*")] == ([left] if left else [])
    store.set("name", "value-canary-2")
    assert opens(alice, folder)


def test_recovery_brings_back_the_list_of_recipients(store: Store, folder: Path, alice: pyrage.x25519.Identity) -> None:
    store.add_recipient(of(alice, "alice"))
    (folder / "host.key").unlink()
    (folder / "recipients.txt").unlink()
    store.recover(str(alice))
    assert (folder / "recipients.txt").read_text() == f"{alice.to_public()}  # alice\n"


def test_a_good_host_key_is_not_replaced(store: Store, folder: Path, alice: pyrage.x25519.Identity) -> None:
    store.add_recipient(of(alice))
    key = (folder / "host.key").read_bytes()
    with pytest.raises(StoreError, match="nothing to recover"):
        store.recover(str(alice))
    assert (folder / "host.key").read_bytes() == key


def test_identity_files_that_cannot_be_used_are_said_and_not_quoted(store: Store) -> None:
    for text, message in (
        ("# only comment\n", "holds no age identity"),
        ("# x\nsecret-canary\n", "line 2 of the identity file is no age identity"),
        ("age-encryption.org/v1\n-> scrypt", "encrypted with a passphrase"),
    ):
        with pytest.raises(StoreError, match=message) as caught:
            store.recover(text)
        assert "canary" not in str(caught.value)


def test_a_key_that_kms_wraps_recovers_too(store: Store, folder: Path, kms_key: str) -> None:
    recipient = wrapped_by_kms(kms_key, "break glass")
    assert recipient.kms_key == kms_key
    store.add_recipient(recipient)
    assert parsed((folder / "recipients.txt").read_text().strip()) == recipient
    assert "AGE-SECRET-KEY" not in (folder / "recipients.txt").read_text()
    (folder / "host.key").unlink()
    store.recover_by_kms()
    assert store.get("name") == "value-canary"


def test_kms_binds_what_it_wraps_to_the_recipient(store: Store, folder: Path, kms_key: str) -> None:
    first, second = wrapped_by_kms(kms_key), wrapped_by_kms(kms_key)
    store.add_recipient(Recipient(first.public, "", kms_key, second.wrapped))
    (folder / "host.key").unlink()
    with pytest.raises(StoreError, match=r"AWS KMS refuses to decrypt with .*: InvalidCiphertextException"):
        store.recover_by_kms()


def test_writing_needs_no_kms(store: Store, kms_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_recipient(wrapped_by_kms(kms_key))
    monkeypatch.setattr(boto3, "client", None)
    store.set("name", "new")
    assert store.get("name") == "new"


def test_kms_that_refuses_or_is_not_there_is_one_message(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="names no key of AWS KMS"):
        store.recover_by_kms()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws(), pytest.raises(StoreError, match=r"AWS KMS refuses to encrypt with .*: NotFoundException"):
        wrapped_by_kms("arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(StoreError, match=r"AWS KMS cannot be asked: .*region"):
        wrapped_by_kms("alias/praxis")


def test_without_boto3_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "boto3":
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StoreError, match="the Python package boto3 is missing"):
        wrapped_by_kms("alias/praxis")
