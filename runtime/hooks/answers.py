"""LiteLLM's refusals, in the words and with the status that the caller's dialect has for them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from runtime.dialect import UNKNOWN_KEY, Refusal

_OF_THE_PROVIDER = "litellm.authenticationerror"
"""How LiteLLM tells a provider's 401 from its own, in lower case."""


def reworded(status: int, content: bytes, *, own_account: bool = False, asked_directly: bool = False) -> Refusal:
    """The refusal that stands for LiteLLM's error answer.

    Args:
        own_account: the caller's own account pays, so it can do something about a credential that is not taken.
        asked_directly: the answer is the provider's and not LiteLLM's.
    """
    message, code = _said(content)
    lower = f"{code} {message}".lower()
    if status == 401 and (asked_directly or _OF_THE_PROVIDER in lower):
        if own_account:
            return Refusal(status=401, code="sign_in_refused", message="the provider does not take your sign-in")
        text = "the provider does not take the credential for this model"
        return Refusal(status=503, code="provider_credential_refused", message=text, retry=False)
    if status == 401:
        return Refusal(
            status=503, code=UNKNOWN_KEY, message="the gateway is getting ready for you; try again", retry=True
        )
    if "budget" in lower and status in (400, 422, 429):
        return Refusal(status=429, code="budget_exceeded", message="budget used up", retry=False)
    if "key_model_access_denied" in lower or "not allowed to access model" in lower or "team_model_access" in lower:
        return Refusal(status=403, code="model_not_allowed", message="your role does not allow this model")
    if status == 429:
        return Refusal(status=429, code="rate_limit_exceeded", message=message)
    if status in (500, 502, 504):
        # The edge takes 502 and 504 for its own, and a client retries all of them alike.
        return Refusal(status=503, code="upstream_error", message=message)
    return Refusal(status=status, code=code, message=message)


def _said(content: bytes) -> tuple[str, str]:
    """Message and code out of an error body, whatever its shape."""
    try:
        error: Any = json.loads(content)
    except ValueError:
        return content[:200].decode(errors="replace") or "no reason given", "error"
    for key in ("detail", "error"):
        while isinstance(error, Mapping) and key in error:
            error = error[key]
    if isinstance(error, Mapping):
        message = error.get("message") or json.dumps(error)
        return str(message)[:1000], str(error.get("type") or error.get("code") or "error")
    return str(error)[:1000], "error"
