"""Reading a request: its body within limits, which model, which session; and what a caller may not say to LiteLLM."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from runtime.dialect import Dialect, Refusal

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

HARNESS = re.compile(
    r"api_(?:key|base|version|type)|base_url|organization|custom_llm_provider|model_list|.*fallbacks|mock_.*"
    r"|litellm_.*|guardrails?|disable_.*|no-log|cache|proxy_server_request|user_api_key.*|num_retries|max_retries"
    r"|tags|prompt_(?:id|variables)|(?:input|output)_cost_per_.*|extra_(?:headers|body|query)|(?:aws|azure|vertex|gcs|s3)_.*|use_in_pass_through"
    r"|use_chat_completions_api"
)
"""Parameters that LiteLLM would take for itself: where a request goes, with which key, at what price, past which guard.
None of them belongs to OpenAI's or Anthropic's API."""

ELSEWHERE = ("previous_response_id", "conversation", "prompt")
"""Parameters of OpenAI's Responses API by which a part of the request, or all of it, is kept at the provider: nobody
here could say what it is, whose it is, or what it costs."""

SESSION_HEADERS = ("x-claude-code-session-id", "session-id", "x-session-id")
"""Claude Code's, Codex', and anybody's."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,99}")


class RefusedError(Exception):
    """The request is refused here."""

    def __init__(self, refusal: Refusal, guards: dict[str, Any] | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.guards = guards or {}


def refused(status: int, code: str, message: str) -> RefusedError:
    """A refusal to raise."""
    return RefusedError(Refusal(status=status, code=code, message=message))


async def read_body(receive: Receive, max_bytes: int, dialect: Dialect) -> dict[str, Any]:
    """The JSON object that the client sent.

    Raises:
        RefusedError: too large, not a JSON object, or one that says what only the gateway may say, or that is not the
            whole request.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise refused(400, "disconnected", "the request ended early")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
        size += len(parts[-1])
        if size > max_bytes:
            raise refused(413, "request_too_large", f"the request is larger than {max_bytes // 2**20} MiB")
    try:
        body = json.loads(b"".join(parts))
        # A lone surrogate is valid JSON and no text: nothing behind could hash, scan or send it.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise refused(400, "invalid_json", "the body must be a JSON object")
    foreign = sorted(name for name in body if HARNESS.fullmatch(name))
    if foreign:
        raise refused(400, "parameter_not_allowed", f"only the gateway itself may set: {', '.join(foreign)[:200]}")
    if dialect is Dialect.RESPONSES:
        _whole(body)
    _tools(body.get("tools"))
    return body


def _whole(body: Mapping[str, Any]) -> None:
    """The request is all there, and its answer comes now."""
    elsewhere = [name for name in ELSEWHERE if body.get(name) is not None]
    if elsewhere:
        text = f"send the whole conversation as input: {', '.join(elsewhere)} is not served here"
        raise refused(400, "parameter_not_allowed", text)
    if body.get("background"):
        raise refused(400, "parameter_not_allowed", "background is not served here: wait for the answer, or stream it")


def _tools(tools: object) -> None:
    """LiteLLM would take a server without a web address for one of its own, and call its tools itself."""
    for tool in tools if isinstance(tools, list) else []:
        server = tool.get("server_url") if isinstance(tool, dict) else None
        if server is not None and not (isinstance(server, str) and server.startswith("https://")):
            raise refused(400, "parameter_not_allowed", "a tool's server_url must begin with https://")


def named(value: object, finds: Callable[[str], object]) -> str:
    """``value`` if it can stand in a record or a trace as a name; ``-`` if it could be content.

    Args:
        finds: tells whether the guard finds something in a text.
    """
    return value if isinstance(value, str) and _NAME.fullmatch(value) and not finds(value) else "-"


def session(body: Mapping[str, Any], headers: Mapping[str, str]) -> object:
    """What the client calls its session (it groups requests, it identifies nobody)."""
    metadata = body.get("metadata")
    inside = metadata.get("session_id") if isinstance(metadata, dict) else None
    return next((headers[name] for name in SESSION_HEADERS if headers.get(name)), inside)
