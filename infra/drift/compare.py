"""Comparison without looking: facts against facts, looks merged, ignored paths set apart."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from config.stack import IgnoredDrift
from infra.drift.findings import Finding, Ignored, Kind, Report, Seen

Facts = Mapping[str, Any]
"""Field path -> value; a field that is not there has no entry."""
SHORTEST_SECRET = 8


@dataclass(frozen=True)
class Veil:
    """Takes secrets out of what is shown: a text that holds one becomes its keyed digest."""

    key: bytes = field(repr=False)
    secrets: Collection[str] = field(default=(), repr=False)

    def digest(self, value: str) -> str:
        """``hmac-sha256:…``: the same for the same value and the same stack, and nothing can be told from it."""
        return f"hmac-sha256:{hmac.new(self.key, value.encode(), hashlib.sha256).hexdigest()[:16]}"

    def over(self, finding: Finding) -> Finding:
        """The finding without a secret in it."""
        return replace(finding, declared=self._veiled(finding.declared), live=self._veiled(finding.live))

    def _veiled(self, text: str | None) -> str | None:
        held = text is not None and any(len(one) >= SHORTEST_SECRET and one in text for one in self.secrets)
        return self.digest(text) if held and text is not None else text


def shown(value: Any) -> str | None:
    """A value as text: what is no text already, as JSON."""
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def differences(declared: Facts, live: Facts) -> Iterator[tuple[str, Any, Any]]:
    """``(path, declared, live)`` of each field that is not the same; ``None`` for what is not there."""
    for path in sorted(declared.keys() | live.keys()):
        if declared.get(path) != live.get(path):
            yield path, declared.get(path), live.get(path)


def flat(value: Any, path: str) -> dict[str, Any]:
    """Nested objects as facts; lists are values, so that a change of one says what the whole list is."""
    if not isinstance(value, Mapping):
        return {} if value is None else {path: value}
    return {
        inner: each
        for key, item in value.items()
        if not str(key).startswith("__")
        for inner, each in flat(item, f"{path}.{key}" if path else str(key)).items()
    }


def report(stack: str, looks: Iterable[Seen], rules: Iterable[IgnoredDrift], veil: Veil) -> Report:
    """All looks as one report, in a stable order and without double counting: what was found first stands."""
    found: dict[tuple[str, str], Finding] = {}
    looks = tuple(looks)
    for look in looks:
        for finding in look.findings:
            found.setdefault((finding.resource, finding.path), veil.over(finding))
    kept, ignored = [], []
    gone = {resource for (resource, path), finding in found.items() if (path, finding.kind) == ("state", Kind.MISSING)}
    for (resource, path), finding in sorted(found.items()):
        if resource in gone and path != "state":
            continue  # what belongs to it is gone with it
        rule = next((rule for rule in rules if fnmatchcase(finding.place, rule.path)), None)
        if rule is None:
            kept.append(finding)
        else:
            ignored.append(Ignored(finding=finding, reason=rule.reason))
    unseen = {(one.what, one.why): one for look in looks for one in look.unseen}
    return Report(
        stack=stack,
        findings=tuple(kept),
        unseen=tuple(one for _, one in sorted(unseen.items())),
        ignored=tuple(ignored),
    )
