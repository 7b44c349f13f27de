"""The vendor's releases, played by a server of this process: whole, broken off, spoiled or absent, as a test says."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from infra.supply.programs import CLI, PLATFORMS, PROGRAMS, Platform, Program

FILLER = random.Random(1).randbytes(200_000)  # noqa: S311 - what does not pack, so that there is a middle to break off in


@cache
def archive(program: Program, of: Platform) -> bytes:
    """An archive as the vendor packs it: programs that say their name, in a folder of their own or at the top."""
    buffer = io.BytesIO()
    files = ("pulumi/pulumi", "pulumi/pulumi-language-python")
    names = files if program is CLI else (f"pulumi-resource-{program.name}", "README.md")
    with tarfile.open(fileobj=buffer, mode="w:gz") as bundle:
        for name in names:
            content = f"#!/bin/sh\necho v{program.version} {name} {of}\nexit\n".encode() + FILLER
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644 if name.endswith(".md") else 0o755
            bundle.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class Releases:
    """``files``: path -> content; ``asked``: (path, wanted range) in order; ``broken_off``: how often a whole answer
    ends in its middle.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    broken_off: int = 0
    url: str = ""

    def publish(self) -> None:
        """All programs with their checksums: SHA-256 of the command line, SHA-1 of the plugins."""
        for program in PROGRAMS:
            algorithm, mark = ("sha256", "") if program is CLI else ("sha1", "./")
            lines = ""
            for of in PLATFORMS:
                content = archive(program, of)
                self.files[self.path(program, program.archive(of))] = content
                lines += f"{hashlib.new(algorithm, content).hexdigest()}  {mark}{program.archive(of)}\n"
            self.files[self.path(program, program.checksums)] = lines.encode()

    @staticmethod
    def path(program: Program, file: str) -> str:
        """Where a file of a release is, under the mirror's own address."""
        return f"/pulumi/{program.repository}/releases/download/v{program.version}/{file}"


@contextmanager
def served() -> Iterator[Releases]:
    """Serves what is in ``files`` at ``url``."""
    releases = Releases()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            releases.asked.append((self.path, wanted))
            content = releases.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if wanted and begin >= len(content):
                self.send_error(416)
                return
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            rest = content[begin:]
            if releases.broken_off:
                releases.broken_off -= 1
                rest = rest[: len(rest) // 2]
                self.close_connection = True
            self.wfile.write(rest)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    releases.url = f"http://127.0.0.1:{server.server_port}/pulumi"
    try:
        yield releases
    finally:
        server.shutdown()
        server.server_close()
