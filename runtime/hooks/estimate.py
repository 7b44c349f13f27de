"""What a request could take, before it is sent: for it so much is reserved of its subject's budget.

Rather too much than too little: what is not used is given back when the answer ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from runtime.contract import Estimate
from runtime.hooks import gemini

BYTES_A_TOKEN = 3
"""Fewer than the four of English prose: code, JSON and other languages take more tokens."""
ADDED_TOKENS = 64
"""For what the model's own template puts around the messages."""
MOST_ANSWERS = 1000
TOOLS_TOKENS = 512
"""For what vendors tell the model when it is given tools (Anthropic's "Tool use" page: 346 to 496)."""
ATTACHED_TOKENS = 2000
"""For an image or a document that is sent along: vendors scale images down to less than this."""
_DATA = re.compile(r"data:|[A-Za-z0-9+/_=-]{1024}")
"""How a string begins that is encoded data and no text."""


def estimate(body: Mapping[str, Any]) -> Estimate:
    """Of a request, after the guard.

    Raises:
        ValidationError: it asks for more output than can be recorded.
    """
    asked = [body.get(name) for name in ("max_completion_tokens", "max_tokens", "max_output_tokens")]
    asked.append(gemini.most(body))
    most = next((value for value in asked if isinstance(value, int) and value >= 0), None)
    answers = body.get("n", gemini.answers(body))
    return Estimate(
        input_tokens=_tokens(body) + ADDED_TOKENS + (TOOLS_TOKENS if body.get("tools") else 0),
        output_tokens=most,
        answers=min(answers, MOST_ANSWERS) if isinstance(answers, int) and answers > 0 else 1,
    )


def _tokens(value: object) -> int:
    """Of everything in a request: names of keys count, as they do where tools are declared."""
    if isinstance(value, str):
        return ATTACHED_TOKENS if _DATA.match(value) else -(-len(value.encode()) // BYTES_A_TOKEN)
    if isinstance(value, Mapping):
        return sum(_tokens(key) + _tokens(each) for key, each in value.items())
    if isinstance(value, list):
        return sum(map(_tokens, value))
    return 1
