"""A company's directory, played by a second Keycloak; and the browser of somebody who signs in by it."""

from __future__ import annotations

import re
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import docker
import httpx
from docker.models.containers import Container

from tests import keycloak_in_memory
from tests.browser import Loopback, Page
from tests.provider import AUTHORITY, CERTIFICATE, CORPORATE

PORT = 8443
REALM = "corporate"
BASE = f"https://{CORPORATE}:{PORT}/realms/{REALM}"
CLIENT_SECRET = "corporatecanaryS" * 2
PASSWORD = "corporatecanaryP"
START_S = 400
MOST_PAGES = 20


class _ByName(Loopback):
    """Finds the directory too, at the port that is published."""

    def __init__(self, port: int, authority: Path) -> None:
        super().__init__(verify=ssl.create_default_context(cafile=str(authority)))
        self._port = port

    def port_of(self, url: httpx.URL) -> int | None:
        return self._port if url.host == CORPORATE else super().port_of(url)


@dataclass(frozen=True)
class Corporate:
    """The running directory. ``port``: of this machine."""

    port: int
    authority: Path
    admin_password: str = field(repr=False)

    def http(self) -> httpx.Client:
        """A client that finds it."""
        return httpx.Client(transport=_ByName(self.port, self.authority), timeout=60, follow_redirects=True)

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Its admin API, under ``/admin/realms``."""
        form = {
            "grant_type": "password",
            "client_id": "admin-cli",
            "username": "admin",
            "password": self.admin_password,
        }
        with self.http() as http:
            base = f"https://{CORPORATE}:{PORT}"
            token = (
                http.post(f"{base}/realms/master/protocol/openid-connect/token", data=form).raise_for_status().json()
            )
            headers = {"Authorization": f"Bearer {token['access_token']}"}
            return http.request(method, f"{base}/admin/realms{path}", json=body, headers=headers).raise_for_status()

    def found(self, realm: str) -> None:
        """Make the company: groups, and an application for each protocol. ``realm``: the gateway's own address."""
        if any(one["realm"] == REALM for one in self.ask("GET", "").json()):
            self.ask("DELETE", f"/{REALM}")
        self.ask("POST", "", {"realm": REALM, "enabled": True})
        for group in ("gw-engineers", "gw-analysts", "gw-careful", "gw-auditors", "research", "finance"):
            self.ask("POST", f"/{REALM}/groups", {"name": group})
        self.ask("POST", f"/{REALM}/clients", _openid_client(f"{realm}/broker/corporate/endpoint"))
        self.ask("POST", f"/{REALM}/clients", _saml_client(realm, f"{realm}/broker/corporate-saml/endpoint"))

    def hire(self, first_name: str, *groups: str, email: str = "") -> str:
        """Somebody new; returns the user name, which nobody had before, neither here nor in the gateway."""
        name = f"{first_name}-{secrets.token_hex(3)}"
        self.ask(
            "POST",
            f"/{REALM}/users",
            {
                "username": name, "enabled": True, "email": email or f"{name}@{CORPORATE}", "emailVerified": True,
                "firstName": first_name.title(), "lastName": "Corporate", "groups": [f"/{group}" for group in groups],
                "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}],
            },
        )  # fmt: skip
        return name

    def move(self, name: str, *groups: str) -> None:
        """These groups from now on, and no other."""
        user = self._id(name)
        for group in self.ask("GET", f"/{REALM}/users/{user}/groups").json():
            self.ask("DELETE", f"/{REALM}/users/{user}/groups/{group['id']}")
        known = {group["name"]: group["id"] for group in self.ask("GET", f"/{REALM}/groups").json()}
        for group in groups:
            self.ask("PUT", f"/{REALM}/users/{user}/groups/{known[group]}")

    def dismiss(self, name: str) -> None:
        """Somebody is gone."""
        self.ask("DELETE", f"/{REALM}/users/{self._id(name)}")

    def _id(self, name: str) -> str:
        return str(self.ask("GET", f"/{REALM}/users?username={name}&exact=true").json()[0]["id"])

    @cached_property
    def certificate(self) -> str:
        """By which its SAML answers are signed (PEM)."""
        keys = self.ask("GET", f"/{REALM}/keys").json()["keys"]
        (found,) = (key["certificate"] for key in keys if key.get("use") == "SIG" and key.get("certificate"))
        return f"-----BEGIN CERTIFICATE-----\n{found}\n-----END CERTIFICATE-----\n"

    def declared(self) -> dict[str, dict[str, Any]]:
        """Both ways to it, as a stack file declares them."""
        gives = {
            "roles": {"careful": ["gw-careful"], "engineer": ["gw-engineers"], "analyst": ["gw-analysts"]},
            "departments": {"research": ["research"], "finance": ["finance"]},
            "auditors": ["gw-auditors"],
        }
        protocol = f"{BASE}/protocol/openid-connect"
        return {
            "corporate": {
                "kind": "oidc",
                "title": "Corporate",
                "issuer": BASE,
                "authorization_url": f"{protocol}/auth",
                "token_url": f"{protocol}/token",
                "keys_url": f"{protocol}/certs",
                "user_info_url": f"{protocol}/userinfo",
                "client_id": "praxis",
                "client_secret": "secret://corporate-client-secret",
                **gives,
            },
            "corporate-saml": {
                "kind": "saml",
                "entity_id": BASE,
                "sign_in_url": f"{BASE}/protocol/saml",
                "signing_certificate": self.certificate,
                **gives,
            },
        }


