"""A provider on the tests' own network: Anthropic's, OpenAI's and Gemini's APIs as far as the gateway asks for them.

Runs in a container, with the standard library alone; answers over TLS under the vendors' names and writes down what
it was sent (``/tmp/seen.jsonl``), so that a test can say which credential arrived, and what else.
"""

from __future__ import annotations

import json
import ssl
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SEEN = Path("/tmp/seen.jsonl")
WORDS = ("Hello", " from", " the", " provider")
THINKS_S = 0.05
"""No provider answers at once. What comes within a millisecond the egress may drop: when its HTTP server (Go's) has not
yet seen the end of a large request, it closes the request, and the connection to the provider with it."""
COUNTED = 4321
OWNERS = {
    "Bearer sk-ant-oat01-proofcanaryU": "alice@example.com",
    "Bearer sk-ant-oat01-proofcanaryV": "somebody-else@example.com",
}
"""Whose the tokens of tests/proof.py are, by how they begin."""


class Provider(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    _pause_s = 0.01
    """After each event of a stream."""

    def do_GET(self) -> None:
        """Whose a token is; nothing else is looked up here."""
        self._note(None)
        shown = self.headers["authorization"] or ""
        owner = next((who for begin, who in OWNERS.items() if shown.startswith(begin)), None)
        if self.path != "/api/oauth/profile" or owner is None:
            self._whole({"type": "error", "error": {"type": "authentication_error", "message": "no"}}, status=401)
            return
        self._whole({"account": {"uuid": f"uuid-of-{owner}", "email": owner}, "organization": {"uuid": "uuid-of-us"}})

    def do_POST(self) -> None:
        """Answer in the dialect of the path."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self._note(body)
        time.sleep(THINKS_S)
        if "please fail" in json.dumps(body):
            self._whole({"error": {"type": "overloaded_error", "message": "overloaded"}}, status=529)
            return
        if "please refuse me" in json.dumps(body):
            self._whole({"type": "error", "error": {"type": "authentication_error", "message": "no such"}}, status=401)
            return
        if self.path.partition("?")[0] == "/v1/messages/count_tokens":
            self._whole({"input_tokens": COUNTED})
            return
        path = self.path.partition("?")[0]
        events, answer = SPOKEN[path]
        if body.get("stream") or path.endswith(":streamGenerateContent"):
            self._pause_s = 1.0 if "please go slowly" in json.dumps(body) else 0.01
            self._stream(events())
        else:
            self._whole(answer())

    def _note(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        with SEEN.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"path": self.path, "headers": headers, "body": body}) + "\n")

    def _whole(self, answer: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, events: list[str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in (*events, ""):
            self.wfile.write(f"{len(event.encode()):x}\r\n{event}\r\n".encode())
            self.wfile.flush()
            time.sleep(self._pause_s)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def anthropic_answer() -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "".join(WORDS)}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 4},
    }


def anthropic_events() -> list[str]:
    start = {
        **anthropic_answer(),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 10, "output_tokens": 1},
    }
    delta = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS
    ]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *delta,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def openai_answer() -> dict[str, Any]:
    message = {"role": "assistant", "content": "".join(WORDS)}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    }


def openai_events() -> list[str]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt"}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in WORDS
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    usage = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    chunks.append({**base, "choices": [], "usage": usage})
    return [*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]


def responses_answer() -> dict[str, Any]:
    said = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [said]}
    usage = {
        **{"input_tokens": 10, "input_tokens_details": {"cached_tokens": 6}},
        **{"output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 14},
    }
    return {
        **{"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt", "status": "completed"},
        **{"error": None, "incomplete_details": None, "instructions": None, "metadata": {}, "temperature": 1.0},
        **{"output": [message], "tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "top_p": 1.0},
        "usage": usage,
    }


def responses_events() -> list[str]:
    whole = responses_answer()
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    (message,) = whole["output"]
    (said,) = message["content"]
    part = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**message, "content": []}},
        {"type": "response.content_part.added", **part, "part": {**said, "text": ""}},
        *({"type": "response.output_text.delta", **part, "delta": word, "logprobs": []} for word in WORDS),
        {"type": "response.output_text.done", **part, "text": said["text"], "logprobs": []},
        {"type": "response.content_part.done", **part, "part": said},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
        {"type": "response.completed", "response": whole},
    ]
    return [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': number})}\n\n"
        for number, event in enumerate(events)
    ]


def gemini_answer() -> dict[str, Any]:
    said = {"role": "model", "parts": [{"text": "".join(WORDS)}]}
    counts = {"promptTokenCount": 10, "cachedContentTokenCount": 6, "candidatesTokenCount": 3, "thoughtsTokenCount": 1}
    return {
        "candidates": [{"content": said, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {**counts, "totalTokenCount": 14},
        "modelVersion": "gemini-2.5-flash",
        "responseId": "1",
    }


def gemini_events() -> list[str]:
    whole = gemini_answer()
    chunks = [
        {**whole, "candidates": [{"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}]}
        for word in WORDS
    ]
    chunks[-1]["candidates"][0]["finishReason"] = "STOP"
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]


SPOKEN: dict[str, tuple[Callable[[], list[str]], Callable[[], dict[str, Any]]]] = {
    "/v1/chat/completions": (openai_events, openai_answer),
    "/v1/responses": (responses_events, responses_answer),
    "/v1/messages": (anthropic_events, anthropic_answer),
    "/v1beta/models/gemini-2.5-flash:generateContent": (gemini_events, gemini_answer),
    "/v1beta/models/gemini-2.5-flash:streamGenerateContent": (gemini_events, gemini_answer),
}
"""Path -> the events of a stream, and the whole answer."""


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1])
    server = ThreadingHTTPServer(("0.0.0.0", 443), Provider)  # noqa: S104 - inside the tests' own network
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
