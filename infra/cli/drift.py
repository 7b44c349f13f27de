"""``./praxis drift``: the report as a table, as JSON or as SARIF, and its exit code."""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import Any

import typer
from pydantic import TypeAdapter

from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.loading import Loaded
from infra.drift.findings import Finding, Report
from infra.drift.looking import ground, look
from infra.drift.places import place
from infra.drift.sarif import sarif
from infra.paths import REPOSITORY


def drift(loaded: Loaded, *, as_json: bool, as_sarif: bool) -> None:
    """Look, and print what was found; ends with 7 when it is not as declared, with 3 when something was not seen."""
    if as_json and as_sarif:
        raise CommandError("--json or --sarif, not both", code=Exit.USAGE)
    on = ground(loaded)
    if waiting := on.unapplied():
        say(f"the stack file declares otherwise than the last up: {', '.join(waiting)}; see ./praxis preview")
    report = look(on)
    if as_json:
        emit_json(document(report))
    elif as_sarif:
        source = loaded.document()
        emit_json(sarif(report, lambda finding: place(finding, source, loaded.file, REPOSITORY)))
    else:
        show(report)
    conclude(report)


def document(report: Report) -> dict[str, Any]:
    """The JSON document."""
    return asdict(report)


def schema() -> dict[str, Any]:
    """Its schema (JSON Schema 2020-12)."""
    described = TypeAdapter(Report).json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "praxis drift --json", **described}


def show(report: Report) -> None:
    """Tables on stdout: what was found by resource, what was passed over, what was not seen."""
    if report.findings:
        rows = []
        for resource, found in groupby(report.findings, key=lambda finding: finding.resource):
            rows += [_row(resource if first else "", one) for first, one in _marked(list(found))]
        table("Drift", ["resource", "field", "what", "declared", "live", "since"], rows)
        for repair in dict.fromkeys(finding.repair for finding in report.findings):
            say(f"repair: {repair}")
    if report.ignored:
        ignored = [[one.finding.resource, one.finding.path, one.reason] for one in report.ignored]
        table("Passed over, as the stack file says", ["resource", "field", "reason"], ignored)
    if report.unseen:
        table("Could not look", ["what", "why"], [[one.what, one.why] for one in report.unseen])


def _marked(found: list[Finding]) -> list[tuple[bool, Finding]]:
    return [(index == 0, one) for index, one in enumerate(found)]


def _row(resource: str, one: Finding) -> list[str]:
    return [resource, one.path, one.kind.value, one.declared or "-", one.live or "-", one.since or ""]


def verdict(report: Report) -> Exit:
    """The exit code: what was found counts first; nothing found is in order only when everything was seen."""
    if report.findings:
        return Exit.DRIFT
    return Exit.UNREACHABLE if report.unseen else Exit.OK


def conclude(report: Report) -> None:
    """Say how it stands, and end with the exit code."""
    code = verdict(report)
    not_seen = f"; could not look at: {', '.join(one.what for one in report.unseen)}" if report.unseen else ""
    if code is Exit.OK:
        say("no drift: everything is as declared")
        return
    found = f"{len(report.findings)} fields are not as declared" if report.findings else "nothing was found"
    say(f"{found}{not_seen}")
    raise typer.Exit(code)
