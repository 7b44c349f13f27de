"""The engine's language host for Python: runs the project's ``main`` in this very Python.

Started by the engine as ``pulumi-language-python``; its last argument is the engine's address. It says its port on
stdout, answers until it is told to end (or its parent is gone), and says nothing else: every word would be shown.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distributions
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import grpc
from pulumi.automation._server import LanguageServer
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

MESSAGE_BYTES = 400 * 1024 * 1024
"""As large as the engine's own limit: a program's whole config and every property comes in one message."""
PARENT_CHECK_S = 1.0


class Host(LanguageServer):
    """What the engine asks of a language, as far as running a program goes."""

    def __init__(self, engine: str) -> None:
        super().__init__(self._program)
        self._engine = engine
        self._main = Path()

    def Handshake(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def Run(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        if request.pwd:
            os.chdir(request.pwd)
        info = request.info
        self._main = Path(info.program_directory or request.pwd or ".") / (info.entry_point or ".")
        # The base class takes the engine's address from here: to an inline program the engine gives it that way.
        arguments = list(request.args)
        del request.args[:]
        request.args.append(self._engine)
        sys.argv = [str(self._main), *arguments]
        return super().Run(request, context)  # type: ignore[no-untyped-call]

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return _empty()

    def GetProgramDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        found = sorted({(each.name, each.version) for each in distributions()})
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[language_pb2.DependencyInfo(name=name, version=version) for name, version in found]
        )

    def InstallDependencies(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        # ./praxis installs them, from locks.
        yield language_pb2.InstallDependenciesResponse(stdout=b"Python packages are installed by ./praxis\n")

    def RuntimeOptionsPrompts(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        return language_pb2.RuntimeOptionsResponse()

    def _program(self) -> None:
        # Run as a file even if it is a folder: its folder must not come before the standard library on the path.
        main = self._main / "__main__.py" if self._main.is_dir() else self._main
        runpy.run_path(str(main), run_name="__main__")


def _empty() -> Any:
    from google.protobuf import empty_pb2

    return empty_pb2.Empty()


def _end(number: int = 0, frame: FrameType | None = None) -> NoReturn:
    os._exit(0)


def _end_with_parent() -> None:
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_S)
    _end()


def main() -> None:
    """Serve until told to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    options = [("grpc.max_receive_message_length", MESSAGE_BYTES), ("grpc.max_send_message_length", MESSAGE_BYTES)]
    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=options)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(Host(sys.argv[-1] if len(sys.argv) > 1 else ""), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
