"""Enrolments over HTTP: a caller makes its own; the operator lists and ends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.clients import Client
from runtime.custodian.gate import Gate
from runtime.custodian.making import MAX_DAYS, of_caller
from runtime.custodian.operator import of_operator
from runtime.custodian.subject import Subject
from runtime.custodian.traces import new_trace
from runtime.dialect import TRACE_HEADER


class Wanted(BaseModel):
    """A new enrolment: for which client, on which device, for how long."""

    model_config = ConfigDict(extra="forbid")

    client: Client
    device: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[\w .:@-]{0,80}$")] = ""
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = 30


class Which(BaseModel):
    """A subject's enrolments, or the one that is called ``enrolment``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    enrolment: Annotated[str, StringConstraints(pattern="^[0-9a-f]{12}$")] | None = None


def routes(gate: Gate, allowed: Callable[[Request], bool]) -> list[Route]:
    """``/me/enrolments``, ``/hello``, ``/enrolments`` and ``/enrolments/revoke``.

    ``allowed``: whether a request comes from the operator.
    """

    @of_caller(gate)
    async def make(request: Request, subject: Subject) -> dict[str, str | int]:
        wanted = Wanted.model_validate_json(await request.body())
        made = await gate.enrolments.make(subject, wanted.client, wanted.device, wanted.days)
        return {"enrolment": made, "expires_in": wanted.days * 24 * 3600}

    async def hello(_: Request) -> Response:
        # What a client asks of its base URL before all else; the same for every id, good or not.
        return Response(status_code=204, headers={TRACE_HEADER: new_trace()})

    @of_operator(allowed)
    async def listed(_: Request) -> Response:
        return JSONResponse({"enrolments": await gate.enrolments.good()})

    @of_operator(allowed)
    async def revoke(request: Request) -> Response:
        which = Which.model_validate_json(await request.body())
        return JSONResponse({"revoked": await gate.enrolments.revoke(which.name, which.enrolment)})

    return [
        Route("/me/enrolments", make, methods=["POST"]),
        Route("/hello", hello),
        Route("/enrolments", listed),
        Route("/enrolments/revoke", revoke, methods=["POST"]),
    ]
