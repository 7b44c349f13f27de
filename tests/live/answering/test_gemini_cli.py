"""Gemini CLI with a key of the gateway's: the real client, through all layers, to the tests' own provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.clients import gemini_cli
from tests.between import Between
from tests.gemini_cli import GeminiCli, installed
from tests.live.answering.test_requests import AWS_KEY, mlflow_trace
from tests.npm import or_skip
from tests.proof import GEMINI_KEY, Proof
from tests.provider import Provider
from tests.provider.server import WORDS

PATH = ":streamGenerateContent"
AT_GOOGLE = f"/v1beta/models/gemini-2.5-flash{PATH}"
INSIDE = ("x-praxis", "x-forwarded", "x-litellm", "traceparent", "cookie", "authorization")


@pytest.fixture(scope="module")
def program() -> Path:
    return or_skip(installed)


@pytest.fixture
def ask(program: Path, tmp_path: Path, between: Between) -> Any:
    """One question with a key: exit code, and what the client says of it."""

    def asked(text: str, key: str, model: str) -> tuple[int, dict[str, Any]]:
        return GeminiCli(program, tmp_path).ask(text, gemini_cli(between.url, key), model)

    return asked


def test_it_is_answered_recorded_and_traced(
    proof: Proof, provider: Provider, between: Between, alice: str, ask: Any
) -> None:
    text = "a question by Gemini CLI"
    code, told = ask(text, alice, "gemini")
    assert (code, told.get("response")) == (0, "".join(WORDS))
    (sent,), (came,) = between.questions(PATH), provider.asked(text, AT_GOOGLE)
    assert {name: value for name, value in came["body"].items() if name != "model"} == sent.body
    assert came["path"] == f"{AT_GOOGLE}?alt=sse"
    assert came["headers"]["x-goog-api-key"] == GEMINI_KEY
    assert not {name for name in came["headers"] if name.startswith(INSIDE)}
    trace = sent.answered["x-praxis-trace-id"]
    record = proof.receipt(trace)
    assert (record["name"], record["dialect"], record["model"]) == ("alice", "gemini", "gemini")
    assert (record["state"], record["payer"], record["provider_calls"]) == ("settled", "company", 1)
    counted = [record[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens")]
    assert (counted, record["reason"]) == ([10, 6, 4], None)
    assert text in mlflow_trace(trace)


@pytest.mark.parametrize(("model", "path"), [("gpt", "/v1/chat/completions"), ("claude", "/v1/messages")])
def test_a_model_of_another_vendor_answers_it_too(
    provider: Provider, alice: str, ask: Any, model: str, path: str
) -> None:
    text = f"a question by Gemini CLI to {model}"
    code, told = ask(text, alice, model)
    assert (code, told.get("response")) == (0, "".join(WORDS))
    (came,) = provider.asked(text, path)
    tools = {tool.get("name") or tool["function"]["name"] for tool in came["body"]["tools"]}
    assert "read_file" in tools


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("who", "text", "model", "status"),
    [("alice", f"keep {AWS_KEY}", "gemini", 400), ("alice", "hello", "gemini-3", 403), ("bob", "hello", "gemini", 403)],
)
def test_a_refusal_is_said(
    proof: Proof, between: Between, ask: Any, who: str, text: str, model: str, status: int
) -> None:
    code, told = ask(text, proof.token(who, "--kind", "virtual-key"), model)
    assert code != 0
    assert {one.status for one in between.questions(PATH)} == {status}
    assert told["error"]["code"] == status


def test_with_a_wrong_key_nothing_is_asked(provider: Provider, between: Between, ask: Any) -> None:
    text = "a question with a wrong key"
    code, _ = ask(text, "sk-praxis-nonsense", "gemini")
    assert code != 0
    assert {one.status for one in between.passed} == {401}
    assert provider.asked(text, AT_GOOGLE) == []
