"""Rotation on the running stack: one command each, no request lost under load, and the old value worth nothing."""

from __future__ import annotations

import base64
import json
import secrets
import ssl
import subprocess

import httpx
import pytest

from components.realm import CUSTODIAN_CLIENT, DEMO_CLIENT, agent_client
from infra.cli.containers import restart, run_in
from infra.paths import REPOSITORY, stack_folder
from infra.supply.engine import pulumi_environment
from tests.load import load
from tests.proof import NAME, PORTS, Proof
from tests.provider import Provider
from tests.waiting import eventually

GRACE_S = 120
PROVIDERS_GAP_S = 5.0
"""When the authority is changed, and with it both certificates by which egress and custodian know each other."""


def rotated(proof: Proof, credential: str, name: str) -> tuple[str, str]:
    """Rotate under load and lose nothing; the value before and the new one."""
    before = proof.store.get(name)
    with load(proof, credential) as told:
        done = proof.praxis("secrets", "rotate", NAME, name)
    after = proof.store.get(name)
    assert f"{name} is rotated" in done.stderr
    assert before != after
    assert len(told.results) > 10
    assert told.lost == []
    for value in (before, after):
        assert value not in done.stdout + done.stderr
    return before, after


@pytest.mark.parametrize("role", ["custodian", "litellm", "keycloak", "mlflow"])
def test_a_database_role(proof: Proof, alice: str, role: str) -> None:
    before, after = rotated(proof, alice, f"{role}-db-password")
    assert "1" in sql_as(role, after)
    with pytest.raises(Exception, match="password authentication failed"):
        sql_as(role, before)


def test_redis(proof: Proof, alice: str) -> None:
    before, after = rotated(proof, alice, "redis-password")
    for value, answer in ((after, "PONG"), (before, "NOAUTH")):
        assert answer in run_in(NAME, "redis", ["redis-cli"], f"AUTH default {value}\nPING\n")


def test_a_token_is_good_for_two_minutes_more(proof: Proof, alice: str) -> None:
    def status(path: str, token: str) -> int:
        url = f"http://localhost:{PORTS['admin_port']}{path}"
        return httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False).status_code

    old, new = {}, {}
    for name, path in (("litellm-master-key", "/litellm/models"), ("custodian-admin-token", "/custodian/records")):
        old[path], new[path] = rotated(proof, alice, name)
        assert status(path, old[path]) == status(path, new[path]) == 200
    eventually(lambda: all(status(path, token) == 401 for path, token in old.items()), GRACE_S + 10)
    assert all(status(path, token) == 200 for path, token in new.items())


@pytest.mark.parametrize("name", ["assertion-private-key", "custodian-record-token", "postgres-password"])
def test_what_only_services_show_each_other(proof: Proof, alice: str, name: str) -> None:
    rotated(proof, alice, name)
    answer = proof.ask(alice, "Say hello.", max_tokens=1)
    assert proof.receipt(answer.headers["x-praxis-trace-id"])["state"] == "settled"


def test_the_keys_of_subjects(proof: Proof, alice: str) -> None:
    rotated(proof, alice, "litellm-subject-seed")
    headers = {"Authorization": f"Bearer {proof.store.get('litellm-master-key')}"}
    url = f"http://localhost:{PORTS['admin_port']}/litellm/key/list"
    keys = httpx.get(url, params={"return_full_object": "true", "size": 100}, headers=headers, trust_env=False)
    owners = [key["user_id"] for key in keys.raise_for_status().json()["keys"] if key.get("user_id")]
    assert owners
    assert len(owners) == len(set(owners)), "no subject has a key of the old seed"


def test_an_agents_secret(proof: Proof, alice: str) -> None:
    before, after = rotated(proof, alice, "agent-nightly-report-client-secret")
    form = {"grant_type": "client_credentials", "client_id": agent_client("nightly-report")}
    check_sign_in(form, "client_secret", before, after)


def test_the_custodians_own_client(proof: Proof, alice: str) -> None:
    before, after = rotated(proof, alice, "custodian-client-secret")
    form = {"grant_type": "client_credentials", "client_id": CUSTODIAN_CLIENT}
    check_sign_in(form, "client_secret", before, after)


def test_a_persons_password(proof: Proof, alice: str) -> None:
    before, after = rotated(proof, alice, "person-bob-password")
    form = {"grant_type": "password", "client_id": DEMO_CLIENT, "username": "bob"}
    check_sign_in(form, "password", before, after)


def test_keycloaks_admin(proof: Proof, alice: str) -> None:
    before, after = rotated(proof, alice, "keycloak-admin-password")
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin"}
    check_sign_in(form, "password", before, after, "master", PORTS["admin_port"])


@pytest.mark.parametrize("name", ["sso-client-secret", "sso-cookie-secret"])
def test_the_consoles_sign_in(proof: Proof, alice: str, name: str) -> None:
    rotated(proof, alice, name)


