"""A part that is away: nothing opens up, and whoever asks is told so in its own dialect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import httpx
import pytest

from tests.proof import NAME, Proof


@contextmanager
def away(proof: Proof, service: str) -> Iterator[None]:
    container = docker.from_env().containers.get(f"praxis-{NAME}-{service}")
    container.stop(timeout=1)
    try:
        yield
    finally:
        container.start()
        proof.wait_until_ready(120)


@pytest.mark.parametrize("service", ["redis", "postgres", "litellm"])
def test_nothing_is_answered_without_it(proof: Proof, alice: str, service: str) -> None:
    with away(proof, service):
        first, second = proof.ask(alice, "Say hello.", max_tokens=1), proof.message(alice, "Say hello.", max_tokens=1)
        # Whom the way in has just known, it lets through: then the record says no.
        assert (first.status_code, first.json()["error"]["code"] in ("unavailable", "not_recorded")) == (503, True), (
            first.text
        )
        assert (second.status_code, second.json()["error"]["type"]) == (503, "overloaded_error"), second.text
    assert proof.ask(alice, "Say hello.", max_tokens=1).status_code == 200


def test_without_the_custodian_nothing_gets_through(proof: Proof, alice: str) -> None:
    """It is what says no in a caller's dialect, so here the edge does with its own words."""
    with away(proof, "custodian"):
        for answer in (proof.ask(alice, "Say hello."), proof.message(alice, "Say hello.")):
            assert (answer.status_code, answer.text) == (503, "Bad Gateway")
    assert proof.ask(alice, "Say hello.", max_tokens=1).status_code == 200


def test_without_keycloak_who_is_known_goes_on_and_nobody_new_comes_in(proof: Proof, alice: str) -> None:
    token = proof.token("bob")
    assert proof.models(token).status_code == 200
    assert proof.models(alice).status_code == 200
    with away(proof, "keycloak"):
        assert proof.ask(token, "Say hello.", max_tokens=1).status_code == 200
        assert proof.ask(alice, "Say hello.", max_tokens=1).status_code == 200
        assert proof.praxis("token", NAME, "--as", "bob", check=False).returncode == 3
        keys, host = f"{proof.url}/realms/praxis/protocol/openid-connect/certs", {"Host": "id.localhost"}
        assert httpx.get(keys, headers=host, timeout=30, trust_env=False).status_code in (502, 503, 504)
    assert proof.models(proof.token("bob")).status_code == 200
