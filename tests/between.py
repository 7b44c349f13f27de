"""A place between a client and the gateway, where what passes can be seen."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})


@dataclass(frozen=True)
class Passed:
    """One request between client and gateway; ``path`` with its query, names of headers in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    status: int
    answered: Mapping[str, str]


@dataclass
class Between:
    """Passes everything on to ``target`` as it is, and keeps it."""

    target: str
    passed: list[Passed] = field(default_factory=list)

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._pass(self)

            def do_GET(self) -> None:
                outer._pass(self)

            def do_HEAD(self) -> None:
                outer._pass(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = httpx.Client(base_url=self.target, timeout=120, trust_env=False)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Pass nothing on any more."""
        self._server.shutdown()
        self._server.server_close()
        self._http.close()

    def _pass(self, asked: BaseHTTPRequestHandler) -> None:
        content = asked.rfile.read(int(asked.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in asked.headers.items()}
        sent = {name: value for name, value in headers.items() if name not in HOP}
        answer = self._http.request(asked.command, asked.path, content=content, headers=sent)
        body = json.loads(content) if content else None
        self.passed.append(
            Passed(asked.command, asked.path, headers, body, answer.status_code, dict(answer.headers.items()))
        )
        asked.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in HOP | {"content-encoding"}:
                asked.send_header(name, value)
        if answer.status_code != httpx.codes.NO_CONTENT:
            asked.send_header("content-length", str(len(answer.content)))
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(answer.content)

    def questions(self, path: str) -> list[Passed]:
        """Those that ask a model, by a path that ends so."""
        return [one for one in self.passed if one.path.partition("?")[0].endswith(path)]
