"""The ledger, for the operator: what is spent and reserved, and raising a budget for a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.contract import BudgetRaise
from runtime.custodian.database import Database


def routes(database: Database, allowed: Callable[[Request], bool]) -> list[Route]:
    """Path and method of everything about money. ``allowed``: whether a request comes from the operator."""

    async def money(request: Request) -> Response:
        if not allowed(request):
            return JSONResponse({"error": "not allowed"}, status_code=401)
        return JSONResponse(await database.money())

    async def raise_budget(request: Request) -> Response:
        if not allowed(request):
            return JSONResponse({"error": "not allowed"}, status_code=401)
        try:
            asked = BudgetRaise.model_validate_json(await request.body())
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            return JSONResponse({"error": said}, status_code=400)
        ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=asked.seconds)
        await database.raise_budget(asked, ends)
        return JSONResponse({"ends": ends.isoformat()}, status_code=201)

    return [Route("/budgets", money), Route("/budgets/raises", raise_budget, methods=["POST"])]
