"""The real Claude Code out of npm, as the lock beside this pins it; and a place between it and the gateway."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from infra.paths import cache
from infra.supply.content import folder_digest

FOLDER = Path(__file__).parent
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
QUIET = {"DISABLE_TELEMETRY": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
"""There is nobody on this network whom it could tell anything; it would wait for an answer."""
HOP = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})


class NoClientError(Exception):
    """It cannot be had here."""


def installed() -> Path:
    """The client's program; fetched by npm once for each lock, without running any script of its packages.

    Raises:
        NoClientError: no npm here, no registry, or no build for this machine.
    """
    machine = MACHINES.get(platform.machine())
    if machine is None or shutil.which("npm") is None:
        raise NoClientError("Claude Code needs npm, on x86-64 or ARM64")
    folder = cache() / "artefacts" / f"claude-code-{folder_digest(FOLDER)[:16]}"
    program = folder / f"node_modules/@anthropic-ai/claude-code-linux-{machine}/claude"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(FOLDER / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not program.is_file():
            raise NoClientError(f"npm cannot fetch Claude Code: {done.stderr[:300]}")
    return program


@dataclass(frozen=True)
class Said:
    """What the client made of it: its exit code, and the JSON that it printed."""

    code: int
    result: dict[str, Any]


@dataclass(frozen=True)
class ClaudeCode:
    """The client on a machine where nobody has used it before."""

    program: Path
    home: Path

    def ask(self, text: str, base_url: str, model: str, more: Mapping[str, str]) -> Said:
        """One question, with ``ANTHROPIC_BASE_URL`` and ``more`` variables and nothing else set."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), **QUIET}
        done = subprocess.run(
            [str(self.program), "-p", text, "--output-format", "json", "--model", model],
            env={**environment, "ANTHROPIC_BASE_URL": base_url, **more},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout.startswith("{"), f"{done.returncode}: {done.stdout[:500]} {done.stderr[:500]}"
        return Said(done.returncode, json.loads(done.stdout))


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

    def questions(self) -> list[Passed]:
        """Those that ask a model."""
        return [one for one in self.passed if one.path.partition("?")[0].endswith("/v1/messages")]
