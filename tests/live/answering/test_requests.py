"""Real requests through all five layers, by the official clients and by hand."""

from __future__ import annotations

import hashlib
import json
import ssl
import time
from typing import Any

import anthropic
import docker
import httpx
import openai
import pytest

from infra.paths import stack_folder
from runtime.contract import Tokens
from tests.proof import NAME, PORTS, PROVIDER_MODELS, Proof

CARD = "4111 1111 1111 1111"
AWS_KEY = "AKIA" + "QYLPMN5HHHFPZAM2"


Base = tuple[str, ssl.SSLContext | bool]


@pytest.fixture(params=["http", "https"])
def base(request: pytest.FixtureRequest, proof: Proof) -> Base:
    """A base URL, and what to trust there."""
    if request.param == "http":
        return proof.url, True
    trust = ssl.create_default_context(cafile=str(stack_folder(NAME).authority))
    return f"https://localhost:{PORTS['https_port']}", trust


@pytest.mark.parametrize("kind", ["virtual key", "access token"])
class TestOfficialClients:
    @pytest.fixture
    def credential(self, kind: str, proof: Proof, alice: str) -> str:
        return alice if kind == "virtual key" else proof.token("alice")

    def test_openai(self, base: Base, credential: str) -> None:
        http = openai.DefaultHttpxClient(verify=base[1], trust_env=False)
        client = openai.OpenAI(base_url=f"{base[0]}/v1", api_key=credential, http_client=http, max_retries=0)
        messages: Any = [{"role": "user", "content": "Say hello."}]
        answer = client.chat.completions.create(model="smollm2", max_tokens=8, messages=messages)
        assert answer.choices[0].message.content
        assert answer.usage
        assert answer.usage.completion_tokens > 0
        chunks = list(client.chat.completions.create(model="smollm2", max_tokens=8, messages=messages, stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert [model.id for model in client.models.list()] == ["smollm2", *PROVIDER_MODELS]

    @pytest.mark.usefixtures("provider")
    @pytest.mark.parametrize("model", ["smollm2", "gpt", "claude"])
    def test_openai_by_responses(self, base: Base, credential: str, model: str) -> None:
        """Of a model whose provider has no such API, LiteLLM makes it out of another."""
        http = openai.DefaultHttpxClient(verify=base[1], trust_env=False)
        client = openai.OpenAI(base_url=f"{base[0]}/v1", api_key=credential, http_client=http, max_retries=0)
        answer = client.responses.create(model=model, max_output_tokens=16, input="Say hello.")
        assert answer.output_text
        assert answer.usage
        assert answer.usage.output_tokens > 0
        events = list(client.responses.create(model=model, max_output_tokens=16, input="Say hello.", stream=True))
        said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last = events[-1]
        assert last.type in ("response.completed", "response.incomplete"), "the little model likes to go on"
        assert said == last.response.output_text != ""

    def test_anthropic(self, base: Base, credential: str) -> None:
        http = anthropic.DefaultHttpxClient(verify=base[1], trust_env=False)
        client = anthropic.Anthropic(base_url=base[0], api_key=credential, http_client=http, max_retries=0)
        messages: Any = [{"role": "user", "content": "Say hello."}]
        answer = client.messages.create(model="smollm2", max_tokens=8, messages=messages)
        assert answer.content[0].type == "text"
        assert answer.usage.output_tokens > 0
        assert [model.id for model in client.models.list()] == ["smollm2", *PROVIDER_MODELS]
        with client.messages.stream(model="smollm2", max_tokens=8, messages=messages) as stream:
            assert "".join(stream.text_stream)


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize("model", ["smollm2", "gemini", "gpt", "claude"])
class TestGeminisDialect:
    """By hand: a whole answer, and a stream of events, as Google's clients read them."""

    def test_a_whole_answer(self, proof: Proof, alice: str, model: str) -> None:
        answer = proof.generate(alice, "Say hello.", model=model)
        assert answer.status_code == 200, answer.text
        (candidate,) = answer.json()["candidates"]
        assert candidate["content"]["parts"][0]["text"]
        record = proof.receipt(answer.headers["x-praxis-trace-id"])
        assert (record["dialect"], record["model"], record["reason"]) == ("gemini", model, None)
        assert record["output_tokens"] > 0

    def test_a_stream(self, proof: Proof, alice: str, model: str) -> None:
        body = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
        url = f"{proof.url}/v1beta/models/{model}:streamGenerateContent?alt=sse"
        answer = httpx.post(url, json=body, headers={"x-goog-api-key": alice}, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        events = [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line]
        parts = [part for event in events for part in event["candidates"][0]["content"]["parts"]]
        assert "".join(part["text"] for part in parts)
        assert events[-1]["candidates"][0]["finishReason"] in ("STOP", "MAX_TOKENS")
        record = proof.receipt(answer.headers["x-praxis-trace-id"])
        assert (record["dialect"], record["state"], record["reason"]) == ("gemini", "settled", None)
        assert record["output_tokens"] == events[-1]["usageMetadata"]["candidatesTokenCount"] + (model == "gemini")

    def test_the_size_of_a_request(self, proof: Proof, alice: str, model: str) -> None:
        body = {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}
        url = f"{proof.url}/v1beta/models/{model}:countTokens"
        answer = httpx.post(url, json=body, headers={"x-goog-api-key": alice}, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        assert answer.json()["totalTokens"] > 0


class TestRefusals:
    """Each in the caller's dialect, each with a trace id."""

    def test_no_credential_is_401(self, proof: Proof) -> None:
        assert openai_error(proof.ask(None, "hi"), 401)
        assert openai_error(proof.respond(None, "hi"), 401)
        assert anthropic_error(proof.message(None, "hi"), 401) == "authentication_error"
        assert gemini_error(proof.generate(None, "hi"), 401) == "UNAUTHENTICATED"

    @pytest.mark.parametrize("credential", ["sk-praxis-nonsense", "nonsense", "a.b.c", "x" * 9000])
    def test_a_wrong_credential_is_401(self, proof: Proof, credential: str) -> None:
        assert openai_error(proof.ask(credential, "hi"), 401)
        assert anthropic_error(proof.message(credential, "hi"), 401) == "authentication_error"

    def test_a_model_outside_the_role_is_403(self, proof: Proof, alice: str) -> None:
        assert openai_error(proof.ask(alice, "hi", model="gpt-5"), 403)
        assert openai_error(proof.respond(alice, "hi", model="gpt-5"), 403)
        assert anthropic_error(proof.message(alice, "hi", model="claude-opus"), 403) == "permission_error"
        assert gemini_error(proof.generate(alice, "hi", model="gemini-3"), 403) == "PERMISSION_DENIED"
        guest = proof.token("eve")
        assert openai_error(proof.ask(guest, "hi"), 403)

    def test_a_revoked_key_is_401(self, proof: Proof) -> None:
        key, other = (proof.token("bob", "--kind", "virtual-key") for _ in range(2))
        called = hashlib.sha256(key.encode()).hexdigest()[:12]
        proof.praxis("keys", "revoke", NAME, "--as", "bob", "--key", called, "--yes")
        assert proof.ask(key, "hi").status_code == 401
        assert proof.ask(other, "Say hello.").status_code == 200

    def test_over_budget_is_429_and_not_to_be_retried(self, proof: Proof) -> None:
        poor = proof.token("carol")
        until = time.monotonic() + 30
        while (answer := proof.ask(poor, "Tell me a long story.", max_tokens=32)).status_code == 200:
            assert time.monotonic() < until, "the budget is used up and nothing refuses"
        assert openai_error(answer, 429)
        assert answer.headers["x-should-retry"] == "false"
        assert openai_error(proof.respond(poor, "hi"), 429)
        assert gemini_error(proof.generate(poor, "hi"), 429) == "RESOURCE_EXHAUSTED"
        refused = proof.message(poor, "hi")
        assert anthropic_error(refused, 429) == "rate_limit_error"
        assert refused.headers["x-should-retry"] == "false"

    @pytest.mark.parametrize(
        "path", ["/", "/key/info", "/v1/chat/completions/", "/health", "/ui", "/v1/messages/../../key/info", "/metrics"]
    )
    def test_what_is_not_on_the_list_is_404(self, proof: Proof, alice: str, path: str) -> None:
        answer = httpx.get(f"{proof.url}{path}", headers={"Authorization": f"Bearer {alice}"}, trust_env=False)
        assert answer.status_code == 404
        assert answer.headers["x-praxis-trace-id"]

    def test_a_forged_assertion_from_outside_is_worth_nothing(self, proof: Proof) -> None:
        answer = httpx.post(
            f"{proof.url}/v1/chat/completions",
            json={"model": "smollm2", "messages": []},
            headers={
                "X-Praxis-Assertion": "e30.e30.e30",
                "Authorization": f"Bearer {proof.store.get('litellm-master-key')}",
            },
            trust_env=False,
        )
        assert answer.status_code == 401


class TestGuard:
    def test_a_credential_is_blocked_in_every_dialect(self, proof: Proof, alice: str) -> None:
        text = f"my key is {AWS_KEY}, keep it"
        blocked = proof.ask(alice, text)
        assert openai_error(blocked, 400)
        response = proof.respond(alice, text)
        assert openai_error(response, 400)
        other = proof.message(alice, text)
        assert anthropic_error(other, 400) == "invalid_request_error"
        for answer in (blocked, response, other):
            assert AWS_KEY not in answer.text
            assert "credential" in answer.text
            record = proof.receipt(answer.headers["x-praxis-trace-id"])
            assert record["guards"]["verdict"] == "blocked"
            assert record["guards"]["findings"] == {"credential": 1}

    def test_a_card_number_is_masked_by_role(self, proof: Proof, alice: str, bob: str) -> None:
        for send in (proof.ask, proof.respond, proof.message):
            answer = send(alice, f"my card is {CARD}")
            assert answer.status_code == 200
            record = proof.receipt(answer.headers["x-praxis-trace-id"])
            assert record["guards"]["verdict"] == "masked"
            assert record["guards"]["findings"] == {"card": 1}
            assert send(bob, f"my card is {CARD}").status_code == 400

    def test_an_innocent_number_passes(self, proof: Proof, alice: str) -> None:
        answer = proof.ask(alice, "the order number is 4111 1111 1111 1112")
        assert proof.receipt(answer.headers["x-praxis-trace-id"])["guards"]["verdict"] == "clean"

    def test_the_trace_shows_the_verdict_and_not_the_value(self, proof: Proof, alice: str) -> None:
        answer = proof.ask(alice, f"my card is {CARD}, what next?")
        trace = mlflow_trace(answer.headers["x-praxis-trace-id"])
        assert CARD not in trace
        assert CARD.replace(" ", "") not in trace
        assert "what next?" in trace
        assert "masked" in trace


class TestRecords:
    @pytest.mark.parametrize(
        ("subject", "kind", "department", "role"),
        [("alice", "person", "research", "engineer"), ("nightly-report", "agent", "finance", "analyst")],
    )
    def test_a_record_says_who_what_and_how_much(
        self, proof: Proof, subject: str, kind: str, department: str, role: str
    ) -> None:
        answer = proof.ask(proof.token(subject), "Say hello.")
        record = proof.receipt(answer.headers["x-praxis-trace-id"])
        usage = answer.json()["usage"]
        assert (record["name"], record["kind"], record["department"], record["role"]) == (
            subject,
            kind,
            department,
            role,
        )
        assert (record["input_tokens"], record["output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
        price = proof.stack.models["smollm2"].price_usd_per_million_tokens
        assert float(record["cost_usd"]) == pytest.approx(
            float(price.cost(Tokens(input=usage["prompt_tokens"], output=usage["completion_tokens"]))), rel=1e-6
        )
        assert record["demo"] is (kind == "person")

    def test_a_stream_is_settled_too(self, proof: Proof, alice: str) -> None:
        for send in (proof.ask, proof.respond, proof.message):
            answer = send(alice, "Say hello.", stream=True)
            record = proof.receipt(answer.headers["x-praxis-trace-id"])
            assert (record["state"], record["reason"]) == ("settled", None)
            assert record["output_tokens"] > 0


def openai_error(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-praxis-trace-id"]
    error = answer.json()["error"]
    assert {"message", "type", "code"} <= set(error)
    return str(error["message"])


def anthropic_error(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-praxis-trace-id"]
    body = answer.json()
    assert body["type"] == "error"
    assert body["error"]["message"]
    return str(body["error"]["type"])


def gemini_error(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["x-praxis-trace-id"]
    error = answer.json()["error"]
    assert (error["code"], bool(error["message"])) == (status, True)
    return str(error["status"])


def mlflow_trace(trace: str, timeout_s: float = 40) -> str:
    """The whole trace as the trace store holds it, as text, asked for inside its container."""
    container = docker.from_env().containers.get(f"praxis-{NAME}-mlflow")
    script = (
        "import json,sys,urllib.request as u;"
        f"r=u.urlopen('http://127.0.0.1:5000/ajax-api/3.0/mlflow/traces/get?trace_id=tr-{trace}',timeout=5);"
        "print(r.read().decode())"
    )
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        code, output = container.exec_run(["python3", "-c", script])
        if code == 0 and isinstance(output, bytes):
            return output.decode()
        time.sleep(1)
    raise AssertionError(f"the trace store has no trace {trace}: {output!r}")
