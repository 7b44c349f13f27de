"""How agents sign in: by the secret that Praxis made, or by a key of their own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from config import load_stack
from config.keys import Key
from config.stack import Stack
from infra.cli.agents import ASSERTION, LIFETIME_S, proof
from infra.cli.console import CommandError, Exit
from infra.paths import STACKS
from runtime.store import Store

LAPTOP = load_stack("laptop", STACKS)
NAME = "nightly-report"
KEYS: dict[str, Key] = {
    "RS256": RSAKey.generate_key(2048),
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "ES512": ECKey.generate_key("P-521"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
}


class Secrets:
    """A store in which everything is found."""

    def get(self, name: str) -> str:
        return f"value-of-{name}"


STORE: Store = Secrets()  # type: ignore[assignment]  # all that is asked of it


def with_keys(*keys: Key) -> Stack:
    agent = LAPTOP.agents[NAME].model_copy(update={"public_keys": tuple(key.as_pem(False).decode() for key in keys)})
    return LAPTOP.model_copy(update={"agents": {NAME: agent}})


def file_of(folder: Path, key: Key, *, private: bool = True) -> Path:
    file = folder / "key.pem"
    file.write_bytes(key.as_pem(private=private))
    return file


def test_one_without_a_key_has_a_secret() -> None:
    given = proof(LAPTOP, STORE, NAME, None)
    assert (given["grant_type"], given["client_id"]) == ("client_credentials", "agent-nightly-report")
    assert given["client_secret"] == "value-of-agent-nightly-report-client-secret"


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("algorithm", KEYS)
def test_its_own_word_holds_for_the_realm_and_a_minute(tmp_path: Path, algorithm: str) -> None:
    key = KEYS[algorithm]
    given = [proof(with_keys(KEYS["ES384"], key), STORE, NAME, file_of(tmp_path, key)) for _ in range(2)]
    assert "client_secret" not in given[0]
    assert given[0]["client_assertion_type"] == ASSERTION
    words = [jwt.decode(one["client_assertion"], key, algorithms=[algorithm]) for one in given]
    claims = words[0].claims
    assert (words[0].header["alg"], words[0].header["kid"]) == (algorithm, key.thumbprint())
    assert claims["iss"] == claims["sub"] == "agent-nightly-report"
    assert claims["aud"] == "http://id.localhost:8080/realms/praxis"
    assert claims["exp"] - claims["iat"] == LIFETIME_S
    assert abs(claims["iat"] - time.time()) < 60
    assert words[0].claims["jti"] != words[1].claims["jti"], "each is used once"


def test_what_is_wrong_with_a_key_is_said(tmp_path: Path) -> None:
    mine, other = KEYS["ES256"], ECKey.generate_key("P-256")
    (tmp_path / "text").write_text("no key")
    for stack, file, says in (
        (LAPTOP, file_of(tmp_path, mine), "signs in by a secret"),
        (with_keys(mine), None, "signs in by a key of its own"),
        (with_keys(mine), tmp_path / "nowhere", "cannot read"),
        (with_keys(mine), tmp_path / "text", "holds no private key"),
    ):
        with pytest.raises(CommandError, match=says) as refused:
            proof(stack, STORE, NAME, file)
        assert refused.value.code is Exit.USAGE
    with pytest.raises(CommandError, match="holds no private key"):
        proof(with_keys(mine), STORE, NAME, file_of(tmp_path, mine, private=False))
    with pytest.raises(CommandError, match=r"none of the keys that are declared \(agents.nightly-report.public_keys\)"):
        proof(with_keys(mine), STORE, NAME, file_of(tmp_path, other))
