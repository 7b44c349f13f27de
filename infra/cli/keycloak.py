"""Keycloak's admin API, as far as a rotation needs it; and which declared resource holds which secret."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from components.realm import CUSTODIAN_CLIENT, REALM, SSO_CLIENT, TRACES_CLIENT, agent_client
from config.stack import Stack
from infra.cli.console import CommandError, Exit
from infra.plugins.standins.keycloak.settings import Settings
from infra.rotation import directory_secrets
from runtime.store import Store

ADMIN = "admin"
ADMIN_PASSWORD = "keycloak-admin-password"  # noqa: S105 - its name
_IDENTITY = "praxis-identity"
_CLIENTS = {
    "sso-client-secret": SSO_CLIENT,
    "custodian-client-secret": CUSTODIAN_CLIENT,
    "langfuse-client-secret": TRACES_CLIENT,
}
"""The gateway's own clients, by their secrets."""

__all__ = ["ADMIN", "ADMIN_PASSWORD", "REALM", "Admin", "answers", "resource", "signed_in"]


def resource(secret: str, stack: Stack) -> str:
    """Name of the Pulumi resource that is given ``secret``."""
    if directory := directory_secrets(stack).get(secret):
        return f"{_IDENTITY}-federation-directory-{directory}"
    if secret == ADMIN_PASSWORD:
        return f"{_IDENTITY}-admin"
    if secret in _CLIENTS:
        return f"{_IDENTITY}-{REALM}-client-{_CLIENTS[secret]}"
    return f"{_IDENTITY}-{REALM}-{secret.removesuffix('-client-secret').removesuffix('-password')}"


@dataclass(frozen=True)
class Admin:
    """Signed in as the server's admin."""

    http: httpx.Client

    def set_password(self, realm: str, user: str, password: str) -> None:
        """Give a user of ``realm`` a password.

        Raises:
            CommandError: there is no such user, or Keycloak refuses.
        """
        body = {"type": "password", "value": password, "temporary": False}
        path = f"/admin/realms/{realm}/users/{self._id(realm, user)}/reset-password"
        try:
            self.http.put(path, json=body).raise_for_status()
        except httpx.HTTPError as error:
            raise CommandError(f"Keycloak: {error}", code=Exit.UNREACHABLE) from None

    def subject_id(self, name: str, *, agent: bool) -> str:
        """The ``sub`` of a declared person or agent.

        Raises:
            CommandError: there is no such user, or Keycloak refuses.
        """
        return self._id(REALM, f"service-account-{agent_client(name)}" if agent else name, fix="./praxis up")

    def _id(self, realm: str, user: str, fix: str = "") -> str:
        try:
            found = self.http.get(f"/admin/realms/{realm}/users", params={"username": user, "exact": "true"})
            ids = [str(each["id"]) for each in found.raise_for_status().json()]
        except httpx.HTTPError as error:
            raise CommandError(f"Keycloak: {error}", code=Exit.UNREACHABLE) from None
        if not ids:
            raise CommandError(f"Keycloak's realm '{realm}' has no user '{user}'", fix=fix)
        return ids[0]


def keycloak_settings(stack: Stack, store: Store) -> Settings:
    """How the resources of the realm reach the server."""
    return Settings(url=stack.edge.admin_url, username=ADMIN, password=store.accepted(ADMIN_PASSWORD)[0])


def answers(stack: Stack) -> bool:
    """Whether the server can be asked anything."""
    try:
        url = f"{stack.edge.admin_url}/realms/master"
        return httpx.get(url, timeout=10, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def signed_in(stack: Stack, store: Store) -> Iterator[Admin]:
    """The admin API, with the admin's present password or, while that is being changed, the one before.

    Raises:
        CommandError: Keycloak does not answer, or takes neither.
    """
    form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN}
    with httpx.Client(base_url=stack.edge.admin_url, timeout=30, trust_env=False) as http:
        for password in store.accepted(ADMIN_PASSWORD):
            try:
                answer = http.post("/realms/master/protocol/openid-connect/token", data={**form, "password": password})
            except httpx.HTTPError as error:
                raise CommandError(f"Keycloak does not answer: {error}", code=Exit.UNREACHABLE) from None
            if answer.is_success:
                http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
                yield Admin(http)
                return
    raise CommandError("Keycloak takes neither its admin's present password nor the one before")
