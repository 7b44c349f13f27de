"""The provider: which types it serves, and how it signs in. The HTTP client is loaded when it is needed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from infra.plugins.standins.core import READ_PATIENCE_S, StandIn
from infra.plugins.standins.keycloak.settings import Settings
from infra.plugins.standins.kinds import Call, Function, ResourceType
from infra.plugins.standins.schema import load
from infra.plugins.standins.values import Plain

if TYPE_CHECKING:
    from infra.plugins.standins.keycloak.client import Admin

MIN_TIMEOUT_S = 30.0
"""The official plugin's five seconds are too short for a server that has just started on two cores."""
ENVIRONMENT: Mapping[str, str] = {
    "basePath": "KEYCLOAK_BASE_PATH",
    "clientId": "KEYCLOAK_CLIENT_ID",
    "clientSecret": "KEYCLOAK_CLIENT_SECRET",
    "password": "KEYCLOAK_PASSWORD",
    "realm": "KEYCLOAK_REALM",
    "url": "KEYCLOAK_URL",
    "username": "KEYCLOAK_USER",
}
"""Settings that the official plugin takes out of the environment when they are not given."""


class KeycloakStandIn(StandIn):
    """Signs in when the first resource needs it; with ``initialLogin`` (the default) as soon as it has its settings."""

    supported_settings = frozenset(
        {*ENVIRONMENT, "accessToken", "additionalHeaders", "clientTimeout", "initialLogin", "keycloakVersion",
         "rootCaCertificate", "tlsInsecureSkipVerify"}
    )  # fmt: skip
    secret_settings = frozenset({"accessToken", "clientSecret", "password"})

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__(load("keycloak"))
        self.settings = settings or Settings()

    def accept(self, given: Plain) -> None:
        said = {name: os.environ[variable] for name, variable in ENVIRONMENT.items() if os.environ.get(variable)}
        values = {**said, **given}
        self.settings = Settings(
            url=values.get("url", ""),
            base_path=values.get("basePath", ""),
            realm=values.get("realm") or "master",
            client_id=values.get("clientId") or "admin-cli",
            client_secret=values.get("clientSecret", ""),
            username=values.get("username", ""),
            password=values.get("password", ""),
            access_token=values.get("accessToken", ""),
            root_ca=values.get("rootCaCertificate", ""),
            verify=not values.get("tlsInsecureSkipVerify", False),
            timeout_s=max(values.get("clientTimeout", 0), MIN_TIMEOUT_S),
            headers=tuple(sorted(values.get("additionalHeaders", {}).items())),
        )
        if self.settings.url and values.get("initialLogin", True):
            self._sign_in()

    def make_types(self) -> Iterable[ResourceType]:
        from infra.plugins.standins.keycloak import brokering, clients, flows, mappers, people
        from infra.plugins.standins.keycloak.realm import RealmEventsType, RealmType

        admin = self._admin
        return [
            RealmType(admin),
            RealmEventsType(admin),
            people.RoleType(admin),
            people.GroupType(admin),
            people.UserType(admin),
            people.UserRolesType(admin),
            people.UserGroupsType(admin),
            clients.ClientType(admin),
            clients.ClientScopeType(admin),
            clients.DefaultScopesType(admin),
            clients.OptionalScopesType(admin),
            clients.ServiceAccountRoleType(admin),
            clients.ServiceAccountClientRoleType(admin),
            mappers.AudienceMapperType(admin),
            mappers.GroupMapperType(admin),
            mappers.RealmRoleMapperType(admin),
            mappers.HardcodedClaimMapperType(admin),
            brokering.OidcProviderType(admin),
            brokering.SamlProviderType(admin),
            brokering.ProviderMapperType(admin),
            flows.FlowType(admin),
            flows.SubflowType(admin),
            flows.ExecutionType(admin),
            flows.ExecutionConfigType(admin),
            flows.BindingsType(admin),
        ]

    def make_functions(self) -> Mapping[str, Function]:
        from infra.plugins.standins.keycloak.clients import ClientType

        return {
            "keycloak:openid/getClient:getClient": Function(
                ask=ClientType(self._admin).looked_up,
                supported=frozenset({"clientId", "realmId"}),
                secret=frozenset({"clientSecret"}),
            )
        }

    @cached_property
    def _admin(self) -> Admin:
        from infra.plugins.standins.keycloak.client import Admin

        return Admin(self.settings)

    def _sign_in(self) -> None:
        limit = time.monotonic() + READ_PATIENCE_S
        self._admin.sign_in(Call(name="", deadline=limit, patience_s=READ_PATIENCE_S, cancelled=threading.Event()))
