"""Virtual keys, for the operator: which are good, and ending their use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.custodian.database import Database
from runtime.custodian.operator import of_operator


class Which(BaseModel):
    """A subject's keys, or the one that is called ``key``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    key: Annotated[str, StringConstraints(pattern="^[0-9a-f]{12}$")] | None = None


def routes(database: Database, allowed: Callable[[Request], bool]) -> list[Route]:
    """``/keys`` and ``/keys/revoke``. ``allowed``: whether a request comes from the operator."""

    @of_operator(allowed)
    async def keys(request: Request) -> Response:
        return JSONResponse({"keys": await database.keys()})

    @of_operator(allowed)
    async def revoke(request: Request) -> Response:
        which = Which.model_validate_json(await request.body())
        return JSONResponse({"revoked": await database.revoke_keys(which.name, which.key)})

    return [Route("/keys", keys), Route("/keys/revoke", revoke, methods=["POST"])]
