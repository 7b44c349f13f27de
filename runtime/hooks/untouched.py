"""A request in Anthropic's dialect to Anthropic goes on as it was sent.

LiteLLM reshapes it by what its own table says of the model: where a model is not in there, it leaves ``thinking`` and
``output_config`` out. The provider knows its models better, and a changed request misses the provider's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def as_sent(
    _: object,
    model: str,
    messages: Sequence[Any],
    anthropic_messages_optional_request_params: Mapping[str, Any],
    litellm_params: object,
    headers: object,
) -> dict[str, Any]:
    """In place of LiteLLM's ``transform_anthropic_messages_request``, whose arguments have these names."""
    return {"model": model, "messages": messages, **anthropic_messages_optional_request_params}


def leave_untouched() -> None:
    """Let LiteLLM, in this process, do so.

    Raises:
        ImportError, AttributeError: this LiteLLM has it elsewhere; it must not start.
    """
    from litellm.llms.anthropic.pass_through.messages import transformation

    config: Any = transformation.AnthropicMessagesConfig
    if not callable(config.transform_anthropic_messages_request):
        raise AttributeError("transform_anthropic_messages_request")
    config.transform_anthropic_messages_request = as_sent
