"""``python -m infra.plugins.standins.keycloak``: started by the engine."""

from __future__ import annotations

from pulumi.provider.experimental import provider as sdk

from config.versions import PULUMI_KEYCLOAK
from infra.plugins.standins.core import StandIn
from infra.plugins.standins.keycloak import clients, realm
from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.serving import run
from infra.plugins.standins.values import plain


class KeycloakStandIn(StandIn):
    """Signs in with the provider's settings when the first resource needs it."""

    def __init__(self) -> None:
        super().__init__("keycloak", PULUMI_KEYCLOAK)
        self.admin = Admin()
        self.register(
            realm.RealmType(self.admin),
            realm.RoleType(self.admin),
            realm.GroupType(self.admin),
            realm.UserType(self.admin),
            realm.UserRolesType(self.admin),
            realm.UserGroupsType(self.admin),
            clients.ClientType(self.admin),
            clients.ClientScopeType(self.admin),
            clients.AudienceMapperType(self.admin),
            clients.GroupMapperType(self.admin),
            clients.RealmRoleMapperType(self.admin),
            clients.DefaultScopesType(self.admin),
            clients.ServiceAccountRoleType(self.admin),
        )

    async def configure(self, request: sdk.ConfigureRequest) -> sdk.ConfigureResponse:
        self.admin.configure(plain(request.args))
        return await super().configure(request)


if __name__ == "__main__":
    run(KeycloakStandIn(), PULUMI_KEYCLOAK)
