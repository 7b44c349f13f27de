"""Refusals as answers over HTTP."""

from __future__ import annotations

from starlette.responses import Response

from runtime.dialect import Dialect, Refusal


def answer(refusal: Refusal, dialect: Dialect, trace: str) -> Response:
    """The refusal in the caller's dialect."""
    return Response(refusal.encoded(dialect), refusal.status, refusal.headers(trace))
