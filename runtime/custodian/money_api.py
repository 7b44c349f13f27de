"""The ledger, for the operator: what is spent and reserved, and raising a budget for a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.contract import BudgetRaise
from runtime.custodian.database import Database
from runtime.custodian.operator import of_operator


def routes(database: Database, allowed: Callable[[Request], bool]) -> list[Route]:
    """Path and method of everything about money. ``allowed``: whether a request comes from the operator."""

    @of_operator(allowed)
    async def money(request: Request) -> Response:
        return JSONResponse(await database.money())

    @of_operator(allowed)
    async def raise_budget(request: Request) -> Response:
        asked = BudgetRaise.model_validate_json(await request.body())
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=asked.seconds)
        await database.raise_budget(asked, ends)
        return JSONResponse({"ends": ends.isoformat()}, status_code=201)

    return [Route("/budgets", money), Route("/budgets/raises", raise_budget, methods=["POST"])]