def _openid_client(redirect: str) -> dict[str, Any]:
    config = {"claim.name": "groups", "full.path": "false", "id.token.claim": "true", "userinfo.token.claim": "true"}
    return {
        "clientId": "praxis",
        "secret": CLIENT_SECRET,
        "redirectUris": [redirect],
        "attributes": {"pkce.code.challenge.method": "S256"},
        "protocolMappers": [
            {
                "name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
                "config": config,
            }
        ],
    }  # fmt: skip


def _saml_client(entity_id: str, redirect: str) -> dict[str, Any]:
    def told(name: str, mapper: str, **config: str) -> dict[str, Any]:
        config = {"attribute.nameformat": "Basic", "attribute.name": name} | {
            key.replace("_", "."): value for key, value in config.items()
        }
        return {"name": name, "protocol": "saml", "protocolMapper": mapper, "config": config}

    return {
        "clientId": entity_id,
        "protocol": "saml",
        "frontchannelLogout": True,
        "redirectUris": [redirect],
        "attributes": {
            "saml.assertion.signature": "true",
            "saml.server.signature": "true",
            "saml.client.signature": "false",
            "saml.force.post.binding": "true",
            "saml.authnstatement": "true",
        },
        "protocolMappers": [
            told("groups", "saml-group-membership-mapper", single="true", full_path="false"),
            *(
                told(name, "saml-user-property-mapper", user_attribute=name)
                for name in ("email", "firstName", "lastName")
            ),
        ],
    }


@contextmanager
def running(stack: str, certificates: Path, *, keep: bool = False) -> Iterator[Corporate]:
    """The directory on the stack's outside network, and at a port of this machine for browsers.

    ``keep``: for work on the tests: it is taken as an earlier run has left it, and stays.
    """
    client, name = docker.from_env(), f"praxis-test-corporate-{stack}"
    for left in client.containers.list(all=True, filters={"name": name}):
        if not keep or left.status != "running":
            left.remove(v=True, force=True)
    container = next(iter(client.containers.list(filters={"name": name})), None) or _made(client, name, certificates)
    try:
        network = client.networks.get(f"praxis-{stack}-outside")
        if container not in network.containers:
            network.connect(container, aliases=[CORPORATE])
        container.start()
        container.reload()
        yield _ready(container, certificates)
    finally:
        if not keep:
            container.remove(v=True, force=True)


