"""Clients, client scopes and what belongs to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.keycloak.extras import WithExtras
from infra.plugins.standins.keycloak.table import Field, TableType, flag, joined, number, plainly, segment, texts
from infra.plugins.standins.kinds import Call, GoneError, PluginError, ResourceType
from infra.plugins.standins.values import Plain, known

_ACCESS = {
    "CONFIDENTIAL": {"publicClient": False, "bearerOnly": False},
    "PUBLIC": {"publicClient": True, "bearerOnly": False},
    "BEARER-ONLY": {"publicClient": False, "bearerOnly": True},
}
_FLOWS = ("standardFlowEnabled", "implicitFlowEnabled")
_OVERRIDES = {"browserId": "browser", "directGrantId": "direct_grant"}
"""A client's own flows in place of the realm's, as the official plugin and as Keycloak calls them."""


class ClientType(WithExtras):
    """``keycloak:openid/client:Client``; its id is Keycloak's own, not the client id."""

    token = "keycloak:openid/client:Client"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        "clientId": plainly("clientId"),
        "name": plainly("name"),
        "description": plainly("description"),
        "enabled": plainly("enabled", absent=True),
        "clientSecret": plainly("secret"),
        "clientAuthenticatorType": plainly("clientAuthenticatorType"),
        "standardFlowEnabled": plainly("standardFlowEnabled", absent=False),
        "implicitFlowEnabled": plainly("implicitFlowEnabled", absent=False),
        "directAccessGrantsEnabled": plainly("directAccessGrantsEnabled", absent=False),
        "serviceAccountsEnabled": plainly("serviceAccountsEnabled", absent=False),
        "frontchannelLogoutEnabled": plainly("frontchannelLogout", absent=False),
        "fullScopeAllowed": plainly("fullScopeAllowed", absent=True),
        "consentRequired": plainly("consentRequired", absent=False),
        "alwaysDisplayInConsole": plainly("alwaysDisplayInConsole", absent=False),
        "rootUrl": plainly("rootUrl"),
        "adminUrl": plainly("adminUrl"),
        "baseUrl": plainly("baseUrl"),
        "validRedirectUris": texts("redirectUris", absent=[]),
        "webOrigins": texts("webOrigins", absent=[]),
        "validPostLogoutRedirectUris": joined("attributes.post\\.logout\\.redirect\\.uris"),
        "accessTokenLifespan": plainly("attributes.access\\.token\\.lifespan"),
        "clientSessionIdleTimeout": plainly("attributes.client\\.session\\.idle\\.timeout"),
        "clientSessionMaxLifespan": plainly("attributes.client\\.session\\.max\\.lifespan"),
        "pkceCodeChallengeMethod": plainly("attributes.pkce\\.code\\.challenge\\.method"),
        "loginTheme": plainly("attributes.login_theme"),
        "oauth2DeviceAuthorizationGrantEnabled": flag("attributes.oauth2\\.device\\.authorization\\.grant\\.enabled"),
        "oauth2DeviceCodeLifespan": plainly("attributes.oauth2\\.device\\.code\\.lifespan"),
        "oauth2DevicePollingInterval": plainly("attributes.oauth2\\.device\\.polling\\.interval"),
        "useRefreshTokens": flag("attributes.use\\.refresh\\.tokens"),
        "useRefreshTokensClientCredentials": flag("attributes.client_credentials\\.use_refresh_token"),
        "backchannelLogoutUrl": plainly("attributes.backchannel\\.logout\\.url"),
        "backchannelLogoutSessionRequired": flag("attributes.backchannel\\.logout\\.session\\.required"),
        "backchannelLogoutRevokeOfflineSessions": flag("attributes.backchannel\\.logout\\.revoke\\.offline\\.tokens"),
        "frontchannelLogoutUrl": plainly("attributes.frontchannel\\.logout\\.url"),
        "standardTokenExchangeEnabled": flag("attributes.standard\\.token\\.exchange\\.enabled"),
    }
    extras_in = "attributes"
    constant = {"protocol": "openid-connect"}
    supported = frozenset({*fields, "accessType", "authenticationFlowBindingOverrides", "extraConfig", "realmId"})
    defaults = {
        "alwaysDisplayInConsole": False,
        "backchannelLogoutSessionRequired": True,
        "clientAuthenticatorType": "client-secret",
        "enabled": True,
        "fullScopeAllowed": True,
        "import": False,
        "oauth2DeviceAuthorizationGrantEnabled": False,
        "useRefreshTokens": True,
        "useRefreshTokensClientCredentials": False,
    }
    sets = frozenset({"validRedirectUris", "validPostLogoutRedirectUris", "webOrigins"})
    computed = frozenset(
        {
            "accessTokenLifespan", "adminUrl", "baseUrl", "clientSecret", "clientSessionIdleTimeout",
            "clientSessionMaxLifespan", "consentRequired", "description", "directAccessGrantsEnabled",
            "frontchannelLogoutEnabled", "implicitFlowEnabled", "name", "rootUrl", "serviceAccountUserId",
            "serviceAccountsEnabled", "standardFlowEnabled", "validPostLogoutRedirectUris", "validRedirectUris",
            "webOrigins",
        }
    )  # fmt: skip
    none_if_absent = frozenset({"authenticationFlowBindingOverrides"})
    recomputed = {"serviceAccountsEnabled": frozenset({"serviceAccountUserId"})}

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        access, flows = known(inputs["accessType"], "CONFIDENTIAL"), any(inputs.get(flow) for flow in _FLOWS)
        if "clientId" not in inputs:
            yield "clientId", "is required"
        if access not in _ACCESS:
            yield "accessType", f"must be one of {', '.join(_ACCESS)}"
        if inputs.get("serviceAccountsEnabled") and access in ("PUBLIC", "BEARER-ONLY"):
            yield "serviceAccountsEnabled", f"needs accessType CONFIDENTIAL, not {access}"
        if inputs.get("validRedirectUris") and not flows:
            yield "validRedirectUris", "needs standardFlowEnabled or implicitFlowEnabled"
        if inputs.get("webOrigins") and not flows and not inputs.get("directAccessGrantsEnabled"):
            yield "webOrigins", "needs standardFlowEnabled, implicitFlowEnabled or directAccessGrantsEnabled"

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/clients"

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.collection(inputs), call, clientId=inputs["clientId"])
        return str(found[0]["id"]) if found else None

    def looked_up(self, given: Plain, call: Call) -> Plain:
        """``keycloak:openid/getClient:getClient``: a client that somebody else has made, Keycloak itself perhaps."""
        own_id = self.find(given, call)
        if own_id is None:
            raise PluginError(f"realm '{given['realmId']}' has no client '{given['clientId']}'")
        _, live = self.read(own_id, {"realmId": given["realmId"]}, call)
        return {**live, "id": own_id, "realmId": given["realmId"]}

    def body(self, inputs: Plain) -> dict[str, Any]:
        given = inputs.get("authenticationFlowBindingOverrides") or {}
        # Always sent: what is declared nowhere would else stay, and with it another way to sign in.
        own = {theirs: given.get(ours) or "" for ours, theirs in _OVERRIDES.items()}
        return {
            **super().body(inputs),
            **_ACCESS[inputs["accessType"]],
            "authenticationFlowBindingOverrides": own,
        }

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        access = "PUBLIC" if body.get("publicClient") else "BEARER-ONLY" if body.get("bearerOnly") else "CONFIDENTIAL"
        found = body.get("authenticationFlowBindingOverrides") or {}
        own = {ours: found[theirs] for ours, theirs in _OVERRIDES.items() if found.get(theirs)}
        more = (
            {"authenticationFlowBindingOverrides": own} if own or "authenticationFlowBindingOverrides" in known else {}
        )
        return {**super().state(body, known), "accessType": access, **more}

    def outputs(self, resource_id: str, values: Plain, call: Call) -> Plain:
        if not values.get("serviceAccountsEnabled"):
            return {"serviceAccountUserId": ""}
        account = self.admin.get(f"{self.item(resource_id, values)}/service-account-user", call)
        return {"serviceAccountUserId": account["id"]}


