"""``./praxis budget reconcile``: a day of the ledger against LiteLLM's spend and the trace store."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import typer
from pydantic import TypeAdapter

from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.edge import unknown
from infra.cli.loading import Loaded
from infra.reconcile.books import Book, Day
from infra.reconcile.looking import look
from infra.reconcile.report import Amounts, Column, Finding, Line, Report, Verdict

NAMES = {Book.LITELLM: "LiteLLM", Book.TRACES: "traces"}
COLUMNS = ["subject", "ledger", *NAMES.values(), "difference", "verdict"]
DATE = "--day YYYY-MM-DD: today (UTC) or a day before it"


def reconcile(loaded: Loaded, day: str | None, subject: str | None, *, as_json: bool) -> None:
    """Compare, and print the report; ends with 7 when the books disagree, with 3 when one was not seen.

    Raises:
        CommandError: no such day or subject, or the ledger cannot be read.
    """
    wanted = asked_day(day, datetime.now(UTC))
    if wanted.unfinished:
        say(f"{wanted.date} is not over: what was asked for in the last minutes may not be in every book yet")
    report = look(loaded, wanted, subject)
    if subject is not None and not report.lines and subject not in loaded.stack.subjects():
        raise unknown(loaded.stack, subject)  # a person of a directory is in no stack file, but in the books
    if as_json:
        emit_json(document(report))
    else:
        show(report)
    conclude(report)


def asked_day(text: str | None, now: datetime) -> Day:
    """The day that ``--day`` names; without it the last one that is over (UTC).

    Raises:
        CommandError: it is no date, or in the future.
    """
    if text is None:
        return Day(now.date() - timedelta(days=1), now)
    try:
        found = date.fromisoformat(text) if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        found = None
    if found is None:
        raise CommandError(f"--day '{text}' is no date", fix=DATE, code=Exit.USAGE)
    if found > now.date():
        raise CommandError(f"--day {text} is in the future: in UTC it is {now:%F %H:%M}", fix=DATE, code=Exit.USAGE)
    return Day(found, now)


def document(report: Report) -> dict[str, Any]:
    """The JSON document."""
    return asdict(report)


def schema() -> dict[str, Any]:
    """Its schema (JSON Schema 2020-12)."""
    described = TypeAdapter(Report).json_schema(mode="serialization")
    title = "praxis budget reconcile --json"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **described}


def show(report: Report) -> None:
    """Tables on stdout: subjects' days, and each request about which the books disagree."""
    rows = [
        [line.subject, *(_cell(column) for column in (line.ledger, line.litellm, line.traces)), *_judged(line)]
        for line in report.lines
    ]
    table(f"{report.day} (UTC)", COLUMNS, rows)
    if report.findings:
        found = [[_which(one), one.subject, one.kind, _both(one)] for one in report.findings]
        table("Not the same", ["trace", "subject", "what", "books"], found, whole=["trace"])
    if report.more:
        say(f"and {report.more} more")


def _which(one: Finding) -> str:
    return one.trace or f"none; row {one.row}"


def _both(one: Finding) -> str:
    return f"ledger: {one.ledger or 'nothing'}\n{NAMES[one.book]}: {one.other or 'nothing'}"


def _cell(column: Column | None) -> str:
    if column is None:
        return "-"
    shown = _amounts(column.company, "requests")
    if column.notional.requests:
        shown += "\n" + _amounts(column.notional, "notional")
    return shown


def _amounts(took: Amounts, noun: str) -> str:
    return f"{took.requests} {noun}\n{took.input_tokens}+{took.output_tokens} tokens\n{took.usd} USD"


def _judged(line: Line) -> list[str]:
    difference = "-"
    if line.difference_usd is not None:
        difference = f"{line.difference_requests:+d} requests\n{line.difference_usd} USD"
    why = [
        f"{name}: {count} {cause}"
        for name, column in ((NAMES[Book.LITELLM], line.litellm), (NAMES[Book.TRACES], line.traces))
        for cause, count in (column.explained.items() if column else ())
    ]
    return [difference, "\n".join([line.verdict, *why])]


def verdict(report: Report) -> Exit:
    """The exit code: what was found counts first; nothing found is in order only when every book was seen."""
    if report.findings:
        return Exit.DRIFT
    return Exit.UNREACHABLE if "unseen" in (report.litellm.state, report.traces.state) else Exit.OK


def conclude(report: Report) -> None:
    """Say how it stands, and end with the exit code."""
    for name, one in (("LiteLLM's spend", report.litellm), ("the trace store", report.traces)):
        if one.state == "unseen":
            say(f"could not look at {name}: {one.why}")
        elif one.state == "not compared":
            say(f"not compared with {name}: {one.why}")
    code = verdict(report)
    if code is Exit.OK:
        say(f"the books of {report.day} agree about {len(report.lines)} subjects")
        return
    if code is Exit.DRIFT:
        differ = sum(line.verdict is Verdict.DIFFERS for line in report.lines)
        found = len(report.findings) + report.more
        say(f"the books of {report.day} disagree about {found} requests of {differ} subjects")
    raise typer.Exit(code)
