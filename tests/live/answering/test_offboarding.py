"""Whoever is disabled in Keycloak is out within five seconds: token, virtual key, and the answer that is on its way."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from components.realm import REALM
from infra.cli.keycloak import Admin, signed_in
from tests.proof import NAME, Proof
from tests.waiting import eventually

WITHIN_S = 5.0


@pytest.fixture
def keycloak(proof: Proof) -> Iterator[Admin]:
    with signed_in(proof.stack, proof.store) as admin:
        yield admin


@contextmanager
def changed(keycloak: Admin, path: str, **values: Any) -> Iterator[float]:
    """Something in Keycloak is otherwise for a while; gives the time at which Keycloak knew it."""
    before = keycloak.http.get(f"/admin/realms/{REALM}/{path}").raise_for_status().json()
    keycloak.http.put(f"/admin/realms/{REALM}/{path}", json={**before, **values}).raise_for_status()
    try:
        yield time.monotonic()
    finally:
        keycloak.http.put(f"/admin/realms/{REALM}/{path}", json=before).raise_for_status()


def until(proof: Proof, credential: str, status: int) -> None:
    """Ask until this is the answer."""
    eventually(lambda: proof.models(credential).status_code == status, 2 * WITHIN_S, 0.1)


@pytest.mark.parametrize("kind", ["access", "virtual-key"])
def test_a_person_who_is_disabled(proof: Proof, keycloak: Admin, kind: str) -> None:
    credential = proof.token("frank", "--kind", kind)
    assert proof.ask(credential, "Say hello.", max_tokens=1).status_code == 200
    user = keycloak.subject_id("frank", agent=False)
    with changed(keycloak, f"users/{user}", enabled=False) as since:
        until(proof, credential, 401)
        took_s = time.monotonic() - since
        answer = proof.message(credential, "Say hello.", max_tokens=1)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
        assert "the account is disabled" in answer.text
    assert took_s <= WITHIN_S
    until(proof, credential, 200)
    events = [json.loads(line) for line in proof.praxis("audit", "export", NAME).stdout.splitlines()]
    about = [event["kind"] for event in events if event["body"].get("sub") == user]
    assert [kind for kind in about if kind.startswith("access-")][-2:] == ["access-ended", "access-given"]


@pytest.mark.parametrize(("path", "model"), [("/v1/chat/completions", "gpt"), ("/v1/messages", "claude")])
@pytest.mark.usefixtures("provider")
def test_the_answer_that_is_on_its_way_is_cut(proof: Proof, keycloak: Admin, path: str, model: str) -> None:
    key = proof.token("frank", "--kind", "virtual-key")
    user = keycloak.subject_id("frank", agent=False)
    until(proof, key, 200)
    body = {
        "model": model,
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": "please go slowly"}],
    }
    with httpx.stream(
        "POST", proof.url + path, json=body, headers={"x-api-key": key}, timeout=60, trust_env=False
    ) as answer:
        trace = answer.headers["x-praxis-trace-id"]
        lines = (line for line in answer.iter_lines() if line.startswith("data: "))
        next(lines)
        with changed(keycloak, f"users/{user}", enabled=False) as since:
            rest = list(lines)
            took_s = time.monotonic() - since
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["message"] == "the account's access has ended"
    assert took_s <= WITHIN_S
    record = proof.receipt(trace)
    assert (record["state"], record["reason"]) == ("settled", "access_ended")
    assert record["output_tokens"] > 0
    until(proof, key, 200)


def test_a_sign_in_that_an_administrator_ends(proof: Proof, keycloak: Admin) -> None:
    """*Sign out* in the console: the token is void, a new one is good, and a virtual key is none of its business."""
    token, key = proof.token("frank"), proof.token("frank", "--kind", "virtual-key")
    until(proof, token, 200)
    time.sleep(1.1)  # Keycloak counts whole seconds
    user = keycloak.subject_id("frank", agent=False)
    keycloak.http.post(f"/admin/realms/{REALM}/users/{user}/logout").raise_for_status()
    since = time.monotonic()
    until(proof, token, 401)
    assert time.monotonic() - since <= WITHIN_S
    assert proof.models(key).status_code == 200
    time.sleep(1.1)
    assert proof.models(proof.token("frank")).status_code == 200


def test_a_key_of_a_person_whose_role_is_taken_away(proof: Proof, keycloak: Admin) -> None:
    key = proof.token("frank", "--kind", "virtual-key")
    until(proof, key, 200)
    path = f"/admin/realms/{REALM}/users/{keycloak.subject_id('frank', agent=False)}/role-mappings/realm"
    held = keycloak.http.get(path).raise_for_status().json()
    roles = [role for role in held if role["name"] in proof.stack.roles]
    assert roles
    keycloak.http.request("DELETE", path, json=roles).raise_for_status()
    try:
        since = time.monotonic()
        until(proof, key, 403)
        assert time.monotonic() - since <= WITHIN_S
        assert "'frank' has no role in this gateway" in proof.models(key).text
    finally:
        keycloak.http.post(path, json=roles).raise_for_status()
    until(proof, key, 200)


def test_an_agent_whose_client_is_disabled(proof: Proof, keycloak: Admin) -> None:
    token = proof.token("nightly-report")
    until(proof, token, 200)
    (client,) = (
        keycloak.http.get(f"/admin/realms/{REALM}/clients", params={"clientId": "agent-nightly-report"})
        .raise_for_status()
        .json()
    )
    with changed(keycloak, f"clients/{client['id']}", enabled=False) as since:
        until(proof, token, 401)
        assert time.monotonic() - since <= WITHIN_S
    until(proof, token, 200)


def test_nothing_of_it_is_left(proof: Proof) -> None:
    assert proof.praxis("drift", NAME).returncode == 0
