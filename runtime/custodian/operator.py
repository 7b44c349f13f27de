"""What the operator alone may ask of the custodian."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.contract import problems

Endpoint = Callable[[Request], Awaitable[Response]]


def of_operator(allowed: Callable[[Request], bool]) -> Callable[[Endpoint], Endpoint]:
    """A decorator: 401 for everybody else, 400 for a body that is not as it should be."""

    def decorated(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            if not allowed(request):
                return JSONResponse({"error": "not allowed"}, status_code=401)
            try:
                return await endpoint(request)
            except ValidationError as error:
                return JSONResponse({"error": problems(error)}, status_code=400)

        return guarded

    return decorated
