"""What the egress asks, on a port of its own that only a holder of the egress' certificate can talk to.

LiteLLM can reach the custodian as well; over the plain port it could ask for a key with a good ticket in hand.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.custodian.egress import Egress, EgressError
from runtime.with_secrets import FOLDER

PORT = 8101


def application(egress: Egress) -> Starlette:
    """Traefik's forwardAuth at the egress: 200 with the credential to put on, or 403."""

    async def decide(request: Request) -> Response:
        headers = request.headers
        try:
            credential = egress.decide(
                headers.get("x-forwarded-method", ""), headers.get("x-forwarded-uri", ""), headers
            )
        except EgressError as error:
            refusal = {"type": error.code, "message": f"the egress refuses: {error}"}
            return JSONResponse({"type": "error", "error": refusal}, status_code=403)
        return Response(headers=credential)

    return Starlette(routes=[Route("/egress", decide)])


def server(egress: Egress, folder: Path = FOLDER, port: int = PORT) -> uvicorn.Server:
    """The server of :func:`application`: TLS, and no word to whoever shows no certificate of our own authority."""
    return uvicorn.Server(
        uvicorn.Config(
            application(egress),
            host="0.0.0.0",  # noqa: S104 - inside its own networks
            port=port,
            access_log=False,
            log_level="warning",
            ssl_certfile=folder / "custodian-tls-cert",
            ssl_keyfile=str(folder / "custodian-tls-key"),
            ssl_ca_certs=str(folder / "ca-cert"),
            ssl_cert_reqs=ssl.CERT_REQUIRED,
        )
    )
