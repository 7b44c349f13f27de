"""What an answer costs and says, as it passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runtime.contract import Tokens

MAX_TEXT = 32_768
"""Characters of a prompt or an answer that go into a trace."""


@dataclass
class Usage:
    """What an answer cost and said; filled while it passes."""

    input_tokens: int = 0
    """All of it, what a provider's cache held among it."""
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    text: str = ""
    model: str = ""
    tools: set[str] = field(default_factory=set)
    """Names of the tools that it calls; an empty one for a call without a name."""
    pieces: int = 0
    """Parts of the answer that have passed; of a stream, about one a token."""

    def add_text(self, text: object) -> None:
        """More of the answer."""
        if isinstance(text, str) and text:
            self.pieces += 1
            if len(self.text) < MAX_TEXT:
                self.text = (self.text + text)[:MAX_TEXT]

    def call(self, name: object) -> None:
        """It calls a tool."""
        self.tools.add(name if isinstance(name, str) else "")

    def estimate(self, sent_bytes: int, *, broken: bool) -> bool:
        """Fill in what an answer did not say, so that breaking off is not free; whether that was needed.

        Four bytes a token is what both vendors name as a rule of thumb for English.

        Args:
            sent_bytes: size of the request.
            broken: a stream ended before its last event: its count, if any, is an early one.
        """
        inputs = self.input_tokens or -(-sent_bytes // 4)
        outputs = max(self.output_tokens, self.pieces) if broken or not self.output_tokens else self.output_tokens
        guessed = (inputs, outputs) != (self.input_tokens, self.output_tokens)
        self.input_tokens, self.output_tokens = inputs, outputs
        return guessed

    def take(self, usage: object) -> None:
        """Token counts of any dialect; a count that comes again (as streams do) replaces the earlier one."""
        if not isinstance(usage, dict):
            return
        inputs = usage.get("prompt_tokens", usage.get("input_tokens"))
        outputs = usage.get("completion_tokens", usage.get("output_tokens"))
        if isinstance(inputs, int) and inputs > 0:
            read, written, beside = _cached(usage)
            self.input_tokens = inputs + (read + written if beside else 0)
            self.cache_read_tokens, self.cache_write_tokens = read, written
        if isinstance(outputs, int):
            self.output_tokens = max(outputs, self.output_tokens)

    def tokens(self) -> Tokens:
        """As the ledger counts it."""
        return Tokens(
            input=self.input_tokens,
            output=self.output_tokens,
            cache_read=self.cache_read_tokens,
            cache_write=self.cache_write_tokens,
        )


def _cached(usage: dict[str, Any]) -> tuple[int, int, bool]:
    """Input tokens read from and written to a cache, and whether they stand beside the other input.

    Anthropic counts them beside ``input_tokens``, OpenAI inside ``prompt_tokens``, and in its Responses API inside
    ``input_tokens``, with the details beside it.
    """
    details = usage.get("prompt_tokens_details", usage.get("input_tokens_details"))
    if "input_tokens" in usage and not isinstance(details, dict):
        read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
        return _count(read), _count(written), True
    return _count(details.get("cached_tokens")) if isinstance(details, dict) else 0, 0, False


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
