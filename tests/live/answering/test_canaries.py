"""No secret is anywhere that it should not be: searched for by its real value, in every form it could be printed in."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import docker
import httpx
import pytest

from tests.canaries import SINKS, Canaries, Search, canaries, containers, dumpable, inside
from tests.debugging import SERVICES, talkative
from tests.proof import ANTHROPIC_KEY, NAME, USER_TOKEN, Proof
from tests.provider import Provider


@pytest.fixture(scope="module")
def values(proof: Proof, provider: Provider, alice: str, bob: str) -> Canaries:
    """What is searched for; before that, each of it is used, so that it could have been written down."""
    own = {"x-praxis-key": alice, "authorization": f"Bearer {USER_TOKEN}"}
    for dialect in (proof.ask, proof.message):
        for model in ("claude", "gpt", "smollm2"):
            assert dialect(alice, "canary", model=model).status_code == 200
    assert proof.message(None, "canary of my own", own, model="claude-own").status_code == 200
    assert proof.message(None, "canary of my own", own, model="claude").status_code == 403
    assert proof.ask(bob, "canary").status_code == 200
    token = proof.token("alice")
    assert proof.ask(token, "canary").status_code == 200
    for dialect in (proof.ask, proof.message):  # at the end: LiteLLM lets a model rest that has failed
        assert dialect(alice, "please fail", model="claude").status_code >= 400
    enrolment = json.loads(proof.praxis("enroll", NAME, "--as", "alice", "--json").stdout)["env"]["ANTHROPIC_BASE_URL"]
    by_enrolment(enrolment)
    keys = {"alice's-virtual-key": alice, "bob's-virtual-key": bob, "alice's-access-token": token}
    keys["alice's-enrolment"] = enrolment.rpartition("/")[2]
    return canaries(proof, keys)


def by_enrolment(url: str) -> None:
    """Every kind of request that has an enrolment's id in its path: answered, refused, not there."""
    headers = {"authorization": f"Bearer {USER_TOKEN}"}
    body = {"model": "claude-own", "max_tokens": 8, "messages": [{"role": "user", "content": "canary"}]}
    with httpx.Client(headers=headers, timeout=60, trust_env=False) as http:
        assert http.post(f"{url}/v1/messages", json=body).status_code == 200
        assert http.post(f"{url}/v1/messages/count_tokens", json=body).status_code == 200
        assert http.post(f"{url}/v1/messages", json={**body, "model": "claude"}).status_code == 403
        assert http.post(f"{url}/v1/messages", json=body, headers={"authorization": "x"}).status_code == 401
        assert http.get(url).status_code == 204
        assert http.get(f"{url}/nothing").status_code == 404


@pytest.fixture(scope="module")
def search(values: Canaries) -> Search:
    assert len(values) > 20
    assert {ANTHROPIC_KEY, USER_TOKEN} <= set(values.values())
    return Search(values)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SINKS)
def test_a_sink_is_free_of_every_secret(proof: Proof, values: Canaries, search: Search, name: str) -> None:
    places = 0

    def counted() -> object:
        nonlocal places
        for found in SINKS[name](proof, values):
            places += 1
            yield found

    assert search.hits(counted()) == []  # type: ignore[arg-type]  # a generator, which counts
    assert places or name == "writable layers", "nothing was looked at"


@pytest.mark.timeout(900)
def test_logs_at_debug_level_are_too(proof: Proof, values: Canaries, search: Search, alice: str) -> None:
    own = {"x-praxis-key": alice, "authorization": f"Bearer {USER_TOKEN}"}
    with talkative() as services:
        for dialect in (proof.ask, proof.message):
            for model in ("claude", "gpt", "smollm2"):
                answer = dialect(alice, "canary at debug level", model=model)
                assert answer.status_code == 200, answer.text
            assert dialect("sk-wrong", "canary", model="gpt").status_code == 401
        assert proof.message(None, "canary of my own", own, model="claude-own").status_code == 200
        assert proof.message(alice, "please fail", model="claude").status_code >= 400
        by_enrolment(proof.url + "/e/" + values["alice's-enrolment"])
        proof.token("alice")
        time.sleep(6)  # the collector sends what it has
        said = {name: container.logs() for name, container in services.items()}
    silent = [name for name, log in said.items() if SERVICES[name].proof not in log]
    assert silent == [], "not at debug level"
    assert search.hits((f"log of {name} at debug level", log) for name, log in said.items()) == []


def test_the_scan_finds_what_is_there(proof: Proof, values: Canaries, search: Search) -> None:
    """The search itself works: the secrets are where they belong, and nobody else's are."""
    assert search.names_in(inside("postgres", "cat", "/run/secrets/litellm-db-password")) == {"litellm-db-password"}
    assert search.names_in(json.dumps({"key": values["chain-private-key"]}).encode()) == {"chain-private-key"}
    keys = inside("custodian", "bash", "-c", "cat /run/secrets/*-api-key")
    assert search.names_in(keys) == {"anthropic-api-key", "gemini-api-key", "openai-api-key"}


def test_every_process_of_the_host_is_looked_at() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to read the environment of other users' processes")
    (litellm,) = [each for each in containers() if each.name == f"praxis-{NAME}-litellm"]
    for pid, *_ in litellm.top(ps_args="-eo pid,args")["Processes"]:
        assert Path(f"/proc/{pid}/environ").read_bytes()


def test_no_process_would_leave_a_core_file(proof: Proof) -> None:
    assert dumpable() == []


@pytest.mark.parametrize("service", ["redis", "collector"])
def test_a_crash_leaves_none(proof: Proof, service: str) -> None:
    """SIGABRT, whose default is to dump: to a program that closes nothing itself."""
    if os.geteuid() != 0:
        pytest.skip("needs root to end another user's process")
    container = docker.from_env().containers.get(f"praxis-{NAME}-{service}")
    started = container.attrs["State"]["StartedAt"]
    init = container.attrs["State"]["Pid"]  # the service is its child; a probe that runs just now is not
    (pid,) = [pid for pid, parent in container.top(ps_args="-eo pid,ppid")["Processes"] if int(parent) == init]
    cwd = Path(f"/proc/{pid}/cwd").readlink()
    os.kill(int(pid), signal.SIGABRT)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        container.reload()
        state = container.attrs["State"]
        if state["StartedAt"] != started and state.get("Health", {}).get("Status", "healthy") == "healthy":
            break
        time.sleep(0.5)
    else:
        raise AssertionError(f"{service} did not come back")
    left = [str(change["Path"]) for change in container.diff() or []]
    assert not [path for path in left if Path(path).name.startswith("core")], f"in {cwd}"
    assert b"core" not in inside(service, "ls", "/tmp")
