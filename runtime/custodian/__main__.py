"""``python -m runtime.custodian``: serves the edge, the hooks and the operator on port 8100, the egress on 8101."""

from __future__ import annotations

import asyncio

import uvicorn
import uvloop

from runtime.custodian import egress_api
from runtime.custodian.app import build
from runtime.custodian.egress import Egress
from runtime.custodian.settings import load
from runtime.wire import KEEP_ALIVE_S
from runtime.with_secrets import delivered_secret, undumpable, wait_for_secrets

PORT = 8100


async def serve() -> None:
    """Run until SIGTERM; when one of the two servers ends, so does the other."""
    settings = load()
    egress = Egress(settings.upstreams, delivered_secret)
    # Access logs would hold paths and addresses of every request a second time; the records are the log.
    config = uvicorn.Config(
        build(settings, egress),
        host="0.0.0.0",  # noqa: S104 - inside its own networks
        port=PORT,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
    main = uvicorn.Server(config)
    servers = [main, egress_api.server(egress)] if settings.upstreams.upstreams else [main]

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    async def run(server: uvicorn.Server) -> None:
        try:
            await server.serve()
        finally:
            stop()

    await asyncio.gather(*(run(server) for server in servers))


if __name__ == "__main__":
    undumpable()
    wait_for_secrets()
    uvloop.run(serve())  # uvicorn chooses a loop only where it runs it itself
