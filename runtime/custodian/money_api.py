"""The ledger, for the operator: what is spent and reserved, what a day's records come to, and raising a budget."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.contract import BudgetRaise
from runtime.custodian.database import Database
from runtime.custodian.operator import of_operator

PAGE = 1000
"""Records in one answer, at most."""


class Span(BaseModel):
    """Which records are asked for: those admitted from ``from`` (at that very time, after the trace ``after``) to
    before ``until``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    begins: AwareDatetime = Field(alias="from")
    until: AwareDatetime
    after: str = Field("", max_length=64)
    limit: int = Field(PAGE, ge=1, le=PAGE)


def routes(database: Database, allowed: Callable[[Request], bool]) -> list[Route]:
    """Path and method of everything about money. ``allowed``: whether a request comes from the operator."""

    @of_operator(allowed)
    async def money(request: Request) -> Response:
        return JSONResponse(await database.money())

    @of_operator(allowed)
    async def ledger(request: Request) -> Response:
        """A page, and ``next``: what to ask for the page after it with (null: there is none)."""
        span = Span.model_validate(dict(request.query_params))
        page = await database.entries(span.begins, span.after, span.until, span.limit)
        more = len(page) == span.limit
        return JSONResponse(
            {"entries": page, "next": {"from": page[-1]["time"], "after": page[-1]["trace"]} if more else None}
        )

    @of_operator(allowed)
    async def raise_budget(request: Request) -> Response:
        asked = BudgetRaise.model_validate_json(await request.body())
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=asked.seconds)
        await database.raise_budget(asked, ends)
        return JSONResponse({"ends": ends.isoformat()}, status_code=201)

    return [
        Route("/budgets", money),
        Route("/budgets/raises", raise_budget, methods=["POST"]),
        Route("/ledger", ledger),
    ]
