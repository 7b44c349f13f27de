"""What is put in place of LiteLLM's reshaping; that it takes effect, the live tests of Claude Code show."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runtime.hooks.untouched import as_sent

JSON: Any = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.lists(JSON), st.dictionaries(st.text().filter(lambda name: name not in ("model", "messages")), JSON))
def test_nothing_is_left_out_and_nothing_comes_in(messages: list[Any], rest: dict[str, Any]) -> None:
    made = as_sent(None, "claude", messages, rest, None, None)
    assert json.dumps(made) == json.dumps({"model": "claude", "messages": messages, **rest})
