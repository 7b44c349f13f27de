"""The command's output and exit codes, with looks that are made up."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from config.yaml import parse
from infra.cli import drift as command
from infra.cli import main
from infra.drift.findings import Finding, Ignored, Kind, Report, Unseen
from infra.drift.places import place
from infra.drift.sarif import sarif
from infra.paths import STACKS

FOUND = Finding(
    resource="container/litellm",
    path="env.PRAXIS_MAX_REQUEST_MIB",
    kind=Kind.CHANGED,
    declared="32",
    live="64",
    urn="urn:pulumi:t::praxis::x::service-litellm",
    since="2030-01-02T03:04:05Z",
    repair="./praxis up laptop",
)
BUDGET = Finding(
    resource="litellm/user/alice",
    path="budget.usd",
    kind=Kind.CHANGED,
    declared="50",
    live="75",
    repair="./praxis up laptop",
)
UNSEEN = Unseen(what="database: roles and grants", why="postgres does not run")
WANTED = Ignored(finding=FOUND, reason="an experiment until Friday")

Drift = Callable[..., Result]


class Ground:
    """Stands in for what the looks stand on."""

    def unapplied(self) -> list[str]:
        return []


@pytest.fixture
def drift(monkeypatch: pytest.MonkeyPatch) -> Drift:
    """``drift(report, "--json")``: what the command says of the report."""

    def run(report: Report, *options: str) -> Result:
        monkeypatch.setattr(command, "ground", lambda loaded: Ground())
        monkeypatch.setattr(command, "look", lambda on: report)
        return CliRunner().invoke(main.app, ["drift", "laptop", *options])

    return run


def report(*found: Finding, unseen: tuple[Unseen, ...] = (), ignored: tuple[Ignored, ...] = ()) -> Report:
    return Report(stack="laptop", findings=found, unseen=unseen, ignored=ignored)


def test_no_drift_is_0(drift: Drift) -> None:
    done = drift(report())
    assert done.exit_code == 0
    assert "no drift" in done.stderr


def test_drift_is_7_and_names_resource_and_field(drift: Drift) -> None:
    done = drift(report(FOUND))
    assert done.exit_code == 7
    assert "1 fields are not as declared" in done.stderr
    assert "repair: ./praxis up laptop" in done.stderr


def test_what_was_not_seen_is_3_and_never_reads_as_no_drift(drift: Drift) -> None:
    done = drift(report(unseen=(UNSEEN,)))
    assert done.exit_code == 3
    assert "no drift" not in done.stderr + done.stdout
    assert "could not look at: database: roles and grants" in done.stderr


def test_drift_counts_before_what_was_not_seen(drift: Drift) -> None:
    done = drift(report(FOUND, unseen=(UNSEEN,)), "--json")
    assert done.exit_code == 7
    assert json.loads(done.stdout)["unseen"] == [{"what": UNSEEN.what, "why": UNSEEN.why}]


def test_ignored_drift_is_0_and_still_shown(drift: Drift) -> None:
    done = drift(report(ignored=(WANTED,)))
    assert done.exit_code == 0
    assert "until Friday" in " ".join(done.stdout.split())


def test_json_is_as_its_schema_says(drift: Drift) -> None:
    done = drift(report(FOUND, BUDGET, unseen=(UNSEEN,), ignored=(WANTED,)), "--json")
    document = json.loads(done.stdout)
    jsonschema.validate(document, command.schema())
    assert document["version"] == 1
    assert document["findings"][1]["declared"] == "50"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document, "version": 2}, command.schema())


def test_json_or_sarif(drift: Drift) -> None:
    assert drift(report(), "--json", "--sarif").exit_code == 2


def test_sarif_names_rule_place_and_line(drift: Drift) -> None:
    done = drift(report(FOUND, BUDGET, ignored=(WANTED,)), "--sarif")
    assert done.exit_code == 7
    document = json.loads(done.stdout)
    check_sarif(document)
    first, second, passed_over = document["runs"][0]["results"]
    assert first["ruleId"] == "drift/changed"
    (location,) = first["locations"]
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "container/litellm/env.PRAXIS_MAX_REQUEST_MIB"
    physical = location["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "stacks/laptop.yaml"
    assert "max_request_mib" in line_of(physical)
    assert "alice:" in line_of(second["locations"][0]["physicalLocation"])
    assert passed_over["suppressions"] == [{"kind": "external", "justification": WANTED.reason}]


def test_sarif_of_a_look_that_failed_says_so(drift: Drift) -> None:
    document = json.loads(drift(report(unseen=(UNSEEN,)), "--sarif").stdout)
    check_sarif(document)
    (invocation,) = document["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert UNSEEN.why in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_a_file_outside_the_repository_is_named_alone() -> None:
    file = Path("/elsewhere/t.yaml")
    source = parse("people:\n  alice: {}\n", file)
    assert place(BUDGET, source, file, Path("/repository")) == ("t.yaml", 2)
    assert place(FOUND, source, file, Path("/repository")) is None


def test_every_kind_has_a_rule() -> None:
    rules = sarif(report(), lambda _: None)["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [f"drift/{kind.value}" for kind in Kind]


def line_of(physical: dict[str, Any]) -> str:
    line: int = physical["region"]["startLine"]
    return (STACKS / "laptop.yaml").read_text().splitlines()[line - 1]


TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
SARIF_RESULT = {
    "type": "object",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": TEXT,
        "locations": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "logicalLocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["fullyQualifiedName"],
                            "additionalProperties": {"type": "string"},
                        },
                    },
                    "physicalLocation": {
                        "type": "object",
                        "required": ["artifactLocation"],
                        "additionalProperties": False,
                        "properties": {
                            "artifactLocation": {"type": "object", "properties": {"uri": {"format": "uri-reference"}}},
                            "region": {
                                "type": "object",
                                "properties": {"startLine": {"type": "integer", "minimum": 1}},
                            },
                        },
                    },
                },
            },
        },
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "properties": {"type": "object"},
        "suppressions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kind"],
                "properties": {"kind": {"enum": ["inSource", "external"]}},
            },
        },
    },
}
SARIF_SCHEMA = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {"driver": {"type": "object", "required": ["name"]}},
                    },
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "properties": {
                                "executionSuccessful": {"type": "boolean"},
                                "toolExecutionNotifications": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "required": ["message"],
                                        "properties": {"message": TEXT},
                                    },
                                },
                            },
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {"type": "array", "items": SARIF_RESULT},
                },
            },
        },
    },
}
"""The parts of the standard's schema that this output uses, written down from it."""


def check_sarif(document: dict[str, Any]) -> None:
    """By structure, and by the standard's own cross references."""
    jsonschema.validate(document, SARIF_SCHEMA)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
