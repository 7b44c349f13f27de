"""The audit chain over HTTP, for the operator alone."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.custodian.database import Database
from runtime.custodian.operator import of_operator

PAGE = 1000
"""Events in one answer, at most."""
_LEAST, _LARGEST = -(2**63), 2**63 - 1
"""Of a number in the table. A forged event may have any, and is to be shown."""


def routes(database: Database, allowed: Callable[[Request], bool]) -> list[Route]:
    """``/chain?from=SEQ&limit=N``: events as canonical lines, and where the next page begins (null: there is none);
    ``/chain/head``: where the chain ends."""

    @of_operator(allowed)
    async def events(request: Request) -> Response:
        try:
            first = min(max(int(request.query_params.get("from", _LEAST)), _LEAST), _LARGEST)
            limit = min(max(int(request.query_params.get("limit", PAGE)), 1), PAGE)
        except ValueError:
            return JSONResponse({"error": "from and limit must be numbers"}, status_code=400)
        page = await database.chain(first, limit)
        more = len(page) == limit and page[-1].seq < _LARGEST
        return JSONResponse({"events": [each.line() for each in page], "next": page[-1].seq + 1 if more else None})

    @of_operator(allowed)
    async def head(request: Request) -> Response:
        end, key = await database.head()
        return JSONResponse({"seq": end.seq, "hash": end.hash, "key": key})

    return [Route("/chain", events), Route("/chain/head", head)]
