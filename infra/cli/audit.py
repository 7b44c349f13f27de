"""``praxis audit``: records, the chain that proves them, and its key."""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.custodian import TOKEN, Custodian, custodian
from infra.cli.loading import Loaded
from infra.custody import new_chain_key
from runtime.chain import Head, Problem, Report, lines_of, public_key, read, show
from runtime.chain import verify as verify_chain
from runtime.receipt import CHAIN, PROOF, check

DELIVERY_S = 3.0
"""By then the secrets agent, which looks every second, has delivered a changed store."""
STARTED_WITHIN_S = 90.0


def _custodian(loaded: Loaded) -> AbstractContextManager[Custodian]:
    return custodian(loaded.stack, loaded.store().get(TOKEN))


def _own_key(loaded: Loaded) -> str:
    return public_key(loaded.store().get("chain-public-key"))


def receipt(loaded: Loaded, trace_id: str) -> None:
    """The record of one request with its events, as JSON.

    Raises:
        CommandError: no such record, or its events do not prove it.
    """
    with _custodian(loaded) as asked:
        record = asked.get(f"/records/{trace_id}", none=CommandError("no such record"))
    events = [_readable(line) for line in record.get(CHAIN, [])]
    findings = check(record, _keys(loaded, {str(event.get("key")) for event in events}))
    emit_json({**record, CHAIN: events, PROOF: {"in_order": not findings, "findings": findings}})
    if findings:
        for finding in findings:
            say(finding)
        raise CommandError("the chain does not prove this record", fix=f"./praxis audit verify {loaded.name}")


def _readable(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError):
        return {"unreadable": line}


def _keys(loaded: Loaded, named: set[str]) -> set[str]:
    """The store's key; if a record names an earlier one, also all that a chain in order was signed with."""
    own = {_own_key(loaded)}
    if named <= own:
        return own
    report = _of_stack(loaded, _known(loaded))
    return own if report.findings else own | set(report.keys)


def tail(loaded: Loaded, number: int, *, as_json: bool) -> None:
    """The newest records."""
    with _custodian(loaded) as asked:
        rows = asked.get(f"/records?limit={number}", none=CommandError("no records"))["records"]
    if as_json:
        emit_json(rows)
        return
    columns = ["time", "name", "department", "model", "state", "cost_usd", "trace"]
    table("Records", columns, [[_cell(row, column) for column in columns] for row in rows])


def _cell(record: Mapping[str, Any], column: str) -> str:
    text = str(record.get(column, ""))
    return f"{text} by {record['actor']}" if column == "name" and record.get("actor") else text


def export(loaded: Loaded) -> None:
    """The chain as JSON lines on stdout."""
    with _custodian(loaded) as asked:
        for line in asked.chain():
            sys.stdout.write(line + "\n")


def verify(loaded: Loaded, file: Path | None, *, as_json: bool) -> None:
    """Verify the chain of the running stack, or an export of it.

    Raises:
        CommandError: it is broken, or it could not be looked at.
    """
    known = _known(loaded)
    report = _of_stack(loaded, known) if file is None else _of_file(loaded, file, known)
    show(report, as_json=as_json)
    if report.findings:
        raise CommandError("the audit chain is not in order", fix="what each finding means: docs/explanation/audit.md")
    if file is None:
        _remember(loaded, report.head)


def _of_stack(loaded: Loaded, known: Head | None) -> Report:
    with _custodian(loaded) as asked:
        return verify_chain(read(asked.chain()), {_own_key(loaded)}, anchor=known)


def _of_file(loaded: Loaded, file: Path, known: Head | None) -> Report:
    """An export may be older than what this machine has seen since: that is said, and is no finding."""
    try:
        with file.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            report = verify_chain(read(lines_of(lines)), {_own_key(loaded)}, anchor=known)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", code=Exit.USAGE) from None
    if any(finding.problem is Problem.TRUNCATED for finding in report.findings):
        say(f"the file ends before event {known.seq if known else 0}, which was seen here: an older export, or cut")
        left = tuple(finding for finding in report.findings if finding.problem is not Problem.TRUNCATED)
        return replace(report, findings=left)
    return report


def _known(loaded: Loaded) -> Head | None:
    file = loaded.folder.chain_head
    try:
        return Head.parse(file.read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CommandError(f"{file} cannot be used: {error}") from None


def _remember(loaded: Loaded, head: Head) -> None:
    file = loaded.folder.chain_head
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        partial.write_text(f"{head}\n", encoding="ascii")
        partial.rename(file)
    except OSError as error:
        raise CommandError(f"the verified head cannot be kept in {file}: {error.strerror}") from None


def new_key(loaded: Loaded) -> None:
    """Give the chain a new key, and wait until the custodian signs with it.

    Raises:
        CommandError: the key before is not in use yet, or the new one does not come into use.
    """
    from infra.cli.containers import restart

    store = loaded.store()
    with _custodian(loaded) as asked:
        if asked.key() != _own_key(loaded):
            raise CommandError(
                "the chain is not signed with the store's key yet",
                fix=f"restart the custodian: ./praxis up {loaded.name}",
            )
        new_chain_key(store, loaded.stack)
        say("a new key is in the store; the custodian starts anew")
        time.sleep(DELIVERY_S)
        restart(loaded.name, "custodian")
        _wait_for(asked, _own_key(loaded))
    say("the chain is signed with the new key, and the old one has signed the change")


def _wait_for(asked: Custodian, key: str) -> None:
    until = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < until:
        try:
            if asked.key() == key:
                return
        except CommandError:
            pass  # it is starting
        time.sleep(0.5)
    raise CommandError("the custodian does not sign with the new key", fix="./praxis status shows whether it runs")
