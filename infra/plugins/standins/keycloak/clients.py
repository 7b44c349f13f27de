"""Clients, their scopes and protocol mappers, and the roles of service accounts."""

from __future__ import annotations

from typing import Any

from infra.plugins.standins.core import GoneError, ResourceType
from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.keycloak.table import Field, TableType, flag, number, text
from infra.plugins.standins.values import Plain

_ACCESS = {
    "CONFIDENTIAL": {"publicClient": False, "bearerOnly": False},
    "PUBLIC": {"publicClient": True, "bearerOnly": False},
    "BEARER-ONLY": {"publicClient": False, "bearerOnly": True},
}


class ClientType(TableType):
    """``keycloak:openid/client:Client``; its id is Keycloak's own, not the client id."""

    token = "keycloak:openid/client:Client"  # noqa: S105 - a type token
    fields = {
        "clientId": text("clientId"),
        "name": text("name"),
        "description": text("description"),
        "enabled": text("enabled"),
        "clientSecret": text("secret"),
        "standardFlowEnabled": text("standardFlowEnabled"),
        "implicitFlowEnabled": text("implicitFlowEnabled"),
        "directAccessGrantsEnabled": text("directAccessGrantsEnabled"),
        "serviceAccountsEnabled": text("serviceAccountsEnabled"),
        "frontchannelLogoutEnabled": text("frontchannelLogout"),
        "fullScopeAllowed": text("fullScopeAllowed"),
        "consentRequired": text("consentRequired"),
        "rootUrl": text("rootUrl"),
        "baseUrl": text("baseUrl"),
        "validRedirectUris": text("redirectUris"),
        "webOrigins": text("webOrigins"),
        "clientAuthenticatorType": text("clientAuthenticatorType"),
        "accessTokenLifespan": text("attributes.access\\.token\\.lifespan"),
        "pkceCodeChallengeMethod": text("attributes.pkce\\.code\\.challenge\\.method"),
        "oauth2DeviceAuthorizationGrantEnabled": flag("attributes.oauth2\\.device\\.authorization\\.grant\\.enabled"),
        "useRefreshTokens": flag("attributes.use\\.refresh\\.tokens"),
    }
    constant = {"protocol": "openid-connect"}
    defaults = {
        "enabled": True,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        "serviceAccountsEnabled": False,
        "fullScopeAllowed": True,
        "clientAuthenticatorType": "client-secret",
        "oauth2DeviceAuthorizationGrantEnabled": False,
        "useRefreshTokens": True,
    }
    unordered = frozenset({"validRedirectUris", "webOrigins", "validPostLogoutRedirectUris"})
    computed = frozenset({"clientSecret", "resourceServerId", "serviceAccountUserId", "name", "rootUrl", "baseUrl",
                          "webOrigins", "validRedirectUris"})  # fmt: skip

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/clients"

    def body(self, inputs: Plain) -> dict[str, Any]:
        return {**super().body(inputs), **_ACCESS[inputs["accessType"]]}

    def state(self, body: Any, known: Plain) -> Plain:
        access = "PUBLIC" if body.get("publicClient") else "BEARER-ONLY" if body.get("bearerOnly") else "CONFIDENTIAL"
        return {**super().state(body, known), "accessType": access}

    def outputs(self, resource_id: str, inputs: Plain) -> Plain:
        if not inputs.get("serviceAccountsEnabled"):
            return {}
        account = self.admin.get(f"{self.item(resource_id, inputs)}/service-account-user")
        return {"serviceAccountUserId": account["id"]}


class ClientScopeType(TableType):
    """``keycloak:openid/clientScope:ClientScope``."""

    token = "keycloak:openid/clientScope:ClientScope"  # noqa: S105 - a type token
    fields = {
        "name": text("name"),
        "description": text("description"),
        "consentScreenText": text("attributes.consent\\.screen\\.text"),
        "includeInTokenScope": flag("attributes.include\\.in\\.token\\.scope"),
        "guiOrder": number("attributes.gui\\.order"),
    }
    constant = {"protocol": "openid-connect"}
    defaults = {"includeInTokenScope": True}

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/client-scopes"


class MapperType(TableType):
    """What all protocol mappers have in common; they belong to a client or to a client scope."""

    mapper: str
    own: dict[str, Field]

    @property
    def fields(self) -> dict[str, Field]:  # type: ignore[override]  # common fields and a type's own
        """Common fields and the type's own."""
        return {"name": text("name"), **self.own}

    @property
    def constant(self) -> dict[str, Any]:  # type: ignore[override]  # holds the type's own mapper
        """The mapper's kind."""
        return {"protocol": "openid-connect", "protocolMapper": self.mapper}

    def collection(self, values: Plain) -> str:
        owner = f"clients/{values['clientId']}" if "clientId" in values else f"client-scopes/{values['clientScopeId']}"
        return f"/{values['realmId']}/{owner}/protocol-mappers/models"

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        self.admin.put(self.item(resource_id, new), {"id": resource_id, **self.body(new)})
        return {}

    def located(self, resource_id: str, state: Plain) -> tuple[Plain, str]:
        if state:
            return state, resource_id
        realm, kind, owner, mapper = resource_id.split("/")  # as the official plugin imports: realm/client/ID/ID
        return {"realmId": realm, "clientId" if kind == "client" else "clientScopeId": owner}, mapper