class ClientScopeType(TableType):
    """``keycloak:openid/clientScope:ClientScope``."""

    token = "keycloak:openid/clientScope:ClientScope"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        "name": plainly("name"),
        "description": plainly("description"),
        "consentScreenText": plainly("attributes.consent\\.screen\\.text"),
        "includeInTokenScope": flag("attributes.include\\.in\\.token\\.scope"),
        "guiOrder": number("attributes.gui\\.order"),
    }
    constant = {"protocol": "openid-connect"}
    supported = frozenset({*fields, "realmId"})
    autonamed = True
    defaults = {"includeInTokenScope": True}

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/client-scopes"

    def body(self, inputs: Plain) -> dict[str, Any]:
        body = super().body(inputs)
        shown = "true" if inputs.get("consentScreenText") else "false"
        return {**body, "attributes": {**body.get("attributes", {}), "display.on.consent.screen": shown}}

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.collection(inputs), call)
        return next((str(scope["id"]) for scope in found if scope["name"] == inputs["name"]), None)


class _ScopesType(ResourceType):
    """A client's scopes of one kind: exactly these; its id is ``realm/client``."""

    names: ClassVar[str]
    """The property that lists them."""
    kind: ClassVar[str]
    other: ClassVar[str]
    """This kind and the other, as Keycloak's paths call them: a scope is of one of them, not both."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        self._set(inputs, call)
        return f"{inputs['realmId']}/{inputs['clientId']}", {}

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        realm, _, client = resource_id.partition("/")
        if not client:
            raise PluginError(f"'{resource_id}' is no import id for this type: it is REALM/CLIENT_ID")
        held = self._held(f"/{realm}/clients/{client}", call)
        return resource_id, {"realmId": realm, "clientId": client, self.names: sorted(held)}

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        self._set(new, call)
        return {}

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        client = f"/{state['realmId']}/clients/{state['clientId']}"
        held = self._held(client, call)
        for name in sorted(held.keys() & set(state[self.names])):
            self._admin.delete(f"{client}/{self.kind}/{held[name]}", call)

    def _held(self, client: str, call: Call) -> dict[str, str]:
        return {scope["name"]: scope["id"] for scope in self._admin.get(f"{client}/{self.kind}", call)}

    def _set(self, inputs: Plain, call: Call) -> None:
        wanted = set(inputs[self.names])
        client = f"/{inputs['realmId']}/clients/{inputs['clientId']}"
        held = self._held(client, call)
        known = {scope["name"]: scope["id"] for scope in self._admin.get(f"/{inputs['realmId']}/client-scopes", call)}
        if missing := sorted(wanted - known.keys()):
            raise PluginError(f"realm '{inputs['realmId']}' has no client scope {', '.join(missing)}")
        for name in sorted(held.keys() - wanted):
            self._admin.delete(f"{client}/{self.kind}/{held[name]}", call)
        for name in sorted(wanted - held.keys()):
            self._admin.delete(f"{client}/{self.other}/{known[name]}", call)
            self._admin.put(f"{client}/{self.kind}/{known[name]}", None, call)


class DefaultScopesType(_ScopesType):
    """``keycloak:openid/clientDefaultScopes:ClientDefaultScopes``: in every token of the client."""

    token = "keycloak:openid/clientDefaultScopes:ClientDefaultScopes"  # noqa: S105 - a type token
    supported = frozenset({"clientId", "defaultScopes", "realmId"})
    sets = frozenset({"defaultScopes"})
    names, kind, other = "defaultScopes", "default-client-scopes", "optional-client-scopes"


class OptionalScopesType(_ScopesType):
    """``keycloak:openid/clientOptionalScopes:ClientOptionalScopes``: in the tokens for which they are asked."""

    token = "keycloak:openid/clientOptionalScopes:ClientOptionalScopes"  # noqa: S105 - a type token
    supported = frozenset({"clientId", "optionalScopes", "realmId"})
    sets = frozenset({"optionalScopes"})
    names, kind, other = "optionalScopes", "optional-client-scopes", "default-client-scopes"


class ServiceAccountRoleType(ResourceType):
    """``keycloak:openid/clientServiceAccountRealmRole:ClientServiceAccountRealmRole``; its id is ``user/role``."""

    token = "keycloak:openid/clientServiceAccountRealmRole:ClientServiceAccountRealmRole"  # noqa: S105 - a type token
    supported = frozenset({"realmId", "role", "serviceAccountUserId"})
    place: ClassVar[tuple[str, ...]] = ("realmId", "serviceAccountUserId")
    """What an import's id names before the role's."""
    import_form: ClassVar[str] = "REALM/SERVICE_ACCOUNT_USER_ID/ROLE_ID"

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def roles(self, values: Plain) -> str:
        """Path of the roles that can be given."""
        return f"/{values['realmId']}/roles"

    def mappings(self, values: Plain) -> str:
        """Path of those that the account has."""
        return f"/{values['realmId']}/users/{values['serviceAccountUserId']}/role-mappings/realm"

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        role = self._role(inputs, call)
        self._admin.post(self.mappings(inputs), [role], call)
        return f"{inputs['serviceAccountUserId']}/{role['id']}", {}

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        *place, role_id = resource_id.split("/")
        if not state:
            if len(place) != len(self.place):
                raise PluginError(f"'{resource_id}' is no import id for this type: it is {self.import_form}")
            state = dict(zip(self.place, place, strict=True))
        for role in self._admin.get(self.mappings(state), call):
            if role["id"] == role_id:
                return f"{state['serviceAccountUserId']}/{role_id}", {**state, "role": role["name"]}
        raise GoneError("the service account does not have this role")

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        return {}  # by the schema every change is a replacement

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        self._admin.delete(self.mappings(state), call, [self._role(state, call)])

    def _role(self, values: Plain, call: Call) -> Any:
        return self._admin.get(f"{self.roles(values)}/{segment(values['role'])}", call)


class ServiceAccountClientRoleType(ServiceAccountRoleType):
    """``keycloak:openid/clientServiceAccountRole:ClientServiceAccountRole``: a role that another client has."""

    token = "keycloak:openid/clientServiceAccountRole:ClientServiceAccountRole"  # noqa: S105 - a type token
    supported = frozenset({"clientId", "realmId", "role", "serviceAccountUserId"})
    place = ("realmId", "serviceAccountUserId", "clientId")
    import_form = "REALM/SERVICE_ACCOUNT_USER_ID/CLIENT_ID/ROLE_ID"

    def roles(self, values: Plain) -> str:
        return f"/{values['realmId']}/clients/{values['clientId']}/roles"

    def mappings(self, values: Plain) -> str:
        user = f"/{values['realmId']}/users/{values['serviceAccountUserId']}"
        return f"{user}/role-mappings/clients/{values['clientId']}"
