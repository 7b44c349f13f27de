"""Serving a provider to the engine: clear errors, and an end when the engine ends, however it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2_grpc

from infra.plugins.standins.core import StandIn

MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""As the engine itself allows."""

Method = Callable[[Any, Any, Any], Awaitable[Any]]


class Servicer(ProviderServicer):
    """The SDK's servicer; but an error is one message, not a traceback."""


def _worded(method: Method) -> Method:
    async def wrapper(self: Any, request: Any, context: Any) -> Any:
        try:
            return await method(self, request, context)
        except Exception as error:  # whatever it is, the engine has to be told in words
            # The SDK has put the traceback behind the message: keep the message.
            await context.abort(grpc.StatusCode.UNKNOWN, str(error).split(":\n  File ", 1)[0])

    return wrapper


for _name in ("CheckConfig", "DiffConfig", "Configure", "Check", "Diff", "Create", "Read", "Update", "Delete"):
    setattr(Servicer, _name, _worded(getattr(ProviderServicer, _name)))


def run(provider: StandIn, version: str) -> None:
    """Serve ``provider`` until the engine ends."""
    parent = os.getppid()

    def watch() -> None:
        # A killed engine sends no Cancel and closes no pipe of ours: its death shows as another parent.
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    asyncio.run(_serve(provider, version, arguments[0] if arguments else ""))


async def _serve(provider: StandIn, version: str, engine: str) -> None:
    limits = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    server = grpc.aio.server(options=limits)
    servicer = Servicer([], version, provider, engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")  # how the engine learns where we listen
    sys.stdout.flush()
    await server.wait_for_termination()
