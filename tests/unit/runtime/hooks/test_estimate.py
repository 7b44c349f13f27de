"""What a request could take, before it is sent."""

from __future__ import annotations

import base64
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.hooks.estimate import ATTACHED_TOKENS, estimate

IMAGE = base64.b64encode(os.urandom(300_000)).decode()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


def asking(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": content}], **more}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"max_tokens": 9}, 9),
        ({"max_completion_tokens": 7, "max_tokens": 9}, 7),
        ({"max_output_tokens": 8}, 8),
        ({"generationConfig": {"maxOutputTokens": 6}}, 6),
        ({"generationConfig": {"max_output_tokens": 6}}, 6),
        ({"generationConfig": []}, None),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": "9"}, None),
        ({"max_tokens": -9}, None),
    ],
)
def test_what_it_allows_for_an_answer(given: dict[str, Any], expected: int | None) -> None:
    assert estimate(asking("hi", **given)).output_tokens == expected


@pytest.mark.parametrize(("n", "answers"), [(1, 1), (4, 4), (0, 1), (-3, 1), ("5", 1), (10**9, 1000)])
def test_the_number_of_answers(n: Any, answers: int) -> None:
    assert estimate(asking("hi", n=n)).answers == answers


@pytest.mark.parametrize(
    "attached",
    [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
        {"inlineData": {"mimeType": "image/png", "data": IMAGE}},
    ],
)
def test_an_image_is_not_counted_by_its_bytes(attached: dict[str, Any]) -> None:
    tokens = estimate(asking([{"type": "text", "text": "what is it?"}, attached])).input_tokens
    assert ATTACHED_TOKENS <= tokens <= ATTACHED_TOKENS + 160


@pytest.mark.parametrize("text", ["word " * 4000, "\u6f22\u5b57" * 4000])
def test_text_is_counted_whatever_its_writing(text: str) -> None:
    tokens = estimate(asking(text)).input_tokens
    assert len(text.encode()) / 3 <= tokens <= len(text.encode()) / 3 + 120


@given(JSON, JSON)
def test_more_in_a_request_never_takes_less(body: Any, more: Any) -> None:
    less = estimate({"messages": [body]}).input_tokens
    assert less <= estimate({"messages": [body, more]}).input_tokens
