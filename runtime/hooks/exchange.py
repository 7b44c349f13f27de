"""Reading requests and answers as they pass: what was asked, what came back, how many tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime.dialect import Dialect
from runtime.hooks.readers import READERS
from runtime.hooks.usage import MAX_TEXT, Usage


def read_answer(body: bytes, dialect: Dialect, usage: Usage) -> None:
    """Take counts and text out of a whole answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        return
    if isinstance(answer, dict):
        READERS[dialect].whole(answer, usage)


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
        self.finished = self.finished or b"data: [DONE]" in out
        return out

    def end(self) -> bytes:
        """What is left when the stream ends."""
        rest, self._rest = self._rest, b""
        return rest

    def _pass(self, event: bytes) -> bool:
        for data in _data(event):
            self.finished = READERS[self.dialect].event(data, self.usage) or self.finished
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


SHOWN = ("system", "messages", "instructions", "input", "systemInstruction", "contents")
"""Where requests say what they say, whatever their dialect."""


def prompt_text(body: dict[str, Any]) -> str:
    """The request's messages as JSON, for the trace (after the guard)."""
    shown = {key: body[key] for key in SHOWN if key in body}
    return json.dumps(shown, ensure_ascii=False)[:MAX_TEXT]


def with_usage(body: dict[str, Any], dialect: Dialect) -> tuple[dict[str, Any], bool]:
    """The request so that a stream ends with token counts, and whether the client did not ask for them."""
    options = body.get("stream_options") or {}
    if dialect is not Dialect.OPENAI or not body.get("stream") or options.get("include_usage"):
        return body, False
    return {**body, "stream_options": {**options, "include_usage": True}}, True
