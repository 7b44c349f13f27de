"""What the egress asks, on a port of its own that only a holder of the egress' certificate can talk to.

LiteLLM can reach the custodian as well; over the plain port it could ask for a key with a good ticket in hand.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.custodian.egress import Egress, EgressError
from runtime.wire import KEEP_ALIVE_S
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


class Certificates:
    """The TLS context of :func:`server`, made anew when its files changed: each handshake takes the newest.

    Those of our authority's old certificate stop being taken with it.
    """

    def __init__(self, folder: Path) -> None:
        self._files = [folder / name for name in ("custodian-tls-cert", "custodian-tls-key", "ca-cert")]
        self._seen = self._looked()
        self._context = self._made()

    def current(self) -> ssl.SSLContext:
        """The context of the certificates as they are delivered now."""
        with suppress(OSError):  # half of a delivery is no pair; the other half comes in a moment
            if (now := self._looked()) != self._seen:
                self._context, self._seen = self._made(), now
        return self._context

    def _looked(self) -> list[tuple[int, int]]:
        return [(file.stat().st_ino, file.stat().st_mtime_ns) for file in self._files]

    def _made(self) -> ssl.SSLContext:
        certificate, key, authority = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def server(egress: Egress, folder: Path = FOLDER, port: int = PORT) -> uvicorn.Server:
    """The server of :func:`application`: TLS, and no word to whoever shows no certificate of our own authority."""
    certificates = Certificates(folder)

    def newest(connection: ssl.SSLObject, *_: object) -> None:
        connection.context = certificates.current()

    config = uvicorn.Config(
        application(egress),
        host="0.0.0.0",  # noqa: S104 - inside its own networks
        port=port,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_certfile=folder / "custodian-tls-cert",
        ssl_keyfile=str(folder / "custodian-tls-key"),
        ssl_ca_certs=str(folder / "ca-cert"),
        ssl_cert_reqs=ssl.CERT_REQUIRED,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.sni_callback = newest
        config.ssl.num_tickets = 0  # a session taken up again would not be asked for its certificate
    return uvicorn.Server(config)
