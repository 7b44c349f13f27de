"""The two ends of these benches, each run in a container of the runtime's image: the custodian and an upstream."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from runtime.custodian import egress_api
from runtime.custodian.egress import Egress
from runtime.providers import Upstream, Upstreams
from runtime.wire import KEEP_ALIVE_S

UPSTREAM_S = 0.02


def custodian(port: int) -> None:
    """The custodian's egress port, with one record that stays open; its ticket is the first line of stdout."""
    upstream = Upstream(secret="key", header="x-api-key", models=("claude",))
    egress = Egress(Upstreams(upstreams={"anthropic": upstream}), lambda _: "sk-" + "k" * 40, max_calls=sys.maxsize)
    sys.stdout.write(f"{egress.admit('t', 'claude')}\n")
    sys.stdout.flush()
    uvloop.run(egress_api.server(egress, Path("/run/secrets"), port).serve())


def upstream(port: int, host: str = "127.0.0.1") -> None:
    """A provider that thinks for 20 ms."""

    async def answer(request: Request) -> JSONResponse:
        await request.body()
        await asyncio.sleep(UPSTREAM_S)
        return JSONResponse({"ok": True})

    app = Starlette(routes=[Route("/v1/messages", answer, methods=["POST"])])
    uvicorn.run(app, host=host, port=port, access_log=False, log_level="error", timeout_keep_alive=KEEP_ALIVE_S)


if __name__ == "__main__":
    {"custodian": custodian, "upstream": upstream}[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
