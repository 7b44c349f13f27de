"""An agent acts for a person by Keycloak's token exchange: with a token that she let it have, and no other."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.realm import DEMO_CLIENT, REALM, agent_client, agent_scope
from infra.cli.agents import ASSERTION, assertion
from infra.cli.edge import EXCHANGE
from infra.cli.keycloak import signed_in
from tests.proof import NAME, PORTS, ROBOT, Proof
from tests.waiting import eventually

TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("robot") / "robot.pem"
    file.write_bytes(ROBOT.as_pem(private=True))
    return file


def acting(proof: Proof, key: Path, person: str = "alice") -> str:
    """A token by which the robot acts for ``person``, as the operator types it."""
    return proof.token("robot", "--on-behalf-of", person, "--key", str(key))


def keycloak(proof: Proof, **form: str) -> httpx.Response:
    """What the realm's token endpoint answers, asked as any client would."""
    at = f"{proof.url}/realms/{REALM}/protocol/openid-connect/token"
    return httpx.post(
        at, data=form, headers={"Host": f"id.localhost:{PORTS['http_port']}"}, timeout=30, trust_env=False
    )


def of_person(proof: Proof, person: str, scope: str) -> str:
    """A token of ``person``'s for the command line."""
    form = {"grant_type": "password", "client_id": DEMO_CLIENT, "username": person, "scope": scope}
    answer = keycloak(proof, **form, password=proof.store.get(f"person-{person}-password"))
    return str(answer.raise_for_status().json()["access_token"])


def exchange(proof: Proof, agent: str, token: str) -> httpx.Response:
    """What an agent with a secret gets for a token."""
    return keycloak(
        proof,
        grant_type=EXCHANGE,
        client_id=agent_client(agent),
        client_secret=proof.store.get(f"agent-{agent}-client-secret"),
        subject_token=token,
        subject_token_type=TOKEN_TYPE,
    )


def test_what_it_asks_for_her_is_recorded_with_both(proof: Proof, key: Path) -> None:
    answer = proof.ask(acting(proof, key), "Say hello.", max_tokens=1)
    assert answer.status_code == 200, answer.text
    record = proof.receipt(answer.headers["x-praxis-trace-id"])
    told = {name: record[name] for name in ("name", "actor", "kind", "role", "department", "demo")}
    assert told == {
        "name": "alice", "actor": "robot", "kind": "person", "role": "engineer", "department": "research", "demo": True,
    }  # fmt: skip
    assert record["proof"] == {"in_order": True, "findings": []}
    admitted = record["chain"][0]["body"]
    with signed_in(proof.stack, proof.store) as admin:
        ids = admin.subject_id("alice", agent=False), admin.subject_id("robot", agent=True)
    assert (admitted["sub"], admitted["actor"], admitted["actor_sub"]) == (ids[0], "robot", ids[1])
    assert "alice by" in proof.praxis("audit", "tail", NAME).stdout  # the table may break the line there


@pytest.mark.usefixtures("provider")
def test_it_may_what_both_may(proof: Proof, key: Path) -> None:
    """She may ask ``claude``, and the robot's role may not."""
    assert "claude" in {one["id"] for one in proof.models(proof.token("alice")).json()["data"]}
    token = acting(proof, key)
    assert {one["id"] for one in proof.models(token).json()["data"]} == {"smollm2"}
    refused = proof.message(token, "Say hello.", model="claude", max_tokens=1)
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    explained = json.loads(proof.praxis("explain", NAME, "--as", "robot", "--on-behalf-of", "alice", "--json").stdout)
    assert (explained["subject"], explained["actor"]) == ("alice", "robot")
    policy: dict[str, Any] = {one["field"]: one for one in explained["policy"]}
    assert (policy["models"]["value"], policy["guards.phone"]["key"]) == ("smollm2", "departments.finance.guards.phone")


def test_it_makes_itself_no_key(proof: Proof, key: Path) -> None:
    bearer = {"Authorization": f"Bearer {acting(proof, key)}"}
    answer = httpx.post(f"{proof.url}/me/keys", headers=bearer, json={}, timeout=30, trust_env=False)
    assert (answer.status_code, "agent 'robot' may ask models for 'alice'" in answer.text) == (403, True)


def test_a_person_of_another_department_is_refused_before_anybody_signs_in(proof: Proof, key: Path) -> None:
    done = proof.praxis("token", NAME, "--as", "robot", "--on-behalf-of", "bob", "--key", str(key), check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "agent 'robot' may not act for 'bob' (agents.robot.on_behalf_of: research)" in done.stderr


def test_a_token_that_she_did_not_let_it_have_is_worth_nothing_to_it(proof: Proof) -> None:
    """Neither one of her usual tokens nor one that she let another agent have, nor to an agent that acts for nobody."""
    for scope in ("openid", f"openid {agent_scope('robot')}"):
        answer = exchange(proof, "nightly-report", of_person(proof, "alice", scope))
        assert answer.status_code in (400, 403), answer.text
        assert "access_token" not in answer.text


def test_an_agent_s_own_token_is_no_person_s(proof: Proof, key: Path) -> None:
    """The robot cannot hand on what it is to another agent, nor take its word."""
    answer = exchange(proof, "nightly-report", proof.token("robot", "--key", str(key)))
    assert "access_token" not in answer.text


def test_it_may_go_on_until_her_session_is_ended(proof: Proof, key: Path) -> None:
    """What it has got it may exchange again; when an administrator signs her out, neither that nor asking goes on."""

    def again(token: str) -> httpx.Response:
        word = assertion("robot", f"http://id.localhost:{PORTS['http_port']}/realms/{REALM}", ROBOT)
        return keycloak(
            proof,
            grant_type=EXCHANGE,
            client_id=agent_client("robot"),
            client_assertion_type=ASSERTION,
            client_assertion=word,
            subject_token=token,
            subject_token_type=TOKEN_TYPE,
        )

    token = again(acting(proof, key)).raise_for_status().json()["access_token"]
    assert proof.models(token).status_code == 200
    time.sleep(1.1)  # Keycloak counts whole seconds
    with signed_in(proof.stack, proof.store) as admin:
        user = admin.subject_id("alice", agent=False)
        admin.http.post(f"/admin/realms/{REALM}/users/{user}/logout").raise_for_status()
    assert "access_token" not in again(token).text
    eventually(lambda: proof.models(token).status_code == 401, 5, 0.1)


def test_it_is_out_with_its_client(proof: Proof, key: Path) -> None:
    token = acting(proof, key)
    eventually(lambda: proof.models(token).status_code == 200, 10, 0.1)
    with signed_in(proof.stack, proof.store) as admin:
        at = f"/admin/realms/{REALM}/clients"
        (client,) = admin.http.get(at, params={"clientId": agent_client("robot")}).raise_for_status().json()
        admin.http.put(f"{at}/{client['id']}", json={**client, "enabled": False}).raise_for_status()
        try:
            eventually(lambda: proof.models(token).status_code == 401, 5, 0.1)
            assert proof.models(proof.token("alice")).status_code == 200
        finally:
            admin.http.put(f"{at}/{client['id']}", json=client).raise_for_status()
    eventually(lambda: proof.models(token).status_code == 200, 10, 0.1)


def test_nothing_of_it_is_left(proof: Proof) -> None:
    assert proof.praxis("drift", NAME).returncode == 0
