"""Spans of a request: what the guard left of the prompt, the answer, tokens and cost, with user and session.

Attribute names: OpenTelemetry's GenAI conventions (``gen_ai.*``), ``user.id``, ``session.id``, and those that the
trace store reads for previews and cost (``input.value``, ``output.value``, ``mlflow.llm.cost``).
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanKind, Status, StatusCode

from runtime.assertion import Assertion
from runtime.contract import Price, Tokens
from runtime.hooks.usage import Usage

_TRACE: ContextVar[int] = ContextVar("praxis_trace")


class _Ids(RandomIdGenerator):
    """The root span's trace id is the one that the custodian has given out."""

    def generate_trace_id(self) -> int:
        return _TRACE.get()


@dataclass(frozen=True, kw_only=True)
class Told:
    """One finished request. Times are in nanoseconds since the epoch."""

    about: Assertion
    dialect: str
    model: str
    session: str
    prompt: str
    guards: dict[str, Any]
    usage: Usage
    status: int
    price: Price | None
    began_ns: int
    guarded_ns: int
    ended_ns: int


class Telemetry:
    """Sends spans in batches to the collector. A collector that is away loses spans, never a request."""

    def __init__(self, endpoint: str) -> None:
        provider = TracerProvider(
            resource=Resource.create({"service.name": "praxis-gateway"}), id_generator=_Ids(), shutdown_on_exit=False
        )
        provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint), schedule_delay_millis=1000, max_queue_size=4096)
        )
        self._provider = provider
        self._tracer = provider.get_tracer("praxis")

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def tell(self, told: Told) -> None:
        """The spans of one request: itself, its guard, its model."""
        _TRACE.set(int(told.about.trace, 16))
        root = self._tracer.start_span(
            f"{told.dialect} {told.model}",
            context=Context(),
            kind=SpanKind.SERVER,
            attributes=_root_attributes(told),
            start_time=told.began_ns,
        )
        inside = trace.set_span_in_context(root, Context())
        guard = self._tracer.start_span(
            "guard input",
            context=inside,
            attributes={
                "mlflow.spanType": json.dumps("GUARDRAIL"),
                "praxis.guard.verdict": str(told.guards.get("verdict", "-")),
                "praxis.guard.findings": json.dumps(told.guards.get("findings") or {}),
            },
            start_time=told.began_ns,
        )
        guard.end(told.guarded_ns)
        if told.guards.get("verdict") != "blocked":
            model = self._tracer.start_span(
                f"model {told.model}",
                context=inside,
                kind=SpanKind.CLIENT,
                attributes=_model_attributes(told),
                start_time=told.guarded_ns,
            )
            model.end(told.ended_ns)
        if told.status >= 400:
            root.set_status(Status(StatusCode.ERROR, f"HTTP {told.status}"))
        root.end(told.ended_ns)


def _root_attributes(told: Told) -> dict[str, Any]:
    about = told.about
    return {
        "user.id": about.name,
        "session.id": told.session,
        "praxis.sub": about.sub,
        "praxis.kind": about.kind.value,
        "praxis.department": about.department,
        "praxis.role": about.role,
        "praxis.policy": about.policy,
        "praxis.credential": about.credential,
        "praxis.demo": about.demo,
        **({"praxis.actor": about.actor} if about.actor else {}),
        "praxis.guard.verdict": str(told.guards.get("verdict", "-")),
        "http.response.status_code": told.status,
        "input.value": told.prompt,
        "output.value": told.usage.text,
    }


def _model_attributes(told: Told) -> dict[str, Any]:
    usage = told.usage
    attributes: dict[str, Any] = {
        "mlflow.spanType": json.dumps("CHAT_MODEL"),
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": told.model,
        "gen_ai.response.model": usage.model or told.model,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "input.value": told.prompt,
        "output.value": usage.text,
    }
    if told.price is not None:
        tokens = usage.tokens()
        cost = {
            "input_cost": float(told.price.cost(tokens.model_copy(update={"output": 0}))),
            "output_cost": float(told.price.cost(Tokens(output=tokens.output))),
            "total_cost": float(told.price.cost(tokens)),
        }
        attributes["mlflow.llm.cost"] = json.dumps(cost)
    return attributes
