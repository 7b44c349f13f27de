"""Streams: guarded, counted and settled before their last event is sent."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.dialect import Dialect
from runtime.hooks.exchange import Stream
from runtime.hooks.usage import Usage
from tests.unit.runtime.hooks.gate_world import (
    CARD,
    CHAT,
    GEMINI,
    GEMINI_STREAM_PATH,
    MESSAGES,
    OPENAI_STREAM,
    RESPONSES,
    STREAMS,
    World,
    anthropic_sse,
    sse,
)


class TestStreams:
    @STREAMS
    @pytest.mark.parametrize("size", [1, 7, 64, 100_000])
    async def test_counted_however_it_is_cut(self, world: World, path: str, stream: bytes, size: int) -> None:
        world.upstream.chunks = [stream[i : i + size] for i in range(0, len(stream), size)]
        answer = await world.ask(path, stream=True)
        settled = world.custodian.only("settled")
        assert (settled["input_tokens"], settled["output_tokens"], settled["reason"]) == (21, 2, None)
        assert world.spans().attributes("model small")["output.value"] == "Hello"
        assert settled["cache_read_tokens"] == (8 if path in (RESPONSES, GEMINI) else 0), (
            "among the input, not beside it"
        )
        if path != CHAT:
            assert answer.content == stream

    async def test_the_count_that_only_we_asked_for_is_not_shown(self, world: World) -> None:
        world.upstream.chunks = [OPENAI_STREAM]
        answer = await world.ask(stream=True)
        assert world.upstream.asked[0][2]["stream_options"] == {"include_usage": True}
        assert b"usage" not in answer.content
        assert answer.content.endswith(b"data: [DONE]\n\n")
        answer = await world.ask(stream=True, stream_options={"include_usage": True})
        assert answer.content == OPENAI_STREAM

    @STREAMS
    async def test_settled_before_the_last_event_is_sent(self, world: World, path: str, stream: bytes) -> None:
        world.upstream.chunks = [stream]
        order: list[str] = []
        world.custodian.noted = order.append

        async def send(message: Any) -> None:
            lasts = (b"[DONE]", b"message_stop", b"response.completed", b"finishReason")
            if any(last in message.get("body", b"") for last in lasts):
                order.append("last event")

        body = {} if path == GEMINI else {"model": "small", "stream": True}
        sent = iter([{"type": "http.request", "body": json.dumps(body).encode()}])

        async def receive() -> Any:
            return next(sent)

        headers = [(name.encode(), value.encode()) for name, value in world.headers().items()]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": path, "headers": headers}
        if path == GEMINI:
            scope |= {"path": GEMINI_STREAM_PATH, "query_string": b"alt=sse"}
        await world.gate(scope, receive, send)
        assert order == ["/records/admitted", "/records/settled", "last event"]

    async def test_breaking_off_is_not_free(self, world: World) -> None:
        """A stream that ends before its token counts is counted by what has passed."""
        world.upstream.chunks = [sse(*({"choices": [{"delta": {"content": "x"}}]} for _ in range(9)), done=False)] * 2
        world.upstream.fails_after = 1
        await world.ask(text="y" * 400, stream=True)
        settled = world.custodian.only("settled")
        assert (settled["output_tokens"], settled["reason"]) == (9, "usage_estimated")
        assert settled["input_tokens"] >= 100

    async def test_an_early_count_is_not_the_last_word(self, world: World) -> None:
        start = {"type": "message_start", "message": {"usage": {"input_tokens": 21, "output_tokens": 1}}}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}
        world.upstream.chunks = [anthropic_sse(start, *[delta] * 9)] * 2
        world.upstream.fails_after = 1
        await world.ask(MESSAGES, stream=True)
        settled = world.custodian.only("settled")
        assert (settled["input_tokens"], settled["output_tokens"], settled["reason"]) == (21, 9, "usage_estimated")

    async def test_breaking_before_the_answer_is_a_refusal(self, world: World) -> None:
        async def broken(*_: Any) -> None:
            raise RuntimeError(CARD)

        object.__setattr__(world.gate, "app", broken)
        for path in (CHAT, RESPONSES, MESSAGES, GEMINI):
            answer = await world.ask(path)
            assert answer.status_code == 503
            assert CARD not in answer.text
        assert [body["status"] for what, body in world.custodian.told if what == "settled"] == [503] * 4

    @given(text=st.text(max_size=200), cuts=st.lists(st.integers(0, 400), max_size=12))
    def test_nothing_is_lost_in_cutting(self, text: str, cuts: list[int]) -> None:
        stream = sse({"choices": [{"delta": {"content": text}}]}, {"choices": [], "usage": {"prompt_tokens": 1}})
        usage = Usage()
        reader = Stream(Dialect.OPENAI, usage)
        edges = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
        out = b"".join(reader.feed(stream[a:b]) for a, b in itertools.pairwise(edges)) + reader.end()
        assert out == stream
        assert usage.text == text

    @given(chunks=st.lists(st.binary(max_size=60), max_size=10))
    def test_any_bytes_pass_unharmed(self, chunks: list[bytes]) -> None:
        for dialect in Dialect:
            reader = Stream(dialect, Usage())
            out = b"".join(reader.feed(chunk) for chunk in chunks) + reader.end()
            assert out.replace(b"\r\n", b"\n") == b"".join(chunks).replace(b"\r\n", b"\n")