_IN_TOKENS = {
    "addToAccessToken": flag("config.access\\.token\\.claim"),
    "addToIdToken": flag("config.id\\.token\\.claim"),
}
_IN_USERINFO = {"addToUserinfo": flag("config.userinfo\\.token\\.claim")}
_CLAIM = {
    "claimName": text("config.claim\\.name"),
    "claimValueType": text("config.jsonType\\.label"),
}
_EVERYWHERE = {"addToAccessToken": True, "addToIdToken": True, "addToUserinfo": True}


class AudienceMapperType(MapperType):
    """``keycloak:openid/audienceProtocolMapper:AudienceProtocolMapper``."""

    token = "keycloak:openid/audienceProtocolMapper:AudienceProtocolMapper"  # noqa: S105 - a type token
    mapper = "oidc-audience-mapper"
    own = {
        **_IN_TOKENS,
        "includedClientAudience": text("config.included\\.client\\.audience"),
        "includedCustomAudience": text("config.included\\.custom\\.audience"),
    }
    defaults = {"addToAccessToken": True, "addToIdToken": True}


class GroupMapperType(MapperType):
    """``keycloak:openid/groupMembershipProtocolMapper:GroupMembershipProtocolMapper``."""

    token = "keycloak:openid/groupMembershipProtocolMapper:GroupMembershipProtocolMapper"  # noqa: S105 - a type token
    mapper = "oidc-group-membership-mapper"
    own = {**_IN_TOKENS, **_IN_USERINFO, "claimName": _CLAIM["claimName"], "fullPath": flag("config.full\\.path")}
    defaults = {**_EVERYWHERE, "fullPath": True}


class RealmRoleMapperType(MapperType):
    """``keycloak:openid/userRealmRoleProtocolMapper:UserRealmRoleProtocolMapper``."""

    token = "keycloak:openid/userRealmRoleProtocolMapper:UserRealmRoleProtocolMapper"  # noqa: S105 - a type token
    mapper = "oidc-usermodel-realm-role-mapper"
    own = {
        **_IN_TOKENS,
        **_IN_USERINFO,
        **_CLAIM,
        "multivalued": flag("config.multivalued"),
        "realmRolePrefix": text("config.usermodel\\.realmRoleMapping\\.rolePrefix"),
    }
    defaults = {**_EVERYWHERE, "claimValueType": "String", "multivalued": False}


class DefaultScopesType(ResourceType):
    """``keycloak:openid/clientDefaultScopes:ClientDefaultScopes``: exactly these; its id is ``realm/client``."""

    token = "keycloak:openid/clientDefaultScopes:ClientDefaultScopes"  # noqa: S105 - a type token
    unordered = frozenset({"defaultScopes"})

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        self._set(inputs["realmId"], inputs["clientId"], set(inputs["defaultScopes"]))
        return f"{inputs['realmId']}/{inputs['clientId']}", {}

    def read(self, resource_id: str, state: Plain) -> Plain:
        realm, client = resource_id.split("/", 1)
        return {"realmId": realm, "clientId": client, "defaultScopes": sorted(self._held(realm, client))}

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        self._set(new["realmId"], new["clientId"], set(new["defaultScopes"]))
        return {}

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        self._set(state["realmId"], state["clientId"], set())

    def _held(self, realm: str, client: str) -> dict[str, str]:
        return {s["name"]: s["id"] for s in self._admin.get(f"/{realm}/clients/{client}/default-client-scopes")}

    def _set(self, realm: str, client: str, wanted: set[str]) -> None:
        held = self._held(realm, client)
        known = {scope["name"]: scope["id"] for scope in self._admin.get(f"/{realm}/client-scopes")}
        missing = wanted - known.keys()
        if missing:
            raise GoneError(f"realm '{realm}' has no client scope: {', '.join(sorted(missing))}")
        for name in sorted(held.keys() - wanted):
            self._admin.delete(f"/{realm}/clients/{client}/default-client-scopes/{held[name]}")
        for name in sorted(wanted - held.keys()):
            # A scope is default or optional, not both.
            self._admin.delete(f"/{realm}/clients/{client}/optional-client-scopes/{known[name]}")
            self._admin.put(f"/{realm}/clients/{client}/default-client-scopes/{known[name]}")


class ServiceAccountRoleType(ResourceType):
    """``keycloak:openid/clientServiceAccountRealmRole:ClientServiceAccountRealmRole``; its id is ``user/role``."""

    token = "keycloak:openid/clientServiceAccountRealmRole:ClientServiceAccountRealmRole"  # noqa: S105 - a type token

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        role = self._admin.get(f"/{inputs['realmId']}/roles/{inputs['role']}")
        self._admin.post(self._path(inputs), [role])
        return f"{inputs['serviceAccountUserId']}/{role['id']}", {}

    def read(self, resource_id: str, state: Plain) -> Plain:
        role_id = resource_id.rsplit("/", 1)[-1]
        for role in self._admin.get(self._path(state)):
            if role["id"] == role_id:
                return {**state, "role": role["name"]}
        raise GoneError("the service account does not have this role")

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        return {}

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        role = self._admin.get(f"/{state['realmId']}/roles/{state['role']}")
        self._admin.delete(self._path(state), [role])

    def _path(self, values: Plain) -> str:
        return f"/{values['realmId']}/users/{values['serviceAccountUserId']}/role-mappings/realm"
