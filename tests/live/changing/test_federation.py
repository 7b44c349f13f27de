"""People of a company's directory: a second real Keycloak, by OpenID Connect and by SAML.

A browser's requests are played; whatever answers them is real. What only a browser refuses (cookies across sites,
which SAML's answer needs) is not seen here.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from infra.cli import keycloak
from tests.corporate import CLIENT_SECRET, PASSWORD, Corporate, SignInRefusedError, running, sign_in, token_of
from tests.live.answering.test_egress import in_litellm
from tests.proof import CAREFUL, NAME, PORTS, Proof

REALM = f"http://id.localhost:{PORTS['http_port']}/realms/praxis"
CONSOLE = f"http://console.localhost:{PORTS['http_port']}"
KEEP = bool(os.environ.get("PRAXIS_KEEP_PROOF"))
pytestmark = pytest.mark.timeout(1500)  # seconds, on a machine that does other things as well
both = pytest.mark.parametrize("by", ["corporate", "corporate-saml"])


@pytest.fixture(scope="module")
def corporate(proof: Proof, certificates: Path) -> Iterator[Corporate]:
    """The directory, declared for the time of these tests; and a role that asks for a second factor."""
    file = proof.stacks / f"{NAME}.yaml"
    before = file.read_text()
    with running(NAME, certificates, keep=KEEP) as directory:
        directory.found(REALM)
        declared = {**yaml.safe_load(before), "identity": {"directories": directory.declared()}}
        declared["roles"]["careful"] = CAREFUL
        file.write_text(yaml.safe_dump(declared, sort_keys=False))
        proof.praxis("secrets", "set", NAME, "corporate-client-secret", stdin=CLIENT_SECRET)
        proof.praxis("up", NAME)
        yield directory
        file.write_text(before)
        proof.praxis("up", NAME, "--yes")


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))


def governed(token: str) -> tuple[list[str], list[str]]:
    """Declared roles and departments in an access token."""
    said = claims(token)
    roles = [role for role in said["roles"] if role in ("engineer", "analyst", "guest", "praxis-auditor")]
    return sorted(roles), said.get("department", [])


@both
def test_somebody_new_works_at_once_and_a_changed_group_changes_the_role(
    proof: Proof, corporate: Corporate, by: str
) -> None:
    name = corporate.hire("dana", "gw-engineers", "research")
    first = token_of(corporate, REALM, by=by, name=name)["access_token"]
    assert governed(first) == (["engineer"], ["research"])
    assert claims(first)["email"] == f"{name}@login.corporate.test"
    answer = proof.ask(first, "hello from a directory")
    assert answer.status_code == 200, answer.text
    record = proof.receipt(answer.headers["x-praxis-trace-id"])
    assert (record["role"], record["department"], record["kind"]) == ("engineer", "research", "person")

    corporate.move(name, "gw-analysts", "gw-auditors", "finance")
    second = token_of(corporate, REALM, by=by, name=name)["access_token"]
    assert governed(second) == (["analyst", "praxis-auditor"], ["finance"])
    assert claims(second)["sub"] == claims(first)["sub"]
    record = proof.receipt(proof.ask(second, "hello again").headers["x-praxis-trace-id"])
    assert (record["role"], record["department"]) == ("analyst", "finance")

    corporate.move(name)
    third = token_of(corporate, REALM, by=by, name=name)["access_token"]
    assert governed(third) == ([], [])
    refused = proof.ask(third, "hello once more")
    assert refused.status_code == 403
    assert "has no role" in refused.json()["error"]["message"]

    corporate.dismiss(name)
    with pytest.raises(SignInRefusedError, match="Invalid"):
        token_of(corporate, REALM, by=by, name=name)


def test_an_address_that_is_somebodys_already_gives_nobody_their_account(proof: Proof, corporate: Corporate) -> None:
    name = corporate.hire("alice", "gw-engineers", "research", email="alice@example.com")
    with pytest.raises(
        AssertionError, match=r"authorization_pending(.|\n)*User with email alice@example.com already exists"
    ):
        token_of(corporate, REALM, by="corporate", name=name)
    with keycloak.signed_in(proof.stack, proof.store) as admin:
        declared = admin.http.get("/admin/realms/praxis/users", params={"username": "alice", "exact": "true"}).json()
        linked = admin.http.get(f"/admin/realms/praxis/users/{declared[0]['id']}/federated-identity").json()
    assert linked == []


def test_who_came_by_the_directory_is_no_drift_but_what_was_done_by_hand_is(proof: Proof, corporate: Corporate) -> None:
    name = corporate.hire("fay", "gw-analysts", "finance")
    sub = claims(token_of(corporate, REALM, by="corporate", name=name)["access_token"])["sub"]
    assert proof.praxis("drift", NAME, check=False).returncode == 0

    with keycloak.signed_in(proof.stack, proof.store) as admin:
        at = "/admin/realms/praxis"
        guest = admin.http.get(f"{at}/roles/guest").json()
        admin.http.post(f"{at}/users/{sub}/role-mappings/realm", json=[guest]).raise_for_status()
        instance = f"{at}/identity-provider/instances/corporate"
        mapper = {
            "name": "everybody", "identityProviderAlias": "corporate",
            "identityProviderMapper": "oidc-hardcoded-role-idp-mapper", "config": {"role": "engineer"},
        }  # fmt: skip
        admin.http.post(f"{instance}/mappers", json=mapper).raise_for_status()
        provider = admin.http.get(instance).json()
        admin.http.put(instance, json={**provider, "trustEmail": True}).raise_for_status()

    found = proof.praxis("drift", NAME, "--json", check=False)
    assert found.returncode == 7
    places = {f"{one['resource']}/{one['path']}" for one in json.loads(found.stdout)["findings"]}
    assert places == {
        "identity-provider/corporate/trustEmail",
        "identity-provider/corporate/mappers.everybody",
        f"user/{name}/roles.guest",
    }
    proof.praxis("up", NAME)
    assert proof.praxis("drift", NAME, check=False).returncode == 0


@both
def test_who_must_give_a_second_factor_is_asked_after_the_directory(corporate: Corporate, by: str) -> None:
    careful, other = corporate.hire("hana", "gw-careful", "research"), corporate.hire("ines", "gw-analysts", "finance")
    page = sign_in(corporate, CONSOLE, by=by, name=other)
    assert (page.url.host, page.url.path) == ("console.localhost", "/me")
    page = sign_in(corporate, CONSOLE, by=by, name=careful)
    assert page.url.host == "id.localhost", "the directory's word is not enough"
    assert "totpSecret" in page.text


def in_keycloak(script: str) -> tuple[int, str]:
    """Run a shell script with Keycloak's uid in its container."""
    code, output = docker.from_env().containers.get(f"praxis-{NAME}-keycloak").exec_run(["bash", "-c", script])
    assert isinstance(output, bytes)
    return int(code or 0), output.decode()


