"""What the input guard does to a body of either dialect."""

from __future__ import annotations

import base64
import copy
import json
import threading
from typing import Any

import pytest

from runtime.contract import CATEGORIES, GuardAction, GuardCategory, GuardPolicy
from runtime.guards import Finding, Guard, Outcome, refusal
from runtime.guards.scanner import Scanner

SALT = b"salt of the tests"
MASK_ALL = GuardPolicy(**dict.fromkeys(CATEGORIES, GuardAction.MASK))
ALNUM = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1vW2xY3zA4bC5"
HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard()


def openai(value: str) -> dict[str, Any]:
    return {
        "model": "gpt-4o",
        "stream": True,
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": f"Customer {value}."},
            {"role": "user", "content": [{"type": "text", "text": f"pay {value} now"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "pay", "arguments": json.dumps({"n": [value]})},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": f"done\\n{value}"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "pay", "description": f"as {value} does", "parameters": {}}}
        ],
    }


def anthropic(value: str) -> dict[str, Any]:
    return {
        "model": "claude-x",
        "max_tokens": 10,
        "system": [{"type": "text", "text": f"Customer {value}.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": f"pay {value} now"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "pay", "signature": "c2lnbmF0dXJl" * 20},
                    {
                        "type": "tool_use",
                        "id": "toolu_1",
                        "name": "pay",
                        "input": {"type": value, "deep": [{"id": value}]},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": value}]},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": f"<{value}>"},
                ],
            },
        ],
        "tools": [{"name": "pay", "input_schema": {"type": "object", "properties": {"type": {"type": "string"}}}}],
    }


PLAIN: dict[GuardCategory, str] = {
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ssn": "219-09-9999",
    "email": "alice@example.com",
    "phone": "+49 30 901820",
    "credential": f"ghp_{ALNUM[:36]}",
}


@pytest.mark.parametrize(("dialect", "places"), [(openai, 5), (anthropic, 6)])
@pytest.mark.parametrize("category", CATEGORIES)
def test_masks_every_place(guard: Guard, dialect: Any, places: int, category: GuardCategory) -> None:
    body = dialect(PLAIN[category])
    before = copy.deepcopy(body)
    outcome = guard.apply(body, MASK_ALL, SALT)
    assert (outcome.verdict, outcome.findings) == ("masked", {category: places})
    assert body == before
    assert PLAIN[category] not in json.dumps(outcome.body)
    mask = f"[{category}:"
    assert json.dumps(outcome.body).count(mask) == places
    if dialect is openai:
        json.loads(outcome.body["messages"][2]["tool_calls"][0]["function"]["arguments"])
        assert outcome.body["messages"][0]["content"].startswith(f"Customer {mask}")
    assert outcome.body["tools"] is body["tools"] or dialect is openai


@pytest.mark.parametrize("dialect", [openai, anthropic])
def test_the_default_policy(guard: Guard, dialect: Any) -> None:
    policy = GuardPolicy()
    for category, value in PLAIN.items():
        body = dialect(value)
        outcome = guard.apply(body, policy, SALT)
        expected = {GuardAction.ALLOW: "clean", GuardAction.MASK: "masked", GuardAction.BLOCK: "blocked"}
        assert outcome.verdict == expected[policy.action(category)]
        if outcome.verdict != "masked":
            assert outcome.body is body
        assert set(outcome.findings) == (set() if outcome.verdict == "clean" else {category})


@pytest.mark.parametrize("dialect", [openai, anthropic])
def test_nothing_to_find_gives_the_same_object(guard: Guard, dialect: Any) -> None:
    body = dialect("nobody")
    outcome = guard.apply(body, MASK_ALL, SALT)
    assert outcome == Outcome("clean", {}, body)
    assert outcome.body is body


def test_an_allowed_category_hides_nothing(guard: Guard) -> None:
    body = {"messages": [{"role": "user", "content": "a@b.co 4111111111111111 +49 30 901820"}]}
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert outcome.findings == {"card": 1}
    assert outcome.body["messages"][0]["content"].startswith("a@b.co [card:")


