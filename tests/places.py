"""Services that keep an encrypted document, played as they document themselves, each by a small server on this host."""

from __future__ import annotations

import json
import ssl
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import yaml
from azure.core.credentials import AccessToken

from runtime.store import CaCert, EcKey, ServerCert

TOKEN = "token-canary"
OTHER_HOST = "praxis-test.example"
"""A name that no vault of Azure has."""


@dataclass(frozen=True)
class Request:
    """What a service is asked."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Message
    body: Any

    @property
    def allowed(self) -> bool:
        """Whether it carries the token."""
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"


@dataclass(frozen=True)
class Answer:
    """What it answers."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Service(Protocol):
    """Something that answers."""

    def answer(self, request: Request) -> Answer: ...


@contextmanager
def served(service: Service, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port on which ``service`` answers on 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            body = json.loads(raw) if raw else None
            found = service.answer(Request(self.command, parts.path, parse_qs(parts.query), self.headers, body))
            content = found.body.encode() if isinstance(found.body, str) else json.dumps(found.body).encode()
            self.send_response(found.status)
            kind = "text/html" if isinstance(found.body, str) else "application/json"
            for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **found.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_PATCH = _any  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Nothing: a test's output is not the place."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def certified(folder: Path, *hosts: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for ``hosts``, and the file of the authority that it comes from."""
    values = {"ca-key": EcKey().make({})}
    values["ca"] = CaCert("ca-key").make(values)
    values["key"] = EcKey().make({})
    values["cert"] = ServerCert("key", ca_key="ca-key", ca_cert="ca", names=hosts).make(values)
    for name in ("ca", "key", "cert"):
        (folder / name).write_text(values[name])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context, folder / "ca"


class KeyVault:
    """Secrets of one vault (API 7.x): versions with tags and attributes, in no order, 25 on a page."""

    host = "praxis-test.vault.azure.net"

    def __init__(self) -> None:
        self.versions: dict[str, dict[str, dict[str, Any]]] = {}
        self.instead: dict[tuple[str, str], Answer] = {}
        """(method, path) -> what is answered in place of the service."""
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        """Of the vault."""
        return f"https://{self.host}"

    def answer(self, request: Request) -> Answer:
        """As Key Vault does: a request without a token is told where to get one."""
        if "Authorization" not in request.headers:
            login = "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000"
            challenge = f'Bearer authorization="{login}", resource="https://vault.azure.net"'
            return Answer(401, _azure("Unauthorized", "AKV10000"), {"WWW-Authenticate": challenge})
        self.asked.append((request.method, request.path))
        if (request.method, request.path) in self.instead:
            return self.instead[request.method, request.path]
        if not request.allowed:
            return Answer(403, _azure("Forbidden", "canary: the caller may not"))
        match request.path.strip("/").split("/"):
            case ["secrets", name] if request.method == "PUT":
                return self._put(name, request.body)
            case ["secrets", name, "versions"]:
                return self._page(name, int(request.query.get("$skiptoken", ["0"])[0]))
            case ["secrets", name, version] if request.method == "PATCH":
                kept = self.versions[name][version]
                kept["attributes"].update(request.body["attributes"])
                return Answer(200, {key: value for key, value in kept.items() if key != "value"})
            case ["secrets", name, version]:
                found = self.versions.get(name, {}).get(version)
                return Answer(200, found) if found else _no_secret(name)
        return Answer(400, _azure("BadParameter", "unknown"))

    def _put(self, name: str, body: Mapping[str, Any]) -> Answer:
        if len(body["value"]) > 25_600:
            return Answer(400, _azure("BadParameter", "the value is too long"))
        version = uuid.uuid4().hex
        attributes = {"enabled": True, "created": 1893456000, "updated": 1893456000, "recoveryLevel": "Recoverable"}
        kept = {
            "value": body["value"],
            "contentType": body.get("contentType"),
            "id": f"{self.url}/secrets/{name}/{version}",
            "attributes": {**attributes, **(body.get("attributes") or {})},
            "tags": body.get("tags") or {},
        }
        self.versions.setdefault(name, {})[version] = kept
        return Answer(200, kept)

    def _page(self, name: str, begin: int) -> Answer:
        ordered = sorted(self.versions.get(name, {}).items())  # by version: that is not the order in time
        page = [{k: v for k, v in kept.items() if k != "value"} for _, kept in ordered[begin : begin + 25]]
        following = f"{self.url}:443/secrets/{name}/versions?api-version=7.6&$skiptoken={begin + 25}"
        return Answer(200, {"value": page, "nextLink": following if len(ordered) > begin + 25 else None})


class Caller:
    """Credentials of Azure that are good, or with another token are not."""

    def __init__(self, token: str = TOKEN) -> None:
        self._token = token

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """For the scope of all vaults, and no other."""
        assert scopes == ("https://vault.azure.net/.default",)
        return AccessToken(self._token, 4_102_444_800)


def _azure(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _no_secret(name: str) -> Answer:
    return Answer(404, _azure("SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault."))


class Cluster:
    """Secrets of one namespace, as the API server of Kubernetes answers for them."""

    namespace = "gateway"

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.instead: Answer | None = None
        self._revision = 1000

    def answer(self, request: Request) -> Answer:
        """As the API server does."""
        if self.instead is not None:
            return self.instead
        if not request.allowed:
            return _status(401, "Unauthorized", "Unauthorized")
        collection = f"/api/v1/namespaces/{self.namespace}/secrets"
        name = request.path.removeprefix(collection).strip("/")
        if not request.path.startswith(collection):
            return _status(404, "NotFound", "namespaces not found")
        if request.method == "POST":
            return self._create(request.body)
        if name not in self.secrets:
            return _status(404, "NotFound", f'secrets "{name}" not found')
        if request.method == "PATCH":
            if request.headers["Content-Type"] != "application/merge-patch+json":
                return _status(415, "UnsupportedMediaType", "")
            return self._patch(name, request.body)
        return Answer(200, self.secrets[name])

    def _create(self, body: dict[str, Any]) -> Answer:
        name = body["metadata"]["name"]
        if name in self.secrets:
            return _status(409, "AlreadyExists", f'secrets "{name}" already exists')
        self.secrets[name] = self._stamped(body)
        return Answer(201, self.secrets[name])

    def _patch(self, name: str, body: dict[str, Any]) -> Answer:
        kept = self.secrets[name]
        if body["metadata"]["resourceVersion"] != kept["metadata"]["resourceVersion"]:
            return _status(409, "Conflict", "the object has been modified; please apply your changes")
        self.secrets[name] = self._stamped({**kept, "data": {**kept["data"], **body["data"]}})
        return Answer(200, self.secrets[name])

    def _stamped(self, secret: dict[str, Any]) -> dict[str, Any]:
        self._revision += 1
        return {**secret, "metadata": {**secret["metadata"], "resourceVersion": str(self._revision)}}


def _status(code: int, reason: str, message: str) -> Answer:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return Answer(code, {**body, "message": message, "reason": reason, "code": code})


def kubeconfig(path: Path, port: int, token: str = TOKEN) -> Path:
    """A kubeconfig for a cluster on this host, with one context, ``test``."""
    settings = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(settings))
    return path
