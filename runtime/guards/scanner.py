"""One Hyperscan pass over a text finds candidates; only these are judged."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass

import hyperscan

from runtime.contract import CATEGORIES, GuardCategory
from runtime.guards import personal
from runtime.guards.credentials import Expression
from runtime.guards.credentials import expressions as credentials
from runtime.guards.fold import Folder

SHORTEST = 6
"""Characters: nothing shorter can be a finding (``a@b.co``)."""

_PERSONAL: tuple[tuple[GuardCategory, Expression], ...] = (
    ("card", Expression("card number", r"\d(?:[ .-]?\d){12}", personal.card)),
    ("iban", Expression("IBAN", r"[A-Z]{2}\d{2}(?:[ -]?[0-9A-Z]){4}", personal.iban, caseless=True)),
    ("ssn", Expression("US SSN", r"\d{3}[-. ]\d{2}[-. ]\d{4}", personal.ssn)),
    (
        "ssn",
        Expression(
            "US SSN by name", r"(?:ssn|social.{0,3}security)[^0-9]{0,30}\d{9}", personal.named_ssn, caseless=True
        ),
    ),
    ("email", Expression("email address", r"[^\s@\"<>(),:;\\]@[A-Za-z0-9\xff]", personal.email)),
    ("phone", Expression("phone number", r"\+[1-9](?:[ ().\-/]{0,2}\d){7}", personal.phone)),
    ("phone", Expression("US phone number", r"\(?[2-9]\d{2}[-. )] ?[2-9]\d{2}[-. ]\d{4}", personal.phone)),
)


@dataclass(frozen=True, order=True)
class Finding:
    """Where in a text (characters ``start`` to ``end``) a value of ``category`` is, by which rule: never the value."""

    start: int
    end: int
    category: GuardCategory
    rule: str


class Scanner:
    """Finds values in texts. Compiled once, for any number of threads (each gets its own scratch space)."""

    def __init__(self) -> None:
        """Compile.

        Raises:
            hyperscan.error: an expression is not supported.
        """
        self._rules: list[tuple[GuardCategory, Expression]] = [("credential", rule) for rule in credentials()]
        self._rules += _PERSONAL
        self._fold = Folder()
        self._database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
        self._database.compile(
            expressions=[rule.pattern.encode("latin-1") for _, rule in self._rules],
            ids=list(range(len(self._rules))),
            elements=len(self._rules),
            flags=[
                hyperscan.HS_FLAG_SOM_LEFTMOST | (hyperscan.HS_FLAG_CASELESS if rule.caseless else 0)
                for _, rule in self._rules
            ],
        )
        self._scratch = hyperscan.Scratch(self._database)
        self._local = threading.local()

    def scan(self, text: str, categories: Collection[GuardCategory] = CATEGORIES) -> list[Finding]:
        """The findings of ``categories`` in ``text``, in order, without overlaps."""
        if len(text) < SHORTEST:
            return []
        folded = self._fold(text)
        candidates: set[tuple[int, int]] = set()

        def keep(rule_id: int, start: int, end: int, flags: int, context: object) -> None:
            candidates.add((rule_id, start))  # a match is reported once for each of its ends

        data = folded.text.encode("latin-1")
        self._database.scan(data, match_event_handler=keep, scratch=self._own_scratch())
        findings: list[Finding] = []
        reach: dict[int, int] = {}
        for rule_id, start in sorted(candidates):
            category, rule = self._rules[rule_id]
            if category not in categories or start < reach.get(rule_id, 0):
                continue
            span = rule.judge(folded.text, start)
            if span is not None:
                findings.append(Finding(folded.origin(span[0]), folded.origin(span[1]), category, rule.name))
                reach[rule_id] = span[1]
        return _merged(findings) if len(findings) > 1 else findings

    def _own_scratch(self) -> hyperscan.Scratch:
        scratch: hyperscan.Scratch | None = getattr(self._local, "scratch", None)
        if scratch is None:
            scratch = self._local.scratch = self._scratch.clone()
        return scratch


def _merged(findings: list[Finding]) -> list[Finding]:
    """Overlapping findings become one, of the category that is first in :data:`CATEGORIES`, over all their text."""
    merged: list[Finding] = []
    for finding in sorted(findings):
        if merged and finding.start < merged[-1].end:
            last = merged[-1]
            first = min(last, finding, key=lambda f: CATEGORIES.index(f.category))
            merged[-1] = Finding(last.start, max(last.end, finding.end), first.category, first.rule)
        else:
            merged.append(finding)
    return merged
