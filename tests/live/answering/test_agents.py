"""An agent that signs in by a key of its own, as the operator types it and as its program does it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from joserfc.jwk import ECKey

from components.realm import REALM
from config.keys import Key
from infra.cli.agents import ASSERTION, assertion
from tests.proof import NAME, PORTS, ROBOT, Proof

REALM_URL = f"http://id.localhost:{PORTS['http_port']}/realms/{REALM}"


def word(key: Key) -> str:
    return assertion("robot", REALM_URL, key)


def asked(proof: Proof, said: str) -> httpx.Response:
    """A token, for the agent's own word."""
    form = {
        "grant_type": "client_credentials", "client_id": "agent-robot", "client_assertion_type": ASSERTION,
        "client_assertion": said,
    }  # fmt: skip
    at = f"{proof.url}/realms/{REALM}/protocol/openid-connect/token"
    host = f"id.localhost:{PORTS['http_port']}"
    return httpx.post(at, data=form, headers={"Host": host}, timeout=30, trust_env=False)


@pytest.mark.parametrize("kind", ["access", "virtual-key"])
def test_the_command_line_signs_for_it(proof: Proof, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "robot.pem"
    file.write_bytes(ROBOT.as_pem(private=True))
    answer = proof.ask(proof.token("robot", "--kind", kind, "--key", str(file)), "Say hello.", max_tokens=1)
    assert answer.status_code == 200, answer.text
    record = proof.receipt(answer.headers["x-praxis-trace-id"])
    assert (record["name"], record["kind"], record["role"]) == ("robot", "agent", "analyst")


def test_without_the_key_there_is_nothing(proof: Proof) -> None:
    without = proof.praxis("token", NAME, "--as", "robot", check=False)
    assert (without.returncode, "--key FILE" in without.stderr) == (2, True)
    assert asked(proof, word(ROBOT)).status_code == 200
    other = asked(proof, word(ECKey.generate_key("P-256")))
    assert other.status_code in (400, 401)
    assert "access_token" not in other.text


def test_its_own_word_is_taken_once(proof: Proof) -> None:
    said = word(ROBOT)
    assert asked(proof, said).status_code == 200
    assert asked(proof, said).status_code in (400, 401), "replayed"