def test_one_block_leaves_the_body_as_it_was(guard: Guard) -> None:
    body = {
        "messages": [{"role": "user", "content": f"4111111111111111 219-09-9999 AKIAIOSFODNN7EXAMPLE ghp_{ALNUM[:36]}"}]
    }
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert outcome.verdict == "blocked"
    assert outcome.body is body
    message = refusal(outcome)
    assert "credential (2), card (1), ssn (1)" in message
    assert not any(value in message for value in ("4111", "219", "AKIA", "ghp_"))
    assert "4111" not in repr(outcome)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "the card is 4111111111111111", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "plain 4111111111111111"},
    ],
)
def test_signed_blocks_are_never_edited(guard: Guard, block: dict[str, str]) -> None:
    body = {"messages": [{"role": "assistant", "content": [block]}, {"role": "user", "content": "219-09-9999"}]}
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert (outcome.verdict, outcome.findings) == ("blocked", {"card": 1, "ssn": 1})
    assert outcome.body is body


def test_media_are_not_read(guard: Guard) -> None:
    data = base64.b64encode(bytes(range(255))).decode() + "AKIAIOSFODNN7EXAMPLE/4111111111111111/"
    body = {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
                    {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
                    {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}},
                ],
            }
        ]
    }
    assert guard.apply(body, MASK_ALL, SALT).body is body


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "4111 1111 1111 1111"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "4111 1111 1111 1111"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/?card=4111111111111111"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64, 4111 1111 1111 1111"}},
        {"type": "text", "id": "my card is 4111 1111 1111 1111", "text": ""},
        {"type": "tool_use", "name": "n", "input": {"4111 1111 1111 1111": 1}},
        {"type": "tool_use", "name": "n", "input": {"card": 4111111111111111}},
        {"type": "something_new", "x": {"y": [["4111 1111 1111 1111"]]}},
        {"type": "tool_use", "name": "n", "input": {"type": "thinking", "x": "4111 1111 1111 1111"}},
    ],
)
def test_what_only_looks_like_structure_is_read(guard: Guard, part: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [part]}]}
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert (outcome.verdict, outcome.findings) == ("masked", {"card": 1})
    assert "1111" not in json.dumps(outcome.body)


def test_ids_and_names_of_the_protocol_stay(guard: Guard) -> None:
    body = {
        "model": "4111111111111111",
        "messages": [{"role": "tool", "tool_call_id": "4111111111111111", "content": "x"}],
    }
    assert guard.apply(body, MASK_ALL, SALT).body is body


def test_a_number_outside_a_tools_input_stays(guard: Guard) -> None:
    body = {"seed": 4111111111111111, "messages": []}
    assert guard.apply(body, MASK_ALL, SALT).body is body


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ({"ssn": "219099999"}, "219099999"),
        ({"ssn": 219099999}, "219099999"),
        ({"aws_secret_access_key": ALNUM[:40]}, ALNUM[:40]),
        ({"card": 4111111111111111}, "4111111111111111"),
        ({"note": "\u2603\n4111111111111111"}, "4111111111111111"),
    ],
)
def test_a_key_may_tell_what_its_value_is(guard: Guard, arguments: dict[str, Any], left: str) -> None:
    for body in (
        {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": json.dumps(arguments)}}]},
        {"content": [{"type": "tool_use", "name": "f", "input": arguments}]},
    ):
        outcome = guard.apply(body, MASK_ALL, SALT)
        assert outcome.verdict == "masked"
        assert left not in json.dumps(outcome.body)
        if "tool_calls" in body:
            assert set(json.loads(outcome.body["tool_calls"][0]["function"]["arguments"])) == set(arguments)


def test_arguments_that_are_no_json(guard: Guard) -> None:
    body = {"function": {"arguments": '{"card": "4111111111111111"'}}
    assert guard.apply(body, MASK_ALL, SALT).body["function"]["arguments"].startswith('{"card": "[card:')


def test_masks_depend_on_salt_category_and_value_only(guard: Guard) -> None:
    def masked(text: str, salt: bytes = SALT) -> str:
        return str(guard.apply({"text": text}, MASK_ALL, salt).body["text"])

    assert masked("4111111111111111") == masked("4111111111111111")
    assert masked("4111111111111111") != masked("4111111111111111", b"another")
    assert masked("4111111111111111") != masked("5555555555554444")


def test_an_error_inside_comes_out(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Finding:
        raise RuntimeError("broken")

    monkeypatch.setattr(Scanner, "scan", broken)
    with pytest.raises(RuntimeError, match="broken"):
        guard.apply({"text": "hello there"}, MASK_ALL, SALT)


def test_threads_share_one_guard(guard: Guard) -> None:
    body = anthropic(PLAIN["card"])
    expected = guard.apply(body, MASK_ALL, SALT)
    results: list[Outcome] = []

    def work() -> None:
        results.extend(guard.apply(body, MASK_ALL, SALT) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 400
    assert all(result == expected for result in results)
