"""Answers of each dialect, whole or event by event: what they say, which tools they call, how many tokens they took.

Sources: the API references of "Chat completions", "Responses" (OpenAI), "Messages" (Anthropic) and
"GenerateContentResponse" (Gemini).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from runtime.dialect import Dialect
from runtime.hooks.usage import Usage

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """``whole`` takes in a whole answer, ``event`` one of a stream's; the latter tells whether it is the last one."""

    whole: Callable[[Json, Usage], None]
    event: Callable[[Json, Usage], bool]


def _chat(answer: Json, usage: Usage) -> None:
    usage.take(answer.get("usage"))
    for choice in answer.get("choices") or []:
        message = choice.get("message") or {}
        usage.add_text(message.get("content"))
        _chat_calls(message, usage)
        for call in message.get("tool_calls") or []:
            usage.add_text(json.dumps(call.get("function")))


def _chat_event(data: Json, usage: Usage) -> bool:
    usage.take(data.get("usage"))
    for choice in data.get("choices") or []:
        delta = choice.get("delta") or {}
        _chat_calls(delta, usage)
        usage.add_text(delta.get("content"))
    return False  # what says so is no JSON


def _chat_calls(message: Json, usage: Usage) -> None:
    """``tool_calls``, of functions and of tools of the caller's own kind, and ``function_call``, as it was before."""
    for call in message.get("tool_calls") or []:
        name = (call.get("function") or call.get("custom") or {}).get("name")
        if name or call.get("id"):  # in a stream both come once, and what follows is arguments
            usage.call(name)
    if name := (message.get("function_call") or {}).get("name"):
        usage.call(name)


def _messages(answer: Json, usage: Usage) -> None:
    usage.take(answer.get("usage"))
    for block in answer.get("content") or []:
        _messages_call(block, usage)
        usage.add_text(block.get("text") or (json.dumps(block) if block.get("type") == "tool_use" else ""))


def _messages_event(data: Json, usage: Usage) -> bool:
    usage.take(data.get("usage"))
    usage.take((data.get("message") or {}).get("usage"))
    _messages_call(data.get("content_block") or {}, usage)
    delta = data.get("delta") or {}
    usage.add_text(delta.get("text") or delta.get("partial_json"))
    return data.get("type") == "message_stop"


def _messages_call(block: Json, usage: Usage) -> None:
    """``tool_use``, and those of tools that the provider runs (``server_tool_use``, ``mcp_tool_use``)."""
    if str(block.get("type")).endswith("tool_use"):
        usage.call(block.get("name"))


_SAID = frozenset(
    {"response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta"}
    | {"response.custom_tool_call_input.delta"}
)
"""Events with more of the answer."""
_OVER = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
"""Events after which none comes."""
_NAMED = frozenset({"function_call", "custom_tool_call", "mcp_call", "mcp_approval_request"})
"""Calls that say which tool they are for."""


def _responses(answer: Json, usage: Usage) -> None:
    usage.take(answer.get("usage"))
    for item in answer.get("output") or []:
        _responses_call(item, usage)
        for part in item.get("content") or []:
            usage.add_text(part.get("text") or part.get("refusal"))
        usage.add_text(item.get("arguments") or item.get("input"))


def _responses_event(data: Json, usage: Usage) -> bool:
    kind = data.get("type")
    if kind in _SAID:
        usage.add_text(data.get("delta"))
    _responses_call(data.get("item") or {}, usage)
    if kind not in _OVER:
        return False
    response = data.get("response") or {}
    usage.take(response.get("usage"))
    for item in response.get("output") or []:
        _responses_call(item, usage)
    return True


def _responses_call(item: Json, usage: Usage) -> None:
    """A tool of the provider's or of the client's own (``web_search_call``, ``local_shell_call``) has no name and is
    called as its kind is."""
    kind = str(item.get("type"))
    if kind in _NAMED:
        usage.call(item.get("name"))
    elif kind.endswith("_call"):
        usage.call(kind.removesuffix("_call"))


def _gemini(answer: Json, usage: Usage) -> None:
    counts = answer.get("usageMetadata") or {}
    usage.take(
        {
            "prompt_tokens": _sum(counts, "promptTokenCount", "toolUsePromptTokenCount"),
            "completion_tokens": _sum(counts, "candidatesTokenCount", "thoughtsTokenCount"),
            "prompt_tokens_details": {"cached_tokens": counts.get("cachedContentTokenCount")},
        }
    )
    for candidate in answer.get("candidates") or []:
        for part in (candidate.get("content") or {}).get("parts") or []:
            _gemini_part(part, usage)
        for told, tool in _GEMINI_TOOLS.items():
            if candidate.get(told):
                usage.call(tool)


def _gemini_part(part: Json, usage: Usage) -> None:
    usage.add_text(part.get("text"))
    if call := part.get("functionCall"):
        usage.call(call.get("name"))
        usage.add_text(json.dumps(call))
    if code := part.get("executableCode"):
        usage.call("code_execution")
        usage.add_text(code.get("code"))


_GEMINI_TOOLS = {"groundingMetadata": "google_search", "urlContextMetadata": "url_context"}
"""What a candidate tells of tools that the provider has run -> what the tool is called in a request."""


def _gemini_event(data: Json, usage: Usage) -> bool:
    """The last one says why each candidate ends, or why there is none, and how many tokens it took."""
    _gemini(data, usage)
    candidates = data.get("candidates") or []
    over = all(one.get("finishReason") for one in candidates) if candidates else bool(data.get("promptFeedback"))
    return over and bool(data.get("usageMetadata"))


def _sum(counts: Json, *names: str) -> int:
    return sum(count for count in map(counts.get, names) if isinstance(count, int))


READERS: Mapping[Dialect, Reader] = MappingProxyType(
    {
        Dialect.OPENAI: Reader(whole=_chat, event=_chat_event),
        Dialect.RESPONSES: Reader(whole=_responses, event=_responses_event),
        Dialect.ANTHROPIC: Reader(whole=_messages, event=_messages_event),
        Dialect.GEMINI: Reader(whole=_gemini, event=_gemini_event),
    }
)