def test_a_providers_key(proof: Proof, alice: str) -> None:
    key = "sk-ant-api03-" + secrets.token_hex(24)
    before = proof.store.get("anthropic-api-key")
    try:
        with load(proof, alice) as told:
            done = proof.praxis("secrets", "rotate", NAME, "anthropic-api-key", "--overlap", "1h", stdin=key)
        assert told.lost == []
        assert "delivered to custodian" in done.stderr
    finally:
        proof.praxis("secrets", "rotate", NAME, "anthropic-api-key", stdin=before)


@pytest.mark.parametrize("name", ["egress-client-key", "custodian-tls-key"])
def test_how_egress_and_custodian_know_each_other(proof: Proof, alice: str, provider: Provider, name: str) -> None:
    with load(proof, alice, model="claude") as told:
        proof.praxis("secrets", "rotate", NAME, name)
    assert len(told.results) > 10
    assert told.lost == []


def test_after_a_new_authority_providers_are_reached_again(proof: Proof, alice: str, provider: Provider) -> None:
    with load(proof, alice, model="claude") as told:
        done = proof.praxis("secrets", "rotate", NAME, "ca-key")
    assert "A GAP" in done.stderr
    assert told.results[-1][1] == 200
    if told.lost:
        assert told.lost[-1][0] - told.lost[0][0] < PROVIDERS_GAP_S
    restart(NAME, "custodian")  # no connection of before is left, and it takes certificates of the new authority alone
    eventually(lambda: proof.ask(alice, "Say hello.", model="claude", max_tokens=1).status_code == 200, 60)


@pytest.mark.parametrize("name", ["edge-tls-key", "ca-key"])
def test_the_edges_certificate(proof: Proof, alice: str, name: str) -> None:
    before = ssl.get_server_certificate(("127.0.0.1", PORTS["https_port"]))
    rotated(proof, alice, name)
    shown = ssl.get_server_certificate(("127.0.0.1", PORTS["https_port"]))
    assert shown != before
    assert shown.strip() == proof.store.get("edge-tls-cert").strip()
    trusted = ssl.create_default_context(cafile=str(stack_folder(NAME).authority))
    answer = httpx.get(f"https://localhost:{PORTS['https_port']}/v1/models", verify=trusted, trust_env=False)
    assert answer.status_code == 401, "with the authority that clients are given"


def test_a_rotation_that_was_interrupted_is_finished_by_the_same_command(proof: Proof, alice: str) -> None:
    name = "litellm-db-password"
    killed = subprocess.Popen(
        [str(REPOSITORY / "praxis"), "secrets", "rotate", NAME, name],
        env=proof.environment,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert killed.stderr is not None
    for line in killed.stderr:
        if "has a new value" in line:
            killed.kill()
            break
    killed.wait()
    begun = proof.store.get(name)
    done = proof.praxis("secrets", "rotate", NAME, name)
    assert "is finished now" in done.stderr
    assert proof.store.get(name) == begun
    assert "1" in sql_as("litellm", begun)
    lines = json.loads(proof.praxis("secrets", "audit", NAME, "--json", "-n", "1000").stdout)["lines"]
    assert [line["action"] for line in lines if line["name"] == name][-2:] == ["rotate", "apply"]


def test_pulumi_agrees_after_all_that(proof: Proof) -> None:
    done = subprocess.run(
        ["pulumi", "preview", "--stack", NAME, "--expect-no-changes", "--non-interactive"],
        env={**proof.environment, **pulumi_environment(NAME)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def sql_as(role: str, password: str) -> str:
    """Over TCP, as a service comes in; the password is on psql's standard input as nothing but base64."""
    script = (
        "read -r value; PGPASSWORD=$(echo $value | base64 -d) "
        f"psql --no-psqlrc -At -h 127.0.0.1 -U {role} -d {role} -c 'SELECT 1'"
    )
    return run_in(NAME, "postgres", ["sh", "-c", script], base64.b64encode(password.encode()).decode() + "\n")


def check_sign_in(
    form: dict[str, str], field: str, before: str, after: str, realm: str = "praxis", port: int = PORTS["http_port"]
) -> None:
    """Keycloak takes the value of after and not the one of before (RFC 6749, 5.2: 400, or 401 for a client).

    Only statuses are compared: pytest would print the arguments of a call that it finds in an assertion.
    """
    new = token_status({**form, field: after}, realm, port)
    old = token_status({**form, field: before}, realm, port)
    assert new == 200
    assert old in (400, 401)


def token_status(form: dict[str, str], realm: str = "praxis", port: int = PORTS["http_port"]) -> int:
    """What Keycloak answers to a request for a token."""
    headers = {} if realm == "master" else {"Host": f"id.localhost:{port}"}
    url = f"http://localhost:{port}/realms/{realm}/protocol/openid-connect/token"
    return httpx.post(url, data=form, headers=headers, timeout=30, trust_env=False).status_code
