"""Gemini's API: the model and the method are in the path, and a request is a closed list of fields.

Source: "Generating content" and "Counting tokens" of the Gemini API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

from runtime.hooks.request import refused
from runtime.wire import GEMINI_METHODS, GEMINI_PREFIX, MODEL_NAME, TICKET_HEADER

_PATH = re.compile(f"{re.escape(GEMINI_PREFIX)}({MODEL_NAME}):({'|'.join(GEMINI_METHODS)})")
GENERATE, STREAM, COUNT = GEMINI_METHODS
FIELDS = ("contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig")
"""What a request may say. LiteLLM would take any other for a parameter of its own; ``cachedContent`` is a part of the
request that is kept at the provider, where nobody here sees it."""


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


_SPELLED: Mapping[str, str] = MappingProxyType({spelled: name for name in FIELDS for spelled in (name, _snake(name))})
"""Google's servers read both spellings of a field, and its documentation has both."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a path asks for."""

    model: str
    method: str

    @property
    def counting(self) -> bool:
        """Only the size of the request."""
        return self.method == COUNT


def asked(path: str) -> Asked | None:
    """What ``path`` asks for; ``None`` when it is not of this API."""
    found = _PATH.fullmatch(path)
    return found and Asked(model=found[1], method=found[2])


def checked(body: Mapping[str, Any], wanted: Asked, query: bytes) -> dict[str, Any]:
    """The request's fields, each as Google's reference spells it.

    Raises:
        RefusedError: it says what is not served here, or asks for a stream that is none of events.
    """
    inner = body.get("generateContentRequest") if wanted.counting else None
    if isinstance(inner, dict):
        body = {name: value for name, value in inner.items() if name != "model"}
    if foreign := sorted(set(body) - set(_SPELLED)):
        raise refused(400, "parameter_not_allowed", f"not served here: {', '.join(foreign)[:200]}")
    fields = {_SPELLED[name]: value for name, value in body.items()}
    if wanted.method == STREAM:
        if parse_qs(query.decode("latin-1")).get("alt") != ["sse"]:
            raise refused(400, "stream_of_events_only", "a stream comes as server-sent events alone: add ?alt=sse")
        if answers(fields) not in (None, 1):
            raise refused(400, "parameter_not_allowed", "candidateCount: a stream is one answer")
    return fields


def answers(body: Mapping[str, Any]) -> object:
    """How many answers it asks for."""
    return _configured(body, "candidateCount")


def most(body: Mapping[str, Any]) -> object:
    """How many tokens it allows for an answer."""
    return _configured(body, "maxOutputTokens")


def _configured(body: Mapping[str, Any], name: str) -> object:
    config = body.get("generationConfig")
    return config.get(name, config.get(_snake(name))) if isinstance(config, dict) else None


def with_ticket(body: Mapping[str, Any], ticket: str) -> dict[str, Any]:
    """The request as LiteLLM gets it: of the headers that came with one of this dialect, it hands on none by itself."""
    return {**body, "extra_headers": {TICKET_HEADER: ticket}}
