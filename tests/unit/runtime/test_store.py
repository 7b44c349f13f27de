"""The secret store: makes what is missing, keeps what is there, recognises what is broken."""

from __future__ import annotations

import json
import multiprocessing
import os
import ssl
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from runtime.store import (
    CaCert,
    EcKey,
    Ed25519Key,
    Password,
    PublicKey,
    RandomBytes,
    Recipe,
    ServerCert,
    Store,
    StoreError,
)

CERTIFICATES: Mapping[str, Recipe] = {
    "edge-tls-cert": ServerCert(key="edge-tls-key", ca_key="ca-key", ca_cert="ca-cert"),
    "edge-tls-key": EcKey(),
    "ca-cert": CaCert(key="ca-key"),
    "ca-key": EcKey(),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "stack" / "custody"


def test_makes_what_is_missing_and_keeps_what_is_there(folder: Path) -> None:
    store = Store(folder)
    assert store.ensure({"a-password": Password(), "master-key": Password(48, prefix="sk-")}) == (
        "a-password",
        "master-key",
    )
    first, key = store.get("a-password"), store.get("master-key")
    assert len(first) == 32
    assert first.isalnum()
    assert key.startswith("sk-")
    assert len(key) == 51
    content = (folder / "store.age").read_bytes()
    assert store.ensure({"a-password": Password(), "master-key": Password(48, prefix="sk-")}) == ()
    assert (folder / "store.age").read_bytes() == content, "nothing to do must write nothing"
    assert store.ensure({"a-password": Password(), "third": RandomBytes()}) == ("third",)
    assert Store(folder).get("a-password") == first
    assert list(store.names()) == ["a-password", "master-key", "third"]


def test_set_replaces_and_get_of_an_unset_name_says_which(folder: Path) -> None:
    store = Store(folder)
    store.set("provider-key", "one")
    store.set("provider-key", "two")
    assert store.get("provider-key") == "two"
    with pytest.raises(StoreError, match="'other' is not set"):
        store.get("other")


def test_no_value_can_be_read_from_the_files_or_from_the_object(folder: Path) -> None:
    store = Store(folder)
    store.set("canary", "canary-value-5f2c")
    for path in folder.iterdir():
        assert b"canary" not in path.read_bytes()
    assert "canary-value-5f2c" not in repr(store)
    assert "canary-value-5f2c" not in str(vars(store))


def test_no_input_or_output_before_it_is_asked(folder: Path) -> None:
    store = Store(folder)
    assert store.names() == {}
    assert not folder.parent.exists()


def test_modes_let_a_container_read_and_nobody_else_in(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        Store(folder).set("name", "value")
    finally:
        os.umask(before)
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_mode & 0o777 == 0o755
    assert {p.name: p.stat().st_mode & 0o777 for p in folder.iterdir()} == {"store.age": 0o444, "host.key": 0o444}


def test_refuses_a_parent_that_others_can_look_into(folder: Path) -> None:
    folder.parent.mkdir(mode=0o755)
    with pytest.raises(StoreError, match="chmod 700"):
        Store(folder).set("name", "value")
    assert list(folder.glob("*")) == []


@pytest.mark.parametrize("damage", [b"", b"age-encryption.org/v1\n-> X255", b"\x00" * 300])
def test_a_broken_store_is_recognised_and_never_written_over(folder: Path, damage: bytes) -> None:
    store = Store(folder)
    store.set("name", "value")
    path = folder / "store.age"
    path.chmod(0o644)
    path.write_bytes(damage)
    for action in (lambda: store.get("name"), lambda: store.set("name", "x"), lambda: store.ensure({"n": Password()})):
        with pytest.raises(StoreError, match="is corrupt"):
            action()
    assert path.read_bytes() == damage


def test_half_of_a_store_is_recognised(folder: Path) -> None:
    store = Store(folder)
    store.set("name", "value")
    whole = (folder / "store.age").read_bytes()
    path = folder / "store.age"
    path.chmod(0o644)
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError, match="is corrupt"):
            store.get("name")


def test_a_foreign_or_missing_key_is_named(folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    store.set("name", "value")
    other = tmp_path / "other" / "custody"
    Store(other).set("name", "value")
    key = (folder / "host.key").read_bytes()
    (folder / "host.key").chmod(0o644)
    (folder / "host.key").write_bytes((other / "host.key").read_bytes())
    with pytest.raises(StoreError, match="belongs to another store"):
        store.get("name")
    (folder / "host.key").write_bytes(b"nonsense")
    with pytest.raises(StoreError, match=r"host\.key is corrupt"):
        store.get("name")
    (folder / "host.key").unlink()
    for action in (lambda: store.get("name"), lambda: store.set("name", "x")):
        with pytest.raises(StoreError, match=r"host\.key is missing"):
            action()
    (folder / "host.key").write_bytes(key)
    assert store.get("name") == "value"


def test_encrypted_nonsense_is_corrupt_and_not_quoted(folder: Path) -> None:
    import pyrage

    store = Store(folder)
    store.set("name", "value")
    recipient = pyrage.x25519.Identity.from_str((folder / "host.key").read_text().strip()).to_public()
    (folder / "store.age").chmod(0o644)
    for payload in (b"not json canary", json.dumps(["canary"]).encode(), json.dumps({"n": "canary"}).encode()):
        (folder / "store.age").write_bytes(pyrage.encrypt(payload, [recipient]))
        with pytest.raises(StoreError, match="is corrupt") as caught:
            store.get("name")
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["", "Upper", "1st", "a/b", "../x", "a" * 64, "a\n"])
def test_names_that_cannot_be_stored(folder: Path, name: str) -> None:
    with pytest.raises(StoreError, match="cannot name a secret"):
        Store(folder).set(name, "value")


@pytest.mark.parametrize("value", ["", "a\0b", "x" * 65_537])
def test_values_that_cannot_be_stored(folder: Path, value: str) -> None:
    with pytest.raises(StoreError, match="secret 'name'"):
        Store(folder).set("name", value)
    assert not (folder / "store.age").exists()


def test_what_a_killed_writer_left_is_cleared_away(folder: Path) -> None:
    store = Store(folder)
    store.set("name", "value")
    (folder / ".store.age.deadbeef").write_bytes(b"half")
    store.set("name", "again")
    assert sorted(path.name for path in folder.iterdir()) == ["host.key", "store.age"]


def _set_many(folder: Path, start: int) -> None:
    for number in range(start, start + 10):
        Store(folder).set(f"name-{number}", str(number))


def test_writers_in_several_processes_lose_nothing(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_set_many, args=(folder, start)) for start in (0, 10, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert Store(folder).values() == {f"name-{number}": str(number) for number in range(30)}


def test_a_failed_ensure_writes_nothing(folder: Path) -> None:
    store = Store(folder)
    store.set("name", "value")
    before = (folder / "store.age").read_bytes()
    with pytest.raises(StoreError, match="'public' is made from 'private', which is not set"):
        store.ensure({"other": Password(), "public": PublicKey("private")})
    with pytest.raises(StoreError, match="'a' needs itself: a -> b -> a"):
        store.ensure({"a": PublicKey("b"), "b": PublicKey("a")})
    assert (folder / "store.age").read_bytes() == before


def test_a_key_pair_belongs_together_and_follows_its_private_half(folder: Path) -> None:
    store = Store(folder)
    recipes: Mapping[str, Recipe] = {"public": PublicKey("private"), "private": Ed25519Key()}
    store.ensure(recipes)

    def pair() -> tuple[bytes, bytes]:
        private = load_pem_private_key(store.get("private").encode(), None)
        public = load_pem_public_key(store.get("public").encode())
        return (
            private.public_key().public_bytes_raw(),  # type: ignore[union-attr]
            public.public_bytes_raw(),  # type: ignore[union-attr]
        )

    assert pair()[0] == pair()[1]
    store.set("private", Ed25519Key().make({}))
    assert pair()[0] != pair()[1]
    assert store.ensure(recipes) == ("public",)
    assert pair()[0] == pair()[1]


def test_the_server_certificate_holds_under_its_authority(folder: Path, tmp_path: Path) -> None:
    store = Store(folder)
    store.ensure(CERTIFICATES)
    for name in CERTIFICATES:
        (tmp_path / name).write_text(store.get(name))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "edge-tls-cert", tmp_path / "edge-tls-key")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca-cert"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    for host in ("localhost", "127.0.0.1", "console.localhost", "traces.localhost", "id.localhost"):
        _handshake(client, server, host)
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(client, server, "example.com")


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(10):
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
        if not ends:
            return
    raise AssertionError("the handshake did not end")


def test_certificates_are_renewed_when_they_must_be(folder: Path) -> None:
    store = Store(folder)
    store.ensure(CERTIFICATES)
    assert store.ensure(CERTIFICATES) == ()
    server = partial(ServerCert, key="edge-tls-key", ca_key="ca-key", ca_cert="ca-cert")
    more = {**CERTIFICATES, "edge-tls-cert": server(names=("localhost", "gateway.example"))}
    assert store.ensure(more) == ("edge-tls-cert",)
    names = x509.load_pem_x509_certificate(store.get("edge-tls-cert").encode()).extensions
    assert "gateway.example" in str(names.get_extension_for_class(x509.SubjectAlternativeName).value)
    short = {**CERTIFICATES, "edge-tls-cert": server(days=20)}
    store.ensure(short)
    assert store.ensure(CERTIFICATES) == ("edge-tls-cert",), "less than 30 days to live"
    store.set("edge-tls-key", EcKey().make({}))
    assert store.ensure(CERTIFICATES) == ("edge-tls-cert",)
    store.set("ca-key", EcKey().make({}))
    assert store.ensure(CERTIFICATES) == ("ca-cert", "edge-tls-cert")


def test_a_value_that_is_no_certificate_is_an_error_not_a_renewal(folder: Path) -> None:
    store = Store(folder)
    store.ensure(CERTIFICATES)
    store.set("edge-tls-cert", "not a certificate")
    with pytest.raises(StoreError, match="'edge-tls-cert'"):
        store.ensure(CERTIFICATES)


def test_a_weak_password_recipe_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16"):
        Password(8)
    with pytest.raises(ValueError, match="at least 16"):
        Password(64, alphabet="0123456789")


def test_the_store_is_light_enough_for_the_agent() -> None:
    import subprocess
    import sys

    loaded = subprocess.run(
        [sys.executable, "-c", "import runtime.store, sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    ).stdout.split()
    assert not {"pydantic", "cryptography", "runtime.contract", "boto3", "httpx", "azure.core", "kubernetes"} & set(
        loaded
    )
