"""Virtual keys over HTTP: a caller makes its own; the operator lists and ends them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.custodian.gate import Gate
from runtime.custodian.making import MAX_DAYS, of_caller
from runtime.custodian.operator import of_operator
from runtime.custodian.subject import Subject
from runtime.custodian.virtual_keys import Terms

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

    @of_caller(gate)
    async def make(request: Request, subject: Subject) -> dict[str, str | int]:
        wanted = Wanted.model_validate_json(await request.body() or b"{}")
        return {"key": await gate.new_key(subject, wanted.terms()), "expires_in": wanted.days * 24 * 3600}

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
