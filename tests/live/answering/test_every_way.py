"""Every subject, every model, every dialect, every kind of credential; and no way to a model without a subject."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import docker
import httpx
import pytest

from components.edge import API_ROUTES
from infra.supply.built import built_images
from tests.proof import NAME, PORTS, Proof

SUBJECTS = ("alice", "bob", "eve", "nightly-report")
"""An engineer, an analyst, a guest who may use nothing, and an agent."""
MODELS = ("smollm2", "claude", "gpt", "gemini")
KINDS = ("access", "virtual-key")
ALLOWED = frozenset((method, path.replace("{model}", "x")) for method, path in API_ROUTES)
VARIANTS = (
    "//v1/chat/completions",
    "/v1/chat/completions/",
    "/v1//chat/completions",
    "/V1/chat/completions",
    "/v1/chat/./completions",
    "/v1/../v1/chat/completions",
    "/v1/chat%2Fcompletions",
    "/v1/chat/completions%00",
    "/v1/chat/completions;x=1",
    "/v1beta/models/smollm2:generateContent/",
    "/v1beta/models/smollm2%3AgenerateContent",
    "/models/smollm2:generateContent",
    "/v1beta/models/../../v1/models:generateContent",
    "/litellm/v1/chat/completions",
    "/custodian/auth",
    "/auth",
    "/records",
    "/records/ended",
    "/refuse",
    "/admin/realms/praxis/users",
    "/realms/praxis/protocol/openid-connect/token",
    "/api/http/routers",
    "/ping",
)
"""Spellings of an allowed path, and paths of what stands behind the edge."""


@pytest.mark.usefixtures("provider")
def test_each_may_what_its_role_says_in_every_dialect_with_every_credential(proof: Proof) -> None:
    stack, answered = proof.stack, dict[str, str]()
    for name, kind in itertools.product(SUBJECTS, KINDS):
        credential = proof.token(name, "--kind", kind)
        role = stack.roles[stack.subjects()[name].role]
        for model, ask in itertools.product(MODELS, (proof.ask, proof.respond, proof.message, proof.generate)):
            answer = ask(credential, "Say hello.", model=model, max_tokens=1)
            expected = 200 if model in role.models else 403
            assert answer.status_code == expected, (name, kind, model, ask, answer.text)
            if answer.status_code == httpx.codes.OK:
                answered[answer.headers["x-praxis-trace-id"]] = name
    records = json.loads(proof.praxis("audit", "tail", NAME, "--json", "-n", "200").stdout)
    assert {record["trace"]: record["name"] for record in records if record["trace"] in answered} == answered


@pytest.mark.usefixtures("provider")
def test_a_key_for_one_model_is_for_no_other(proof: Proof) -> None:
    key = proof.token("alice", "--kind", "virtual-key", "--model", "smollm2", "--days", "1")
    for ask in (proof.ask, proof.respond, proof.message, proof.generate):
        assert ask(key, "Say hello.", max_tokens=1).status_code == 200
        refused = ask(key, "Say hello.", max_tokens=1, model="gpt")
        assert refused.status_code == 403
        assert "this key is for other models" in refused.text
        assert ask(proof.token("alice"), "Say hello.", max_tokens=1, model="gpt").status_code == 200


@pytest.fixture
def served(proof: Proof) -> list[tuple[str, str]]:
    """Every method and path that LiteLLM itself serves."""
    headers = {"Authorization": f"Bearer {proof.store.get('litellm-master-key')}"}
    url = f"http://127.0.0.1:{PORTS['admin_port']}/litellm/openapi.json"
    paths = httpx.get(url, headers=headers, timeout=60, trust_env=False).raise_for_status().json()["paths"]
    return [(method.upper(), re.sub(r"\{[^}]*\}", "x", path)) for path in paths for method in paths[path]]


class TestNoWayAround:
    def test_of_what_litellm_serves_only_the_list_is_reached(
        self, proof: Proof, alice: str, served: list[tuple[str, str]]
    ) -> None:
        assert len(served) > 200
        assert set(served) & ALLOWED == ALLOWED
        with httpx.Client(base_url=proof.url, timeout=30, trust_env=False) as http:
            for (method, path), credential in itertools.product(served, ("", alice)):
                if credential and (method, path) in ALLOWED:
                    continue
                headers = {"Authorization": f"Bearer {credential}"} if credential else {}
                while (answer := http.request(method, path, headers=headers)).status_code == 429:
                    time.sleep(0.5)  # the edge's own limit
                expected = 401 if (method, path) in ALLOWED else 404
                assert answer.status_code == expected, (method, path, bool(credential), answer.text)

    @pytest.mark.parametrize("host", ["localhost", "traces.localhost", "id.localhost", "console.localhost", "litellm"])
    def test_no_spelling_and_no_host_name_is_a_way_in(self, proof: Proof, host: str) -> None:
        body = {"model": "smollm2", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
        with httpx.Client(base_url=proof.url, timeout=30, trust_env=False) as http:
            for path in (*VARIANTS, *(path for _, path in sorted(ALLOWED))):
                # As it stands: a client library would tidy it up.
                request = http.build_request("POST", "/", json=body, headers={"Host": f"{host}:{PORTS['http_port']}"})
                request.url = request.url.copy_with(raw_path=path.encode())
                answer = http.send(request)
                if host == "id.localhost" and path.startswith("/realms/"):
                    continue  # where people sign in
                assert answer.status_code >= 300, (host, path, answer.text[:200])
                assert "choices" not in answer.text
                assert '"output"' not in answer.text
                assert "candidates" not in answer.text

    def test_from_the_containers_networks_nobody_answers_without_an_assertion(self, proof: Proof) -> None:
        with ThreadPoolExecutor() as pool:  # most of it is waiting for names that nobody has
            names = networks()
            statuses = dict(zip(names, pool.map(lambda network: dict(asked_from(network)), names), strict=True))
        assert statuses, "there are networks"
        heard = {(target, status) for found in statuses.values() for target, status in found.items() if status}
        assert ("litellm", 401) in heard
        assert {status for target, status in heard if target != "model"} <= {401, 403, 404, 405}
        for network, found in statuses.items():
            if found["model"]:  # it asks nobody who is calling, so nobody but LiteLLM may be near it
                assert neighbours(network) == {f"praxis-{NAME}-litellm", f"praxis-{NAME}-model"}


ASK = """
import http.client, json, sys
from concurrent.futures import ThreadPoolExecutor
body = json.dumps({"model": "smollm2", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]})
def ask(target):
    name, port = target.split(":")
    try:
        connection = http.client.HTTPConnection(name, int(port), timeout=5)
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        return name, connection.getresponse().status
    except OSError:
        return name, 0
with ThreadPoolExecutor() as pool:
    for name, status in pool.map(ask, sys.argv[1:]):
        print(name, status)
"""
TARGETS = ("litellm:4000", "model:8080", "custodian:8100", "egress:8080", "mlflow:5000")


def networks() -> list[str]:
    found = docker.from_env().networks.list(filters={"label": f"praxis.stack={NAME}"})
    return [str(network.name) for network in found]


def neighbours(network: str) -> set[str]:
    found = docker.from_env().networks.get(network)
    return {str(container.name) for container in found.containers}


def asked_from(network: str) -> Iterator[tuple[str, int]]:
    """What each service answers to somebody who is only in this network; 0 for no answer."""
    out = docker.from_env().containers.run(
        built_images()["runtime"], ["-c", ASK, *TARGETS], entrypoint="python3", network=network, remove=True
    )
    for line in out.decode().splitlines():
        name, status = line.split()
        yield name, int(status)
