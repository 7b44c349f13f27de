"""Reading requests and answers of both dialects: what was asked, what came back, how many tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime.contract import Tokens
from runtime.dialect import Dialect

MAX_TEXT = 32_768
"""Characters of a prompt or an answer that go into a trace."""


@dataclass
class Usage:
    """What an answer cost and said; filled while it passes."""

    input_tokens: int = 0
    """All of it, what a provider's cache held among it."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    text: str = ""
    model: str = ""
    tools: set[str] = field(default_factory=set)
    """Names of the tools that it calls; an empty one for a call without a name."""
    pieces: int = 0
    """Parts of the answer that have passed; of a stream, about one a token."""

    def add_text(self, text: object) -> None:
        """More of the answer."""
        if isinstance(text, str) and text:
            self.pieces += 1
            if len(self.text) < MAX_TEXT:
                self.text = (self.text + text)[:MAX_TEXT]

    def call(self, name: object) -> None:
        """It calls a tool."""
        self.tools.add(name if isinstance(name, str) else "")

    def estimate(self, sent_bytes: int, *, broken: bool) -> bool:
        """Fill in what an answer did not say, so that breaking off is not free; whether that was needed.

        Four bytes a token is what both vendors name as a rule of thumb for English.

        Args:
            sent_bytes: size of the request.
            broken: a stream ended before its last event: its count, if any, is an early one.
        """
        inputs = self.input_tokens or -(-sent_bytes // 4)
        outputs = max(self.output_tokens, self.pieces) if broken or not self.output_tokens else self.output_tokens
        guessed = (inputs, outputs) != (self.input_tokens, self.output_tokens)
        self.input_tokens, self.output_tokens = inputs, outputs
        return guessed

    def take(self, usage: object) -> None:
        """Token counts of either dialect; a count that comes again (as streams do) replaces the earlier one."""
        if not isinstance(usage, dict):
            return
        inputs = usage.get("prompt_tokens", usage.get("input_tokens"))
        outputs = usage.get("completion_tokens", usage.get("output_tokens"))
        if isinstance(inputs, int) and inputs > 0:
            read, written, beside = _cached(usage)
            self.input_tokens = inputs + (read + written if beside else 0)
            self.cache_read_tokens, self.cache_write_tokens = read, written
        if isinstance(outputs, int):
            self.output_tokens = max(outputs, self.output_tokens)

    def tokens(self) -> Tokens:
        """As the ledger counts it."""
        return Tokens(
            input=self.input_tokens,
            output=self.output_tokens,
            cache_read=self.cache_read_tokens,
            cache_write=self.cache_write_tokens,
        )


def _cached(usage: dict[str, Any]) -> tuple[int, int, bool]:
    """Input tokens read from and written to a cache, and whether they stand beside the other input.

    Anthropic counts them beside ``input_tokens``, OpenAI inside ``prompt_tokens``.
    """
    if "input_tokens" in usage:
        read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
        return _count(read), _count(written), True
    details = usage.get("prompt_tokens_details")
    return _count(details.get("cached_tokens")) if isinstance(details, dict) else 0, 0, False


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def read_answer(body: bytes, dialect: Dialect, usage: Usage) -> None:
    """Take counts and text out of a whole answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        return
    if not isinstance(answer, dict):
        return
    usage.take(answer.get("usage"))
    if dialect is Dialect.ANTHROPIC:
        for block in answer.get("content") or []:
            _anthropic_call(block, usage)
            usage.add_text(block.get("text") or (json.dumps(block) if block.get("type") == "tool_use" else ""))
        return
    for choice in answer.get("choices") or []:
        message = choice.get("message") or {}
        usage.add_text(message.get("content"))
        _openai_calls(message, usage)
        for call in message.get("tool_calls") or []:
            usage.add_text(json.dumps(call.get("function")))


def _anthropic_call(block: dict[str, Any], usage: Usage) -> None:
    """``tool_use``, and those of tools that the provider runs (``server_tool_use``, ``mcp_tool_use``)."""
    if str(block.get("type")).endswith("tool_use"):
        usage.call(block.get("name"))


def _openai_calls(message: dict[str, Any], usage: Usage) -> None:
    """``tool_calls``, of functions and of tools of the caller's own kind, and ``function_call``, as it was before."""
    for call in message.get("tool_calls") or []:
        name = (call.get("function") or call.get("custom") or {}).get("name")
        if name or call.get("id"):  # in a stream both come once, and what follows is arguments
            usage.call(name)
    if name := (message.get("function_call") or {}).get("name"):
        usage.call(name)


@dataclass
class Stream:
    """A stream of server-sent events, cut anywhere: whole events come out as soon as they are whole."""

    dialect: Dialect
    usage: Usage
    hide_usage: bool = False
    """Drop the chunk that holds only token counts: we asked for it, the client did not."""
    finished: bool = field(default=False, init=False)
    """Whether the event that ends the answer has come."""
    _rest: bytes = b""
    _blank: bytes = field(default=b"\n\n", init=False)

    def feed(self, chunk: bytes) -> bytes:
        """Whole events, ready to go on."""
        *events, self._rest = (self._rest + chunk.replace(b"\r\n", b"\n")).split(self._blank)
        out = b"".join(event + self._blank for event in events if self._pass(event))
        self.finished = self.finished or b"data: [DONE]" in out or b"event: message_stop" in out
        return out

    def end(self) -> bytes:
        """What is left when the stream ends."""
        rest, self._rest = self._rest, b""
        return rest

    def _pass(self, event: bytes) -> bool:
        for data in _data(event):
            self.usage.take(data.get("usage"))
            if self.dialect is Dialect.ANTHROPIC:
                self.usage.take((data.get("message") or {}).get("usage"))
                _anthropic_call(data.get("content_block") or {}, self.usage)
                delta = data.get("delta") or {}
                self.usage.add_text(delta.get("text") or delta.get("partial_json"))
                continue
            for choice in data.get("choices") or []:
                delta = choice.get("delta") or {}
                _openai_calls(delta, self.usage)
                self.usage.add_text(delta.get("content"))
            if self.hide_usage and data.get("usage") and not data.get("choices"):
                return False
        return True


def _data(event: bytes) -> Iterator[dict[str, Any]]:
    for line in event.split(b"\n"):
        if line.startswith(b"data:"):
            try:
                value = json.loads(line[5:])
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def prompt_text(body: dict[str, Any]) -> str:
    """The request's messages as JSON, for the trace (after the guard)."""
    shown = {key: body[key] for key in ("system", "messages") if key in body}
    return json.dumps(shown, ensure_ascii=False)[:MAX_TEXT]


def with_usage(body: dict[str, Any], dialect: Dialect) -> tuple[dict[str, Any], bool]:
    """The request so that a stream ends with token counts, and whether the client did not ask for them."""
    options = body.get("stream_options") or {}
    if dialect is Dialect.ANTHROPIC or not body.get("stream") or options.get("include_usage"):
        return body, False
    return {**body, "stream_options": {**options, "include_usage": True}}, True
