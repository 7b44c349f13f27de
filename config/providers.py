"""The providers that a stack file may name: where each one is, how it takes a key, and what may be called there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from runtime.providers import CredentialHeader
from runtime.wire import COUNT_PATH

CHAT = ("/chat/completions",)
RESPONSES = "/responses"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """``base``: where its API begins; ``None`` when it is the customer's own and ``api_base`` must say it.

    ``paths`` are under the base, exact, called with POST alone; ``{model}`` stands for the provider's name of a model.
    """

    base: str | None
    header: CredentialHeader = "authorization"
    prefix: str = "Bearer "
    paths: tuple[str, ...] = CHAT
    responses: bool = False
    """Whether it serves OpenAI's Responses API itself. For all others LiteLLM makes a chat completion of such a
    request; so it does for what stands at another address than the vendor's own and is but compatible with it."""

    def serves_responses(self, base: str) -> bool:
        """Whether what stands at ``base`` is asked in OpenAI's Responses API."""
        return self.responses and base == self.base

    def paths_at(self, base: str) -> tuple[str, ...]:
        """All that may be called at ``base``."""
        return (*self.paths, RESPONSES) if self.serves_responses(base) else self.paths


PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "anthropic": Provider(
            base="https://api.anthropic.com", header="x-api-key", prefix="", paths=("/v1/messages", COUNT_PATH)
        ),
        "openai": Provider(base="https://api.openai.com/v1", responses=True),
        "mistral": Provider(base="https://api.mistral.ai/v1"),
        "groq": Provider(base="https://api.groq.com/openai/v1"),
        "openrouter": Provider(base="https://openrouter.ai/api/v1"),
        "gemini": Provider(
            base="https://generativelanguage.googleapis.com/v1beta",
            header="x-goog-api-key",
            prefix="",
            paths=("/models/{model}:generateContent", "/models/{model}:streamGenerateContent"),
        ),
        "azure": Provider(
            base=None, header="api-key", prefix="", paths=("/openai/deployments/{model}/chat/completions",)
        ),
    }
)
"""Sources: the "Authentication" and API reference pages of each vendor. Providers whose requests must be signed over
their body (Amazon Bedrock's SigV4) or whose key is exchanged first (Google Vertex AI) are not among them."""


def origin(base: str) -> str:
    """Scheme, host and port of a URL: what a secret is bound to."""
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"
