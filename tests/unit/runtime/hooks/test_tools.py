"""An answer that calls a tool outside the list is not given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.contract import Policies, resolve
from tests.unit.runtime.hooks.gate_world import (
    CHAT,
    EACH,
    GEMINI,
    MESSAGES,
    RESPONSES,
    World,
    anthropic_sse,
    plain_answer,
    refusal,
    responses_sse,
    sse,
)
from tests.unit.runtime.realm import POLICIES


def allowing(*tools: str) -> Policies:
    raw = POLICIES.model_dump(mode="json")
    raw["subjects"]["alice"] = {"tools": tools}
    return Policies.model_validate(raw)


@pytest.fixture
def asked(world: World) -> Any:
    """Asks as alice, who may use ``search`` alone."""
    policies = allowing("search")
    policy = resolve(policies, role="engineer", department="research", subject="alice").digest()
    object.__setattr__(world.gate, "policies", policies)

    async def ask(path: str, **body: Any) -> Any:
        return await world.ask(path, headers=world.headers(policy=policy), **body)

    return ask


def answer(path: str, *tools: str) -> Any:
    whole = plain_answer(path)
    if path == MESSAGES:
        whole["content"] += [{"type": "tool_use", "id": "t", "name": name, "input": {}} for name in tools]
    elif path == RESPONSES:
        whole["output"] += [
            {"type": "function_call", "call_id": "t", "name": name, "arguments": "{}"} for name in tools
        ]
    elif path == GEMINI:
        whole["candidates"][0]["content"]["parts"] += [{"functionCall": {"name": name, "args": {}}} for name in tools]
    else:
        whole["choices"][0]["message"]["tool_calls"] = [
            {"id": "t", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in tools
        ]
    return whole


def stream(path: str, tool: str) -> bytes:
    if path == MESSAGES:
        return anthropic_sse(
            {"type": "message_start", "message": {"usage": {"input_tokens": 21, "output_tokens": 1}}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": tool}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
            {"type": "message_stop"},
        )
    if path == RESPONSES:
        call = {"type": "function_call", "call_id": "t", "name": tool, "arguments": ""}
        usage = {"input_tokens": 21, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 9}
        return responses_sse(
            {"type": "response.created", "response": {"status": "in_progress", "output": [], "usage": None}},
            {"type": "response.output_text.delta", "delta": "Hello"},
            {"type": "response.output_item.added", "output_index": 1, "item": call},
            {"type": "response.function_call_arguments.delta", "delta": "{}"},
            {"type": "response.completed", "response": {"status": "completed", "output": [call], "usage": usage}},
        )
    if path == GEMINI:
        counts = {"promptTokenCount": 21, "candidatesTokenCount": 9}
        part = {"functionCall": {"name": tool, "args": {}}}
        return sse(
            {"candidates": [{"content": {"parts": [{"text": "Hello"}]}}], "usageMetadata": counts},
            {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}], "usageMetadata": counts},
            done=False,
        )
    first = {"index": 0, "id": "t", "type": "function", "function": {"name": tool, "arguments": ""}}
    rest = {"index": 0, "id": None, "function": {"name": None, "arguments": "{}"}}
    return sse(
        {"choices": [{"delta": {"content": "Hello"}}]},
        {"choices": [{"delta": {"tool_calls": [first]}}]},
        {"choices": [{"delta": {"tool_calls": [rest]}}]},
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
        {"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 9}},
    )


@EACH
@pytest.mark.parametrize(("tools", "good"), [((), True), (("search",), True), (("search", "shell"), False)])
async def test_a_whole_answer(world: World, asked: Any, path: str, tools: tuple[str, ...], good: bool) -> None:
    world.upstream.content = answer(path, *tools)
    given = await asked(path)
    settled = world.custodian.only("settled")
    if good:
        assert given.json() == world.upstream.content
        assert settled["reason"] is None
        return
    assert refusal(given, path) == (403, "permission_error" if path == MESSAGES else "tool_not_allowed")
    assert "shell" not in given.text
    assert (settled["status"], settled["reason"], settled["output_tokens"]) == (403, "tool_not_allowed", 5)


@EACH
@pytest.mark.parametrize("size", [1, 40, 100_000])
async def test_a_stream_is_cut_before_the_call(world: World, asked: Any, path: str, size: int) -> None:
    whole = stream(path, "shell")
    world.upstream.chunks = [whole[i : i + size] for i in range(0, len(whole), size)]
    given = await asked(path, stream=True)
    assert "shell" not in given.text
    last = given.content.removesuffix(b"\n\n").split(b"\n\n")[-1]
    said = json.loads(last if path == GEMINI else last.split(b"data: ")[1])
    error = said["response"]["error"] if path == RESPONSES else said["error"]
    assert error["message"].startswith("the answer calls a tool")
    assert world.custodian.only("settled")["reason"] == "tool_not_allowed"


@EACH
async def test_a_stream_that_calls_what_is_allowed(world: World, asked: Any, path: str) -> None:
    world.upstream.chunks = [stream(path, "search")]
    given = await asked(path, stream=True)
    assert "search" in given.text
    assert world.custodian.only("settled")["reason"] is None


@pytest.mark.parametrize(
    "message",
    [
        {"tool_calls": [{"id": "t", "type": "custom", "custom": {"name": "shell", "input": "rm"}}]},
        {"tool_calls": [{"id": "t", "type": "unheard-of"}]},
        {"function_call": {"name": "shell", "arguments": "{}"}},
    ],
)
async def test_other_ways_to_call(world: World, asked: Any, message: Any) -> None:
    world.upstream.content = {**plain_answer(CHAT), "choices": [{"message": {"content": "", **message}}]}
    assert refusal(await asked(CHAT), CHAT) == (403, "tool_not_allowed")


@pytest.mark.parametrize("kind", ["server_tool_use", "mcp_tool_use"])
async def test_tools_that_the_provider_runs(world: World, asked: Any, kind: str) -> None:
    world.upstream.content = answer(MESSAGES)
    world.upstream.content["content"].append({"type": kind, "name": "web_search", "input": {}})
    assert refusal(await asked(MESSAGES), MESSAGES) == (403, "permission_error")


@pytest.mark.parametrize(
    ("item", "good"),
    [
        ({"type": "custom_tool_call", "name": "shell", "input": "rm"}, False),
        ({"type": "custom_tool_call", "name": "search", "input": "x"}, True),
        ({"type": "function_call", "arguments": "{}"}, False),
        ({"type": "mcp_call", "name": "shell", "server_label": "files"}, False),
        ({"type": "mcp_approval_request", "name": "shell"}, False),
        ({"type": "web_search_call", "status": "completed"}, False),
        ({"type": "search_call", "status": "completed"}, True),
        ({"type": "local_shell_call", "action": {}}, False),
        ({"type": "reasoning", "summary": []}, True),
    ],
)
async def test_calls_among_the_items_of_a_response(world: World, asked: Any, item: Any, good: bool) -> None:
    world.upstream.content = {**plain_answer(RESPONSES), "output": [item]}
    given = await asked(RESPONSES)
    assert given.status_code == 200 if good else refusal(given, RESPONSES) == (403, "tool_not_allowed")
    world.upstream.chunks = [responses_sse({"type": "response.completed", "response": {"output": [item]}})]
    given = await asked(RESPONSES, stream=True)
    assert (b"response.failed" in given.content) is not good


@pytest.mark.parametrize(
    ("candidate", "good"),
    [
        ({"content": {"parts": [{"functionCall": {"name": "search", "args": {}}}]}}, True),
        ({"content": {"parts": [{"functionCall": {"args": {}}}]}}, False),
        ({"content": {"parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}]}}, False),
        ({"content": {"parts": [{"text": "x"}]}, "groundingMetadata": {"webSearchQueries": ["x"]}}, False),
        ({"content": {"parts": [{"text": "x"}]}, "urlContextMetadata": {"urlMetadata": [{}]}}, False),
        ({"content": {"parts": [{"text": "x", "thought": True}]}, "groundingMetadata": {}}, True),
    ],
)
async def test_calls_in_a_candidate(world: World, asked: Any, candidate: Any, good: bool) -> None:
    world.upstream.content = {**plain_answer(GEMINI), "candidates": [candidate]}
    given = await asked(GEMINI)
    assert given.status_code == 200 if good else refusal(given, GEMINI) == (403, "tool_not_allowed")


@EACH
async def test_without_a_list_any_tool_is_good(world: World, path: str) -> None:
    world.upstream.content = answer(path, "shell")
    assert (await world.ask(path)).status_code == 200
