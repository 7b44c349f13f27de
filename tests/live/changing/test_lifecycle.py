"""The stack's life: nothing to do means nothing done, restarts heal, bad input touches nothing, down leaves nothing."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess

import docker
import pytest
import yaml

from infra.paths import REPOSITORY
from infra.supply.engine import pulumi_environment
from infra.supply.host import ensure_docker
from tests import daemon
from tests.load import load
from tests.proof import NAME, Proof

RESTARTS = int(os.environ.get("PRAXIS_RESTARTS", "4"))


def test_a_second_up_changes_nothing_and_says_so(proof: Proof) -> None:
    before = ids()
    done = proof.praxis("up", NAME)
    assert "nothing to change" in done.stderr
    assert ids() == before


def test_plain_pulumi_agrees(proof: Proof) -> None:
    done = subprocess.run(
        ["pulumi", "preview", "--stack", NAME, "--expect-no-changes", "--non-interactive"],
        env={**proof.environment, **pulumi_environment(NAME)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_refresh_finds_nothing(proof: Proof) -> None:
    done = subprocess.run(
        ["pulumi", "refresh", "--stack", NAME, "--preview-only", "--expect-no-changes", "--non-interactive"],
        env={**proof.environment, **pulumi_environment(NAME)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_status_says_what_runs(proof: Proof) -> None:
    status = json.loads(proof.praxis("status", NAME, "--json").stdout)
    assert all(service["ready"] for service in status["services"])
    assert sum(service["limit_mib"] for service in status["services"]) <= 3584


def test_all_services_restarted_at_once_come_back_with_their_secrets(proof: Proof, alice: str) -> None:
    """What a host's reboot does: every container stops, the tmpfs are lost, all start at the same time."""
    running = docker.from_env().containers.list(filters={"label": f"praxis.stack={NAME}"})
    for container in running:
        container.kill()
    for container in running:
        container.start()
    proof.wait_until_ready(180)
    assert proof.ask(alice, "Say hello.").status_code == 200


@pytest.mark.parametrize("service", ["litellm", "custodian", "keycloak", "edge", "postgres", "redis", "secrets"])
def test_a_killed_service_comes_back(proof: Proof, alice: str, service: str) -> None:
    container = docker.from_env().containers.get(f"praxis-{NAME}-{service}")
    container.restart(timeout=0)
    proof.wait_until_ready(120)
    assert proof.ask(alice, "Say hello.").status_code == 200


@pytest.mark.timeout(60 + 60 * RESTARTS)
def test_restarts_under_load_end_healthy_with_the_same_data(proof: Proof, alice: str) -> None:
    """``PRAXIS_RESTARTS`` says how many. A request in between is answered, or refused as a whole: never half."""
    trace = proof.ask(alice, "Say hello.", max_tokens=1).headers["x-praxis-trace-id"]
    kept = proof.receipt(trace)
    services = ["litellm", "custodian", "keycloak", "edge", "postgres", "redis", "secrets", "model", "collector"]
    with load(proof, alice) as told:
        for service in random.choices(services, k=RESTARTS):  # noqa: S311 - an order, no secret
            docker.from_env().containers.get(f"praxis-{NAME}-{service}").restart(timeout=0)
            proof.wait_until_ready(120)
        proof.wait_until_ready(120)
    # 0: no answer; 404: Traefik listens a moment before it has read its routes.
    assert {status for _, status in told.lost} <= {0, 404, 500, 502, 503, 504}
    assert told.results[-1][1] == 200
    assert proof.receipt(trace) == kept
    assert json.loads(proof.praxis("audit", "verify", NAME, "--json").stdout)["in_order"]


@daemon.may_end
def test_the_stack_comes_back_with_the_docker_daemon(proof: Proof, alice: str) -> None:
    """What a reboot of the host does, but for the kernel: nobody types anything but the daemon's start."""
    daemon.end()
    ensure_docker(print)
    proof.wait_until_ready(300)
    assert proof.ask(alice, "Say hello.").status_code == 200


def test_who_moves_to_another_department_goes_on_there(proof: Proof) -> None:
    assert proof.ask(proof.token("nightly-report"), "Say hello.", max_tokens=1).status_code == 200
    file = proof.stacks / f"{NAME}.yaml"
    good = file.read_text()
    raw = yaml.safe_load(good)
    assert raw["agents"]["nightly-report"]["department"] == "finance"
    raw["agents"]["nightly-report"]["department"] = "research"
    try:
        file.write_text(yaml.safe_dump(raw, sort_keys=False))
        proof.praxis("up", NAME)
        answer = proof.ask(proof.token("nightly-report"), "Say hello.", max_tokens=1)
        assert answer.status_code == 200
        assert proof.receipt(answer.headers["x-praxis-trace-id"])["department"] == "research"
        assert proof.praxis("drift", NAME).returncode == 0
    finally:
        file.write_text(good)
        proof.praxis("up", NAME)


def test_bad_input_is_exit_2_and_touches_nothing(proof: Proof) -> None:
    before, file = ids(), proof.stacks / f"{NAME}.yaml"
    good = file.read_text()
    raw = yaml.safe_load(good)
    raw["people"]["alice"]["role"] = "pilot"
    try:
        file.write_text(yaml.safe_dump(raw))
        done = proof.praxis("up", NAME, check=False)
    finally:
        file.write_text(good)
    assert done.returncode == 2
    assert "people.alice.role: no role 'pilot'" in done.stderr
    assert "Traceback" not in done.stderr
    assert ids() == before


def test_an_unset_secret_is_exit_2(proof: Proof) -> None:
    file = proof.stacks / "other.yaml"
    raw = yaml.safe_load((proof.stacks / f"{NAME}.yaml").read_text())
    raw["models"]["claude"] = {
        "provider": "anthropic",
        "api_key": "secret://anthropic-api-key",
        "price_usd_per_million_tokens": {"input": 3, "output": 15},
    }
    file.write_text(yaml.safe_dump(raw))
    done = proof.praxis("up", "other", check=False)
    assert done.returncode == 2
    assert (
        "secret://anthropic-api-key: is not set; set it with: ./praxis secrets set other anthropic-api-key"
        in done.stderr
    )


def test_a_port_in_use_is_exit_2(proof: Proof) -> None:
    raw = yaml.safe_load((REPOSITORY / "stacks/laptop.yaml").read_text())
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        raw["edge"]["http_port"] = holder.getsockname()[1]
        (proof.stacks / "taken.yaml").write_text(yaml.safe_dump(raw))
        done = proof.praxis("up", "taken", check=False)
    assert done.returncode == 2
    assert "edge.http_port: port" in done.stderr


def ids() -> dict[str, str]:
    found = docker.from_env().containers.list(all=True, filters={"label": f"praxis.stack={NAME}"})
    return {str(container.name): str(container.id) for container in found}
