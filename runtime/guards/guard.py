"""The input guard: what a subject sends, after its policy's masks, or the refusal."""

from __future__ import annotations

import hmac
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from runtime.contract import CATEGORIES, GuardAction, GuardCategory, GuardPolicy
from runtime.guards.personal import is_card
from runtime.guards.scanner import Finding, Scanner

Verdict = Literal["clean", "masked", "blocked"]

_STRUCTURE = frozenset(
    {"model", "role", "type", "id", "object", "tool_use_id", "tool_call_id", "call_id", "previous_response_id"}
    | {"media_type", "mimeType", "mime_type", "detail", "format"}
)
"""Keys whose short strings are names of the protocol, or ids that another part of the body refers to."""
_OPAQUE = frozenset({"signature", "thoughtSignature", "thought_signature", "encrypted_content", "encrypted_index"})
"""Keys of what a provider signed or encrypted: refused if edited, and unreadable."""
_SIGNED = frozenset({"thinking", "redacted_thinking"})
"""Types of blocks that a provider signed as a whole."""
_FREE = frozenset({"input", "metadata", "args", "response"})
"""Keys below which the caller names the keys: there is no protocol's structure below a dictionary with this key."""
_TELLING = re.compile("ssn|social|secret|auth", re.IGNORECASE)
"""Keys that rules look for together with the value."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\r\n]*={0,2}\s*")
_MEDIA = re.compile(
    r"data:(?:image|audio|video|application/pdf)[^,;]{0,100}(?:;[^,;]{0,100}){0,4};base64,", re.IGNORECASE
)
_MEDIUM = re.compile(r"(?:image|audio|video)/[a-z0-9.+-]{1,60}|application/pdf", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_.:/@+\-]{1,200}")


@dataclass(frozen=True)
class Outcome:
    """What came of a body.

    ``findings`` counts, per category, what the policy masks or blocks. ``body`` is the one to send: with masks, or the
    same object when there is nothing to mask; when blocked it is the caller's, unchanged, and must not be sent.
    """

    verdict: Verdict
    findings: dict[GuardCategory, int]
    body: dict[str, Any] = field(repr=False)


def refusal(outcome: Outcome) -> str:
    """The message for whoever sent it: categories and counts, never values."""
    found = ", ".join(
        f"{category} ({outcome.findings[category]})" for category in CATEGORIES if outcome.findings.get(category)
    )
    return f"refused by the input guard, which found: {found}; remove it and send the request again"


class Guard:
    """Looks through bodies of requests, of every dialect. Compiled once; safe to share between threads."""

    def __init__(self) -> None:
        self._scanner = Scanner()

    def scan_text(self, text: str) -> list[Finding]:
        """All findings in ``text``, in order, without overlaps."""
        return self._scanner.scan(text)

    def apply(self, body: dict[str, Any], policy: GuardPolicy, salt: bytes) -> Outcome:
        """What ``policy`` makes of ``body``; ``body`` itself is never changed.

        A mask is ``[category:6 hex digits]`` of HMAC-SHA256 under ``salt``: the same for the same value, so the model
        can still tell two values apart. What is signed by a provider cannot be masked: there, any finding blocks.

        Raises:
            Exception: whatever went wrong; the caller must then refuse the request.
        """
        active = tuple(c for c in CATEGORIES if policy.action(c) is not GuardAction.ALLOW)
        if not active:
            return Outcome("clean", {}, body)
        walk = _Walk(scan=lambda text: self._scanner.scan(text, active), salt=salt)
        masked = walk.value(body)
        counts = {category: walk.counts[category] for category in active if walk.counts[category]}
        if walk.signed or any(policy.action(category) is GuardAction.BLOCK for category in counts):
            return Outcome("blocked", counts, body)
        return Outcome("masked" if counts else "clean", counts, masked)


@dataclass
class _Walk:
    """One walk through one body: parts without findings are shared with the original, not copied."""

    scan: Callable[[str], list[Finding]]
    salt: bytes
    counts: Counter[GuardCategory] = field(default_factory=Counter)
    signed: bool = False

    def value(self, value: Any, *, free: bool = False, fixed: bool = False) -> Any:
        """``value`` with masks. ``free``: keys are the caller's own; ``fixed``: signed, so it is only looked at."""
        if isinstance(value, str):
            return self.text(value, fixed=fixed)
        if isinstance(value, dict):
            return self.mapping(value, free=free, fixed=fixed or (not free and _is_signed(value)))
        if isinstance(value, list):
            items = [self.value(item, free=free, fixed=fixed) for item in value]
            return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        if free and isinstance(value, int) and is_card(str(value)):
            masked = self.text(str(value), fixed=fixed)
            return value if masked == str(value) else masked
        return value

    def mapping(self, value: dict[str, Any], *, free: bool, fixed: bool) -> dict[str, Any]:
        """A dictionary with masks; its keys too, where they are the caller's."""
        changed = False
        result: dict[str, Any] = {}
        for key, old in value.items():
            name = self.text(key, fixed=fixed) if free else key
            new = (
                old if not free and not fixed and _is_structure(key, old, value) else self.entry(key, old, free, fixed)
            )
            changed = changed or new is not old or name is not key
            result[name] = new
        return result if changed else value

    def entry(self, key: str, value: Any, free: bool, fixed: bool) -> Any:
        """What is at ``key``."""
        if not free and key == "arguments" and isinstance(value, str):
            return self.arguments(value, fixed=fixed)
        if free and isinstance(value, str | int) and _TELLING.search(key):
            return self.named(key, value, fixed=fixed)
        return self.value(value, free=free or (key in _FREE and isinstance(value, dict)), fixed=fixed)

    def named(self, key: str, value: str | int, *, fixed: bool) -> str | int:
        """A value that its key may tell for what it is: ``{"ssn": "219099999"}``."""
        before = f"{key}: "
        findings = [finding for finding in self.scan(f"{before}{value}") if finding.start >= len(before)]
        if not findings:
            return value
        moved = [replace(f, start=f.start - len(before), end=f.end - len(before)) for f in findings]
        masked = self.masked(str(value), moved, fixed=fixed)
        return value if fixed else masked

    def arguments(self, text: str, *, fixed: bool) -> str:
        """A tool call's arguments: JSON in a string, which stays JSON."""
        if fixed or not self.scan(text):
            return self.text(text, fixed=fixed)
        try:
            parsed = json.loads(text)
        except ValueError:
            return self.text(text, fixed=False)
        masked = self.value(parsed, free=True)
        # What only the JSON around it tells (no leaf alone) is masked in the text.
        return self.text(text if masked is parsed else json.dumps(masked, ensure_ascii=False), fixed=False)

    def text(self, text: str, *, fixed: bool) -> str:
        """A text with masks."""
        findings = self.scan(text)
        return self.masked(text, findings, fixed=fixed) if findings else text

    def masked(self, text: str, findings: list[Finding], *, fixed: bool) -> str:
        """``text`` with masks for ``findings``."""
        pieces: list[str] = []
        at = 0
        for finding in findings:
            pieces += (
                text[at : finding.start],
                self.mask(finding.category, text[finding.start : finding.end], fixed=fixed),
            )
            at = finding.end
        return text if fixed else "".join(pieces) + text[at:]

    def mask(self, category: GuardCategory, value: str, *, fixed: bool) -> str:
        """What stands for ``value``; counts it."""
        self.counts[category] += 1
        self.signed = self.signed or fixed
        code = hmac.digest(self.salt, f"{category}\0{value}".encode(errors="surrogatepass"), "sha256")
        return f"[{category}:{code.hex()[:6]}]"


def _is_signed(block: dict[str, Any]) -> bool:
    kind = block.get("type")
    return isinstance(kind, str) and kind in _SIGNED


def _is_medium(around: dict[str, Any]) -> bool:
    """Whether the ``data`` in it is of a medium: Anthropic's source, OpenAI's audio, Gemini's inline data."""
    if around.get("type") == "base64" or "format" in around:
        return True
    return _MEDIUM.fullmatch(str(around.get("mimeType", around.get("mime_type")))) is not None


def _is_structure(key: str, value: Any, around: dict[str, Any]) -> bool:
    """Whether ``value`` is a string that is part of the protocol or of a medium, not of what is said."""
    if not isinstance(value, str):
        return False
    if key in _STRUCTURE:
        return _NAME.fullmatch(value) is not None
    if key in _OPAQUE or (key == "data" and _is_medium(around)):
        return len(value) > 100 and _BASE64.fullmatch(value) is not None
    media = _MEDIA.match(value) if key in ("url", "image_url", "file_data") else None
    return media is not None and _BASE64.fullmatch(value, media.end()) is not None
