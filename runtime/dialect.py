"""Refusals in the caller's own dialect: the error bodies that the vendors' clients understand.

Sources: the "Errors" pages of OpenAI's and Anthropic's API references, "Streaming events" of OpenAI's Responses API,
and for Gemini ``google.rpc.Code`` and ``google.rpc.ErrorInfo`` (AIP-193).
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from runtime.wire import ENROLMENT_PREFIX, GEMINI_PREFIX, RESPONSES_PATH

TRACE_HEADER = "x-praxis-trace-id"
DOMAIN = "praxis"
"""Whose reasons they are, where Gemini's clients are told one."""
UNKNOWN_KEY = "unknown_key"
"""Reason of a refusal: LiteLLM does not know the subject's key (its database is new). The custodian makes it again at
the next request."""


_ENROLMENT = re.compile(f"^{ENROLMENT_PREFIX}(?=/)")


class Dialect(StrEnum):
    """How a caller speaks, told by the path it asks for."""

    OPENAI = "openai"
    """Chat completions."""
    RESPONSES = "responses"
    """OpenAI's Responses API: other requests, answers and streams, the same errors."""
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"


def dialect_of(path: str) -> Dialect:
    """Anthropic's for ``/v1/messages`` and what is below it, Gemini's below ``/v1beta/models``, that of OpenAI's
    Responses API for its path, OpenAI's for everything else. An enrolment's path counts without its beginning."""
    bare = _ENROLMENT.sub("", path.split("?", 1)[0])
    if bare == RESPONSES_PATH:
        return Dialect.RESPONSES
    if bare.startswith(GEMINI_PREFIX):
        return Dialect.GEMINI
    return Dialect.ANTHROPIC if bare == "/v1/messages" or bare.startswith("/v1/messages/") else Dialect.OPENAI


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}
_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
_GEMINI_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
FINAL = frozenset({400, 401, 403, 404, 413})
"""Statuses of refusals that a retry cannot change."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A request that is refused. ``code`` is a short machine-readable reason; ``message`` is for a person."""

    status: int
    code: str
    message: str
    retry: bool | None = None
    """Whether a client should try again; ``None`` means what the status says."""

    def body(self, dialect: Dialect) -> dict[str, Any]:
        """The error body."""
        if dialect is Dialect.ANTHROPIC:
            kind = _ANTHROPIC_TYPES.get(self.status, "api_error")
            return {"type": "error", "error": {"type": kind, "message": self.message}}
        if dialect is Dialect.GEMINI:
            status = _GEMINI_STATUSES.get(self.status, "INTERNAL")
            why = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": self.code.upper(), "domain": DOMAIN}
            return {"error": {"code": self.status, "message": self.message, "status": status, "details": [why]}}
        kind = _OPENAI_TYPES.get(self.status, "server_error")
        return {"error": {"message": self.message, "type": kind, "param": None, "code": self.code}}

    def headers(self, trace: str) -> dict[str, str]:
        """Headers of the answer. ``x-should-retry`` is what both vendors' clients obey."""
        retry = self.status not in FINAL if self.retry is None else self.retry
        headers = {TRACE_HEADER: trace, "content-type": "application/json", "x-should-retry": str(retry).lower()}
        return headers | ({"www-authenticate": "Bearer"} if self.status == 401 else {})

    def encoded(self, dialect: Dialect) -> bytes:
        """The error body as bytes."""
        return json.dumps(self.body(dialect)).encode()

    def last_event(self, dialect: Dialect, trace: str) -> bytes:
        """The event that ends a stream which may not go on."""
        if dialect is Dialect.RESPONSES:
            # Its codes are a closed list; by this one a client knows that the same request will fail again.
            code = "invalid_prompt" if self.status in FINAL else "server_error"
            response = {
                **{"id": f"resp_{trace}", "object": "response", "created_at": int(time.time()), "model": ""},
                **{"status": "failed", "error": {"code": code, "message": self.message}, "usage": None},
                **{"output": [], "tools": [], "tool_choice": "none", "parallel_tool_calls": False},
            }
            event = {"type": "response.failed", "response": response}
            return b"event: response.failed\ndata: " + json.dumps(event).encode() + b"\n\n"
        if dialect is Dialect.GEMINI:
            return self.encoded(dialect)  # no event: so Google's servers break off, and so its clients look for it
        name = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
        return name + b"data: " + self.encoded(dialect) + b"\n\n"
