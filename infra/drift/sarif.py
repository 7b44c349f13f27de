"""The report as SARIF 2.1.0 (OASIS), for code scanning and review tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.drift.findings import MEANING, Finding, Kind, Report

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS: Mapping[Kind, str] = {Kind.UNHEALTHY: "warning"}

Place = Callable[[Finding], tuple[str, int] | None]
"""Where a finding's resource is declared: file (relative to the repository) and line."""


def sarif(report: Report, place: Place) -> dict[str, Any]:
    """One run. What could not be looked at is a notification of an execution that was not successful."""
    ignored = [_result(one.finding, place, one.reason) for one in report.ignored]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "praxis-drift", "semanticVersion": "1.0.0", "rules": _rules()}},
                "invocations": [
                    {
                        "executionSuccessful": not report.unseen,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": f"could not look: {one.what}: {one.why}"}}
                            for one in report.unseen
                        ],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [*(_result(one, place) for one in report.findings), *ignored],
            }
        ],
    }


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "id": rule_id(kind),
            "shortDescription": {"text": text},
            "defaultConfiguration": {"level": LEVELS.get(kind, "error")},
        }
        for kind, text in MEANING.items()
    ]


def rule_id(kind: Kind) -> str:
    """``drift/missing`` and the like."""
    return f"drift/{kind.value}"


def _result(finding: Finding, place: Place, ignored_because: str | None = None) -> dict[str, Any]:
    logical = {
        "name": finding.path,
        "fullyQualifiedName": finding.place,
        "kind": "resource",
    }
    location: dict[str, Any] = {"logicalLocations": [logical]}
    if where := place(finding):
        file, line = where
        location["physicalLocation"] = {"artifactLocation": {"uri": file}, "region": {"startLine": line}}
    result = {
        "ruleId": rule_id(finding.kind),
        "ruleIndex": list(MEANING).index(finding.kind),
        "level": LEVELS.get(finding.kind, "error"),
        "message": {"text": _text(finding)},
        "locations": [location],
        "partialFingerprints": {"resourceField/v1": finding.place},
        "properties": {
            key: value for key in ("declared", "live", "urn", "since") if (value := getattr(finding, key)) is not None
        },
    }
    if ignored_because is not None:
        result["suppressions"] = [{"kind": "external", "justification": ignored_because}]
    return result


def _text(finding: Finding) -> str:
    declared, live = finding.declared or "nothing", finding.live or "nothing"
    return f"{finding.resource} {finding.path}: declared {declared}, live {live}. Repair: {finding.repair}"
