"""What runs, looked at from outside and from inside (testinfra)."""

from __future__ import annotations

import time
from http.client import HTTPConnection
from typing import Any

import docker
import pytest
import testinfra

from components.blueprint import blueprint
from config import load_stack
from infra.paths import STACKS
from infra.targets.docker import RESTART
from tests.proof import NAME, Proof
from tests.waiting import eventually

SERVICES = [spec.name for spec in blueprint(load_stack("laptop", STACKS), NAME).services]
each = pytest.mark.parametrize("service", [*SERVICES, "secrets"])


@pytest.fixture
def inspected(proof: Proof, service: str) -> dict[str, Any]:
    attributes: dict[str, Any] = docker.from_env().containers.get(f"praxis-{NAME}-{service}").attrs
    return attributes


@each
class TestEveryContainer:
    def test_is_confined(self, inspected: dict[str, Any]) -> None:
        host = inspected["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert 0 < host["Memory"] == host["MemorySwap"]
        assert host["RestartPolicy"]["Name"] == RESTART

    def test_never_sees_the_docker_socket(self, inspected: dict[str, Any]) -> None:
        assert not [m for m in inspected["Mounts"] if "docker.sock" in str(m.get("Source"))]

    def test_is_not_root_from_its_first_process_on(self, inspected: dict[str, Any], service: str) -> None:
        host = testinfra.get_host(f"docker://praxis-{NAME}-{service}")
        status = host.file("/proc/1/status").content_string
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert set(uids) == {inspected["Config"]["User"].split(":")[0]}
        assert int(uids[0]) >= 61001
        effective = next(line for line in status.splitlines() if line.startswith("CapEff:")).split()[1]
        assert int(effective, 16) == 0

    def test_publishes_nothing_unless_it_is_the_edge(self, inspected: dict[str, Any], service: str) -> None:
        published = [b for bindings in (inspected["HostConfig"]["PortBindings"] or {}).values() for b in bindings]
        assert bool(published) == (service == "edge")
        assert all(binding["HostIp"] == "127.0.0.1" for binding in published)

    def test_cannot_write_its_root(self, service: str, proof: Proof) -> None:
        host = testinfra.get_host(f"docker://praxis-{NAME}-{service}")
        assert host.run("touch /usr/local/canary").rc != 0
        assert host.run("touch /etc/praxis/canary").rc != 0


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "edge"])
def test_no_service_but_the_edge_has_a_way_out(proof: Proof, service: str) -> None:
    client = docker.from_env()
    networks = client.containers.get(f"praxis-{NAME}-{service}").attrs["NetworkSettings"]["Networks"]
    assert networks
    assert all(client.networks.get(name).attrs["Internal"] for name in networks)
    # Tried from inside: the edge's address on the one network that has a way out.
    edge = client.containers.get(f"praxis-{NAME}-edge").attrs["NetworkSettings"]["Networks"]
    outside = edge[f"praxis-{NAME}-public"]["IPAddress"]
    host = testinfra.get_host(f"docker://praxis-{NAME}-{service}")
    assert host.run(f"timeout 3 bash -c '</dev/tcp/{outside}/8080'").rc != 0


def counted(rows: str) -> int:
    """How many rows LiteLLM's database has."""
    postgres = testinfra.get_host(f"docker://praxis-{NAME}-postgres")
    told = postgres.run("psql -h /tmp -U postgres -d litellm -tAc %s", f"select count(*) {rows}")
    assert told.rc == 0, told.stderr
    return int(told.stdout)


def test_litellm_has_real_users_teams_keys_and_spend(proof: Proof, alice: str) -> None:
    proof.ask(alice, "Say hello.")
    keys = 'from "LiteLLM_VerificationToken" k join "LiteLLM_TeamTable" using (team_id) left join'
    keys += ' "LiteLLM_TeamMembership" m on (m.user_id, m.team_id) = (k.user_id, k.team_id)'
    assert counted(keys) >= 1
    assert counted(f"{keys} where m.user_id is null") == 0


def test_what_a_client_calls_itself_is_not_in_litellms_tables(proof: Proof, alice: str) -> None:
    proof.ask(alice, "Say hello.")
    eventually(lambda: counted('from "LiteLLM_SpendLogs"') >= 1, within_s=60)
    assert counted("from \"LiteLLM_SpendLogs\" where request_tags <> '[]'") == 0
    assert counted('from "LiteLLM_DailyTagSpend"') == 0


def test_a_part_cannot_use_anothers_database(proof: Proof) -> None:
    postgres = testinfra.get_host(f"docker://praxis-{NAME}-postgres")
    for role in ("keycloak", "mlflow", "custodian"):
        query = f"select has_database_privilege('{role}', 'litellm', 'CONNECT')"
        answer = postgres.run(f'psql -h /tmp -U postgres -tAc "{query}"')
        assert answer.stdout.strip() == "f"


@pytest.mark.parametrize(
    ("service", "port", "path"),
    [
        ("custodian", 8100, "/healthz"),
        ("litellm", 4000, "/health/liveliness"),
        ("mlflow", 5000, "/health"),
        ("sso", 4180, "/ping"),
        ("keycloak", 8080, "/realms/praxis"),
    ],
)
def test_a_connection_that_was_idle_is_good(proof: Proof, service: str, port: int, path: str) -> None:
    """Whoever calls keeps a connection for longer than uvicorn does by itself (5 s)."""
    address = docker.from_env().containers.get(f"praxis-{NAME}-{service}").attrs["NetworkSettings"]["Networks"]
    host = next(one["IPAddress"] for one in address.values() if one["IPAddress"])
    connection = HTTPConnection(host, port, timeout=30)
    for pause_s in (0.0, 7.0):
        time.sleep(pause_s)
        connection.request("GET", path, headers={"Host": f"{service}:{port}"})
        answer = connection.getresponse()
        assert answer.status < 500
        answer.read()
        assert not answer.will_close
