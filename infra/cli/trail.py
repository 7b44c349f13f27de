"""The trail of a request: one real question through all five layers, and what each of them says of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import httpx

from components.identity import public_url
from components.langfuse import PROJECT
from components.observability import EXPERIMENT_ID
from config.stack import Stack
from infra.cli import edge
from infra.cli.console import CommandError
from runtime.store import Store

QUESTION = "Say hello in one short sentence."
TRACE_HEADER = "x-praxis-trace-id"
READY_WITHIN_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Trail:
    """One request and its record. ``cost_usd`` is text: exact, as the ledger holds it."""

    subject: str
    kind: str
    department: str
    role: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_usd: str
    guards: str
    trace_id: str
    trace_url: str
    seconds: float
    demo: bool


def walk(stack: Stack, store: Store, subject: str) -> Trail:
    """Ask one question as ``subject`` and read its record back.

    Raises:
        CommandError: a layer refused or did not answer; the message says which.
    """
    credential = edge.obtain(stack, store, subject)
    body = {
        "model": next(iter(stack.models)),
        "max_tokens": 24,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    answer, seconds = _answered(stack, subject, body, credential.token)
    trace = answer.headers.get(TRACE_HEADER, "")
    if answer.status_code != httpx.codes.OK:
        said = f"HTTP {answer.status_code} {answer.text[:300]}"
        raise CommandError(f"the request as '{subject}' was refused: {said} (trace {trace or '-'})")
    record = read_record(stack, store, trace)
    return Trail(
        subject=str(record["name"]),
        kind=str(record["kind"]),
        department=str(record["department"]),
        role=str(record["role"]),
        model=str(record["model"]),
        input_tokens=int(record["input_tokens"]),
        output_tokens=int(record["output_tokens"]),
        cost_usd=str(record["cost_usd"]),
        guards=verdict(record.get("guards") or {}),
        trace_id=trace,
        trace_url=trace_url(stack, trace),
        seconds=round(seconds, 2),
        demo=bool(record.get("demo")),
    )


def _answered(stack: Stack, subject: str, body: dict[str, Any], token: str) -> tuple[httpx.Response, float]:
    """The answer and how long it took (s). A gateway that is getting ready (503) is asked again, for a while."""
    until = time.monotonic() + READY_WITHIN_S
    with edge.client(stack) as http:
        while True:
            begin = time.monotonic()
            try:
                answer = http.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"})
            except httpx.HTTPError as error:
                raise CommandError(f"the request as '{subject}' got no answer: {error}") from None
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or time.monotonic() > until:
                return answer, time.monotonic() - begin
            time.sleep(0.5)


def trace_url(stack: Stack, trace: str) -> str:
    """Where the trace store shows this trace."""
    if stack.observability.backend == "langfuse":
        return public_url(stack, "traces") + f"/project/{PROJECT}/traces/{trace}"
    page = f"/#/experiments/{EXPERIMENT_ID}/traces?selectedEvaluationId=tr-{trace}"
    return public_url(stack, "traces") + page


def verdict(guards: dict[str, Any]) -> str:
    """``clean``, or the categories found with what was done."""
    found = guards.get("findings") or {}
    text = ", ".join(f"{category} x{count}" for category, count in sorted(found.items()))
    return f"{guards.get('verdict', '-')}{f' ({text})' if text else ''}"


def read_record(stack: Stack, store: Store, trace: str, timeout_s: float = 10) -> dict[str, Any]:
    """The settled record of a trace, by the custodian's admin API; it is written when the answer ends.

    Raises:
        CommandError: there is none in time.
    """
    headers = {"Authorization": f"Bearer {store.get('custodian-admin-token')}"}
    until = time.monotonic() + timeout_s
    url = f"{stack.edge.admin_url}/custodian/records/{trace}"
    with httpx.Client(timeout=10, trust_env=False, headers=headers) as http:
        while time.monotonic() < until:
            try:
                answer = http.get(url)
            except httpx.HTTPError as error:
                raise CommandError(f"the custodian does not answer: {error}") from None
            if answer.status_code == httpx.codes.OK:
                record: dict[str, Any] = answer.json()
                if record.get("state") == "settled":
                    return record
            time.sleep(0.1)
    raise CommandError(f"no settled record for trace {trace or '-'}", fix="./praxis status shows what is not healthy")
