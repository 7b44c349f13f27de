"""Virtual keys over HTTP: a caller makes its own; the operator lists and ends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.contract import problems
from runtime.custodian.answers import answer
from runtime.custodian.database import AWAY
from runtime.custodian.gate import NOT_LET_IN, Gate, credential, refusal_of
from runtime.custodian.operator import of_operator
from runtime.custodian.traces import new_trace
from runtime.custodian.virtual_keys import Terms
from runtime.dialect import TRACE_HEADER, Dialect, Refusal

MAX_DAYS = 365
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=101)]


class Wanted(BaseModel):
    """A new key, as :class:`Terms` has it."""

    model_config = ConfigDict(extra="forbid")

    models: Annotated[tuple[ModelName, ...], Field(max_length=100)] = ()
    days: Annotated[int, Field(ge=1, le=MAX_DAYS)] = Terms.days

    def terms(self) -> Terms:
        """The same, checked."""
        return Terms(models=self.models, days=self.days)


class Which(BaseModel):
    """A subject's keys, or the one that is called ``key``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    key: Annotated[str, StringConstraints(pattern="^[0-9a-f]{12}$")] | None = None


def routes(gate: Gate, allowed: Callable[[Request], bool]) -> list[Route]:
    """``/me/keys``, ``/keys`` and ``/keys/revoke``. ``allowed``: whether a request comes from the operator."""

    async def make(request: Request) -> Response:
        try:
            # An access token: a virtual key does not beget another.
            subject = await gate.signed_in(credential(request.headers))
            wanted = Wanted.model_validate_json(await request.body() or b"{}")
            key = await gate.new_key(subject, wanted.terms())
        except NOT_LET_IN as error:
            refusal = refusal_of(error)
        except ValidationError as error:
            refusal = Refusal(status=400, code="invalid_request", message=problems(error))
        except AWAY:
            refusal = Refusal(status=503, code="unavailable", message="no key can be made now")
        else:
            told = {"key": key, "expires_in": wanted.days * 24 * 3600}
            return JSONResponse(told, 201, {TRACE_HEADER: new_trace()})
        return answer(refusal, Dialect.OPENAI, new_trace())

    @of_operator(allowed)
    async def keys(request: Request) -> Response:
        return JSONResponse({"keys": await gate.database.keys()})

    @of_operator(allowed)
    async def revoke(request: Request) -> Response:
        which = Which.model_validate_json(await request.body())
        return JSONResponse({"revoked": await gate.database.revoke_keys(which.name, which.key)})

    return [
        Route("/me/keys", make, methods=["POST"]),
        Route("/keys", keys),
        Route("/keys/revoke", revoke, methods=["POST"]),
    ]