class TestTheWay:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/corporate/realms/corporate/protocol/openid-connect/certs", "200"),
            ("POST", "/corporate/realms/corporate/protocol/openid-connect/certs", "404"),
            ("GET", "/corporate/realms/corporate/protocol/openid-connect/token", "404"),
            ("GET", "/corporate/realms/corporate/protocol/openid-connect/auth", "404"),
            ("GET", "/corporate/admin/realms", "404"),
            ("GET", "/", "404"),
        ],
    )
    def test_keycloak_calls_what_is_declared_and_nothing_else(
        self, corporate: Corporate, method: str, path: str, status: str
    ) -> None:
        request = rf"{method} {path} HTTP/1.0\r\nHost: directories\r\nContent-Length: 0\r\n\r\n"
        code, output = in_keycloak(f"exec 3<>/dev/tcp/directories/8200; printf '{request}' >&3; head -1 <&3")
        assert (code, output.split()[1]) == (0, status)

    @pytest.mark.parametrize("host", ["1.1.1.1", "login.corporate.test", "example.com"])
    def test_keycloak_has_no_other_way_out(self, corporate: Corporate, host: str) -> None:
        code, output = in_keycloak(f"timeout 3 bash -c 'exec 3<>/dev/tcp/{host}/443'")
        assert code != 0, output

    def test_litellm_does_not_reach_it(self, corporate: Corporate) -> None:
        code, output = in_litellm("import socket; socket.create_connection(('directories', 8200), 3)")
        assert code != 0, output

    def test_the_secrets_show_nowhere(self, proof: Proof, corporate: Corporate) -> None:
        said = "".join(proof.said)
        assert CLIENT_SECRET not in said
        assert PASSWORD not in said

    def test_the_sign_in_page_shows_the_directory(self, corporate: Corporate) -> None:
        with corporate.http() as http:
            begun = http.post(f"{REALM}/protocol/openid-connect/auth/device", data={"client_id": "praxis-cli"}).json()
            page = http.get(begun["verification_uri_complete"])
        assert "Corporate" in page.text
