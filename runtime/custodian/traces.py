"""Ids of traces: one of every request."""

from __future__ import annotations

import secrets


def new_trace() -> str:
    """A W3C trace id: 32 hex digits (Trace Context, 3.2.2.3)."""
    return secrets.token_hex(16)
