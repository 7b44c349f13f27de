"""Public keys of agents: which are taken, and that a private one is not shown to anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey

from config import SettingsError, load_stack
from config.keys import Key, jwk, key_set
from infra.paths import STACKS

PRIVATE: dict[str, Key] = {
    "RSA": RSAKey.generate_key(2048),
    "P-256": ECKey.generate_key("P-256"),
    "P-384": ECKey.generate_key("P-384"),
    "P-521": ECKey.generate_key("P-521"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
}


def public(key: Key) -> str:
    return key.as_pem(private=False).decode()


def spki(key: Any) -> str:
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


@pytest.mark.parametrize("kind", PRIVATE)
def test_what_an_agent_may_sign_in_with(kind: str) -> None:
    assert jwk(public(PRIVATE[kind])).thumbprint() == PRIVATE[kind].thumbprint()


def test_a_set_has_every_key_under_its_thumbprint_and_nothing_private() -> None:
    keys = json.loads(key_set(map(public, PRIVATE.values())))["keys"]
    assert [one["kid"] for one in keys] == [key.thumbprint() for key in PRIVATE.values()]
    assert {one["use"] for one in keys} == {"sig"}
    assert not any({"d", "p", "q"} & one.keys() for one in keys)


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        ("", "must be a public key in PEM form"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n", "must be a public key in PEM form"),
        (spki(rsa.generate_private_key(65537, 1024).public_key()), "must be RSA of at least 2048 bits"),  # noqa: S505 - to be refused
        (spki(ec.generate_private_key(ec.SECP256K1()).public_key()), "must be RSA"),
        (spki(ed448.Ed448PrivateKey.generate().public_key()), "must be RSA"),
    ],
)
def test_others_are_refused_with_what_is_taken(pem: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        jwk(pem)


@pytest.mark.parametrize("kind", PRIVATE)
def test_a_private_key_in_a_stack_file_is_named_and_not_repeated(tmp_path: Path, kind: str) -> None:
    raw = yaml.safe_load((STACKS / "laptop.yaml").read_text())
    pem = PRIVATE[kind].as_pem(private=True).decode()
    raw["agents"]["nightly-report"]["public_keys"] = [pem]
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(SettingsError) as refused:
        load_stack("one", tmp_path)
    said = str(refused.value)
    assert "agents.nightly-report.public_keys" in said
    assert "is a private key, which stays with the agent" in said
    assert not [line for line in pem.splitlines()[1:-1] if line in said]


def test_no_key_at_all_is_refused(tmp_path: Path) -> None:
    raw = yaml.safe_load((STACKS / "laptop.yaml").read_text())
    raw["agents"]["nightly-report"]["public_keys"] = []
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(SettingsError, match=r"agents\.nightly-report\.public_keys"):
        load_stack("one", tmp_path)
