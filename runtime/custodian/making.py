"""What a caller makes for itself over HTTP, keys and enrolments: both begin alike, and refuse alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runtime.contract import problems
from runtime.custodian.answers import answer
from runtime.custodian.database import AWAY
from runtime.custodian.gate import NOT_LET_IN, Gate, credential, refusal_of
from runtime.custodian.subject import Subject
from runtime.custodian.traces import new_trace
from runtime.dialect import TRACE_HEADER, Dialect, Refusal

MAX_DAYS = 365
"""How long what is made is good at most."""
Make = Callable[[Request, Subject], Awaitable[Mapping[str, Any]]]


def of_caller(gate: Gate) -> Callable[[Make], Callable[[Request], Awaitable[Response]]]:
    """A decorator: the endpoint is handed whoever gives an access token (what is made begets no other), and what it
    returns is the answer (201). It may raise what the gate raises, and ``ValidationError``."""

    def decorated(make: Make) -> Callable[[Request], Awaitable[Response]]:
        @wraps(make)
        async def endpoint(request: Request) -> Response:
            try:
                told = await make(request, await gate.signed_in(credential(request.headers)))
                return JSONResponse(told, 201, {TRACE_HEADER: new_trace()})
            except NOT_LET_IN as error:
                refusal = refusal_of(error)
            except ValidationError as error:
                refusal = Refusal(status=400, code="invalid_request", message=problems(error))
            except AWAY:
                refusal = Refusal(status=503, code="unavailable", message="it cannot be made now")
            return answer(refusal, Dialect.OPENAI, new_trace())

        return endpoint

    return decorated