def _made(client: docker.DockerClient, name: str, certificates: Path) -> Container:
    return client.containers.create(
        keycloak_in_memory.image(),
        [
            "start", "--optimized", f"--hostname=https://{CORPORATE}:{PORT}",
            f"--https-certificate-file=/certificates/{CERTIFICATE}",
            f"--https-certificate-key-file=/certificates/{CERTIFICATE}", f"--https-port={PORT}",
        ],
        name=name,
        environment=keycloak_in_memory.admin(secrets.token_urlsafe(16)),
        volumes={str(certificates): {"bind": "/certificates", "mode": "ro"}},
        ports={f"{PORT}/tcp": ("127.0.0.1", None)},  # type: ignore[dict-item]  # the stubs know no "any port"
    )  # fmt: skip


def _ready(container: Container, certificates: Path) -> Corporate:
    port = int((container.ports[f"{PORT}/tcp"] or [])[0]["HostPort"])
    given = dict(one.split("=", 1) for one in container.attrs["Config"]["Env"])
    corporate = Corporate(port, certificates / AUTHORITY, admin_password=given[keycloak_in_memory.PASSWORD_VARIABLE])
    until = time.monotonic() + START_S
    while True:
        try:
            corporate.ask("GET", "")
            return corporate
        except httpx.HTTPError as error:
            if time.monotonic() > until:
                log = container.logs(tail=20).decode(errors="replace")
                raise RuntimeError(f"the directory did not start ({error}); it said:\n{log}") from None
        time.sleep(1)


class SignInRefusedError(Exception):
    """The directory does not let this person in; the message is what its page says."""


def sign_in(corporate: Corporate, start: str, *, by: str, name: str) -> httpx.Response:
    """Go to ``start`` with a browser that knows nothing yet, and follow what the pages ask for; returns the last one.

    Raises:
        SignInRefusedError: the directory refuses.
    """
    with corporate.http() as http:
        answer, tried = http.get(start), False
        for _ in range(MOST_PAGES):
            page = Page(answer.text)
            link = page.links.get(f"social-{by}")
            form = next((form for form in page.forms if form[1]), None)
            if answer.url.host != CORPORATE and link:
                answer = http.get(answer.url.join(link))
            elif form is None:
                return answer
            elif "SAMLResponse" in form[1] or "SAMLRequest" in form[1]:
                answer = http.post(answer.url.join(form[0]), data=form[1])
            elif answer.url.host == CORPORATE and "password" in form[1]:
                if tried:
                    raise SignInRefusedError(" ".join(re.sub(r"<[^>]+>", " ", answer.text).split())[-300:])
                tried = True
                fields = {**form[1], "username": name, "password": PASSWORD}
                answer = http.post(answer.url.join(form[0]), data=fields)
            elif "accept" in form[1]:
                fields = {key: value for key, value in form[1].items() if key != "cancel"}
                answer = http.post(answer.url.join(form[0]), data=fields)
            else:
                return answer
        raise AssertionError(f"no end of pages; the last was {answer.url}")


def token_of(corporate: Corporate, realm: str, *, by: str, name: str) -> dict[str, Any]:
    """What the command line gets for somebody who signs in with a browser: the device flow (RFC 8628)."""
    protocol = f"{realm}/protocol/openid-connect"
    with corporate.http() as http:
        begun = http.post(f"{protocol}/auth/device", data={"client_id": "praxis-cli"}).raise_for_status().json()
        page = sign_in(corporate, begun["verification_uri_complete"], by=by, name=name)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": "praxis-cli",
            "device_code": begun["device_code"],
        }
        answer = http.post(f"{protocol}/token", data=form)
        assert answer.is_success, f"{answer.text}\nafter {page.url}: {page.status_code}\n{page.text[-3000:]}"
        found: dict[str, Any] = answer.json()
        return found
