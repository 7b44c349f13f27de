"""The list of models that a caller may ask, in the form that its vendor's clients read.

Sources: "List models" of OpenAI's and of Anthropic's API reference. LiteLLM's own list knows nothing of what a virtual
key is for, and has one form for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runtime.dialect import Dialect

OWNER = "praxis"
_UNKNOWN = {Dialect.OPENAI: 0, Dialect.ANTHROPIC: "1970-01-01T00:00:00Z"}
"""When a model was made: clients want a time, and nobody knows one."""


def spoken(headers: Mapping[str, str]) -> Dialect:
    """Whose clients ask: the path is the same, and Anthropic's always say which version they speak."""
    return Dialect.ANTHROPIC if "anthropic-version" in headers else Dialect.OPENAI


def listed(models: Iterable[str], dialect: Dialect) -> dict[str, Any]:
    """All of ``models`` on one page."""
    names, made = list(models), _UNKNOWN[dialect]
    if dialect is Dialect.OPENAI:
        data: list[dict[str, Any]] = [
            {"id": name, "object": "model", "created": made, "owned_by": OWNER} for name in names
        ]
        return {"object": "list", "data": data}
    data = [{"type": "model", "id": name, "display_name": name, "created_at": made} for name in names]
    first, last = (names[0], names[-1]) if names else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}
