"""Codex with a key of the gateway's: the real client, through all layers, to the tests' own provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from runtime.clients import codex
from tests.between import Between
from tests.codex import Codex, installed
from tests.live.answering.test_requests import AWS_KEY, mlflow_trace
from tests.npm import or_skip
from tests.proof import OPENAI_KEY, Proof
from tests.provider import Provider
from tests.provider.server import WORDS

PATH = "/v1/responses"
INSIDE = ("x-praxis", "x-forwarded", "x-litellm", "x-codex", "traceparent", "cookie")


@pytest.fixture(scope="module")
def program() -> Path:
    return or_skip(installed)


@pytest.fixture
def ask(program: Path, tmp_path: Path, between: Between) -> Any:
    """One question with a key: exit code, and what the client says of it."""

    def asked(text: str, key: str, model: str) -> tuple[int, list[dict[str, Any]]]:
        return Codex(program, tmp_path).ask(text, codex(between.url), key, model)

    return asked


def said(told: list[dict[str, Any]]) -> str:
    """The answer among what it told."""
    items = [one["item"] for one in told if one["type"] == "item.completed"]
    return "".join(item["text"] for item in items if item["type"] == "agent_message")


def test_it_is_answered_recorded_and_traced(
    proof: Proof, provider: Provider, between: Between, alice: str, ask: Any
) -> None:
    text = "a question by Codex"
    code, told = ask(text, alice, "gpt")
    assert (code, said(told)) == (0, "".join(WORDS))
    (sent,), (came,) = between.questions(PATH), provider.asked(text, PATH)
    # What it tells of its own installation goes to no provider; all else goes as it was sent.
    assert came["body"] == {name: value for name, value in sent.body.items() if name != "client_metadata"}
    assert came["headers"]["authorization"] == f"Bearer {OPENAI_KEY}"
    assert not {name for name in came["headers"] if name.startswith(INSIDE)}
    trace = sent.answered["x-praxis-trace-id"]
    record = proof.receipt(trace)
    assert (record["name"], record["dialect"], record["model"]) == ("alice", "responses", "gpt")
    assert (record["state"], record["payer"], record["provider_calls"]) == ("settled", "company", 1)
    counted = [record[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens")]
    assert (counted, record["reason"]) == ([10, 6, 4], None)
    shown = mlflow_trace(trace)
    assert text in shown
    assert sent.headers["session-id"] in shown


def test_a_model_of_another_vendor_answers_it_too(proof: Proof, provider: Provider, alice: str, ask: Any) -> None:
    text = "a question by Codex to another vendor's model"
    code, told = ask(text, alice, "claude")
    assert (code, said(told)) == (0, "".join(WORDS))
    (came,) = provider.asked(text, "/v1/messages")
    assert "exec_command" in {tool.get("name") for tool in came["body"]["tools"]}


@pytest.mark.usefixtures("provider")
@pytest.mark.parametrize(
    ("who", "text", "model", "status"),
    [("alice", f"keep {AWS_KEY}", "gpt", 400), ("alice", "hello", "gpt-5", 403), ("bob", "hello", "gpt", 403)],
)
class TestRefusals:
    def test_it_says_so(
        self, proof: Proof, between: Between, ask: Any, who: str, text: str, model: str, status: int
    ) -> None:
        code, told = ask(text, proof.token(who, "--kind", "virtual-key"), model)
        assert code != 0
        statuses = [one.status for one in between.questions(PATH)]
        assert set(statuses) == {status}
        assert len(statuses) == (1 if status == httpx.codes.BAD_REQUEST else 6), "it tries all others again"
        assert any(one["type"] in ("error", "turn.failed") for one in told)


def test_with_a_wrong_key_nothing_is_asked(provider: Provider, between: Between, ask: Any) -> None:
    text = "a question with a wrong key"
    code, _ = ask(text, "sk-praxis-nonsense", "gpt")
    assert code != 0
    assert {one.status for one in between.passed} == {401}
    assert provider.asked(text, PATH) == []
