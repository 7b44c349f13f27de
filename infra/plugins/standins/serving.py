"""Serving a provider to the engine: errors in words, and an end when the engine ends, however it ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime.proto import provider_pb2_grpc

from infra.plugins.standins.core import StandIn
from infra.plugins.standins.kinds import GoneError, PluginError

MAX_MESSAGE_BYTES = 400 * 1024 * 1024
"""As the engine itself allows."""
LAST_WORDS_S = 5.0
"""How long operations that run at the end may still take; waits among them end at once."""
WATCH_MS = 1000


class Worded(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # published without types
    """Makes an error one message: the SDK puts a traceback behind it, which the engine would show."""

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """See gRPC."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        method = handler.unary_unary

        async def worded(request: Any, context: Any) -> Any:
            try:
                return await method(request, context)
            except grpc.aio.AbortError:
                raise
            except NotImplementedError:
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, "not served by this plugin")
            except Exception as error:  # whatever it is, the engine has to be told in words
                await context.abort(grpc.StatusCode.UNKNOWN, _words(error))

        return grpc.unary_unary_rpc_method_handler(worded, handler.request_deserializer, handler.response_serializer)


def _words(error: BaseException) -> str:
    if not isinstance(error, PluginError | GoneError):
        error = error.__context__ or error  # the SDK wraps what it catches
    if isinstance(error, PluginError | GoneError):
        return str(error)
    return f"the plugin failed by a fault of its own: {type(error).__name__}: {error}"


def run(provider: StandIn) -> None:
    """Serve ``provider`` until the engine ends or says so (SIGTERM, SIGINT). Does not return."""
    threading.Thread(target=_end_with_engine, args=(os.getppid(),), daemon=True).start()
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    asyncio.run(_serve(provider, arguments[0] if arguments else ""))
    os._exit(0)  # without waiting for threads that wait for a server


def _end_with_engine(parent: int) -> None:
    """A killed engine sends nothing; but nobody reads our standard output any more, and our parent is another."""
    poller = select.poll()
    poller.register(sys.stdout.fileno(), 0)  # errors and hang-ups only
    while not poller.poll(WATCH_MS) and os.getppid() == parent:
        pass
    os._exit(0)


async def _serve(provider: StandIn, engine: str) -> None:
    limits = [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = grpc.aio.server(options=limits, interceptors=[Worded()])
    servicer = ProviderServicer([], provider.version, provider, engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")  # how the engine learns where we listen
    sys.stdout.flush()
    await stop.wait()
    await provider.cancel()
    await server.stop(LAST_WORDS_S)
