"""A receipt: one request's record with its events of the audit chain. It is verified without the rest of the chain.

It proves that the custodian wrote what the record says. That nothing was taken away around it, only the whole chain
says (:mod:`runtime.chain`). ``python -m runtime.receipt FILE --key FILE`` verifies one that was kept.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from runtime.canonical import canonical
from runtime.chain import Event, parse, public_key, signed

CHAIN = "chain"
"""The record's key under which its events are: a list of canonical lines, or of what such lines read as."""
PROOF = "proof"
"""The record's key under which it may be noted what :func:`check` found; it proves nothing by itself."""
NOT_PROVEN = ("name", "time", "ended")
"""What is in the record alone: the chain knows a person by the subject id, and has times of its own."""
_OWN = {*NOT_PROVEN, CHAIN, PROOF, "state"}
_CHAIN_ALONE = {"priced_as", "scope", "actor_sub"}


def check(record: Mapping[str, Any], public_keys: Collection[str]) -> list[str]:
    """What is wrong with a receipt; empty when its events are genuine and say what the record says."""
    lines = record.get(CHAIN)
    if not isinstance(lines, list) or not lines:
        return ["no event of this record is in the chain: it is older than the chain, or its events were taken away"]
    events, findings = [], []
    for number, line in enumerate(lines, 1):
        try:
            event = parse(line if isinstance(line, str) else canonical(line))
        except ValueError as error:
            findings.append(f"its event number {number}: {error}")
            continue
        events.append(event)
        findings += _own(event, public_keys)
    if not findings:
        findings += _agrees(record, events)
    return findings


def _own(event: Event, public_keys: Collection[str]) -> Iterator[str]:
    if event.digest() != event.hash:
        yield f"event {event.seq}: its content is not what its hash was made of"
    elif not signed(event):
        yield f"event {event.seq}: the signature is not that of its key over its hash"
    elif event.key not in public_keys:
        yield f"event {event.seq}: signed with key {event.key[:16]}, which was not given (an earlier one?)"


def _agrees(record: Mapping[str, Any], events: list[Event]) -> Iterator[str]:
    told: dict[str, Any] = {}
    events = sorted(events, key=lambda event: event.seq)
    for event in events:
        body = json.loads(event.body)
        if body.get("trace") != record.get("trace"):
            yield f"event {event.seq} is about another request"
        told |= body
    if events[-1].kind != record.get("state"):
        yield f"the record says '{record.get('state')}', its last event '{events[-1].kind}'"
    for name, value in sorted(told.items()):
        if name not in _CHAIN_ALONE and record.get(name) != value:
            yield f"{name}: the record says {json.dumps(record.get(name))}, the chain {json.dumps(value)}"
    silent = sorted(k for k, v in record.items() if v not in (None, "", {}) and k not in {*told, *_OWN})
    if silent:
        yield f"not in the chain, but in the record: {', '.join(silent)}"


def main(arguments: list[str] | None = None) -> int:
    """Verify a kept receipt: 0 in order, 1 not, 2 what was given cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m runtime.receipt", description="Verify a receipt.")
    parser.add_argument("file", type=Path, help="JSON, as 'praxis audit receipt' writes it")
    parser.add_argument("--key", action="append", required=True, type=Path, help="public key (PEM); may be repeated")
    chosen = parser.parse_args(arguments)
    try:
        keys = {public_key(path.read_text(encoding="utf-8")) for path in chosen.key}
        record = json.loads(chosen.file.read_text(encoding="utf-8"))
        findings = check(record, keys)
    except (OSError, ValueError, AttributeError) as error:
        print(f"cannot verify: {error}", file=sys.stderr)
        return 2
    print("\n".join(findings) or f"the record is what the custodian signed (not proven: {', '.join(NOT_PROVEN)})")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
