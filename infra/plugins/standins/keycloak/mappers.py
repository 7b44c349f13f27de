"""Protocol mappers: what goes into a token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.plugins.standins.keycloak.table import Field, TableType, flag, merged, plainly, put
from infra.plugins.standins.kinds import Call, PluginError
from infra.plugins.standins.values import Plain

_OWNERS = {"client": "clientId", "client-scope": "clientScopeId"}
_IN_TOKENS = {
    "addToAccessToken": flag("config.access\\.token\\.claim"),
    "addToIdToken": flag("config.id\\.token\\.claim"),
}
_IN_INTROSPECTION = {"addToTokenIntrospection": flag("config.introspection\\.token\\.claim")}
_IN_USERINFO = {"addToUserinfo": flag("config.userinfo\\.token\\.claim")}
_NAME = {"name": plainly("name")}
_CLAIM = {"claimName": plainly("config.claim\\.name")}
_TYPED = {"claimValueType": plainly("config.jsonType\\.label")}


class MapperType(TableType):
    """What all protocol mappers have in common; they belong to a client or to a client scope."""

    mapper: ClassVar[str]
    autonamed = True
    import_form = "REALM/client/CLIENT_ID/ID or REALM/client-scope/CLIENT_SCOPE_ID/ID"

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if ("clientId" in inputs) == ("clientScopeId" in inputs):
            yield "clientId", "give either clientId or clientScopeId"

    def collection(self, values: Plain) -> str:
        client, scope = values.get("clientId"), values.get("clientScopeId")
        owner = f"clients/{client}" if client else f"client-scopes/{scope}"
        return f"/{values['realmId']}/{owner}/protocol-mappers/models"

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.collection(inputs), call)
        return next((str(one["id"]) for one in found if one["name"] == inputs["name"]), None)

    def body(self, inputs: Plain) -> dict[str, Any]:
        return {**super().body(inputs), "protocol": "openid-connect", "protocolMapper": self.mapper}

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        path, body = self.item(resource_id, new), self.body(new)
        live = self.admin.get(path, call)
        for name in old.keys() - new.keys() - self.computed:
            if name in self.fields:
                put(live, self.fields[name].path, self.fields[name].to(self.fields[name].empty))
        self.admin.put(path, merged(live, body), call)
        return self.read(resource_id, new, call)[1]

    def located(self, import_id: str) -> tuple[Plain, str]:
        parts = import_id.split("/")
        if len(parts) != 4 or parts[1] not in _OWNERS:
            raise PluginError(f"'{import_id}' is no import id for this type: it is {self.import_form}")
        realm, kind, owner, own_id = parts
        return {"realmId": realm, _OWNERS[kind]: owner}, own_id

    def import_id(self, own_id: str, values: Plain) -> str:
        kind = "client" if values.get("clientId") else "client-scope"
        return f"{values['realmId']}/{kind}/{values[_OWNERS[kind]]}/{own_id}"


_PLACE = frozenset({"realmId", *_OWNERS.values()})
_EVERYWHERE = {"addToAccessToken": True, "addToIdToken": True, "addToUserinfo": True}


class AudienceMapperType(MapperType):
    """``keycloak:openid/audienceProtocolMapper:AudienceProtocolMapper``."""

    token = "keycloak:openid/audienceProtocolMapper:AudienceProtocolMapper"  # noqa: S105 - a type token
    mapper = "oidc-audience-mapper"
    fields: ClassVar[Mapping[str, Field]] = {
        **_NAME,
        **_IN_TOKENS,
        **_IN_INTROSPECTION,
        "includedClientAudience": plainly("config.included\\.client\\.audience"),
        "includedCustomAudience": plainly("config.included\\.custom\\.audience"),
    }
    supported = frozenset({*fields, *_PLACE})
    defaults = {"addToAccessToken": True, "addToIdToken": True, "addToTokenIntrospection": True}

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        yield from super().problems(inputs)
        if ("includedClientAudience" in inputs) == ("includedCustomAudience" in inputs):
            yield "includedClientAudience", "give either includedClientAudience or includedCustomAudience"


class GroupMapperType(MapperType):
    """``keycloak:openid/groupMembershipProtocolMapper:GroupMembershipProtocolMapper``."""

    token = "keycloak:openid/groupMembershipProtocolMapper:GroupMembershipProtocolMapper"  # noqa: S105 - a type token
    mapper = "oidc-group-membership-mapper"
    fields: ClassVar[Mapping[str, Field]] = {
        **_NAME, **_IN_TOKENS, **_IN_USERINFO, **_IN_INTROSPECTION, **_CLAIM, "fullPath": flag("config.full\\.path"),
    }  # fmt: skip
    supported = frozenset({*fields, *_PLACE})
    defaults = {**_EVERYWHERE, "addToTokenIntrospection": True, "fullPath": True}


class RealmRoleMapperType(MapperType):
    """``keycloak:openid/userRealmRoleProtocolMapper:UserRealmRoleProtocolMapper``."""

    token = "keycloak:openid/userRealmRoleProtocolMapper:UserRealmRoleProtocolMapper"  # noqa: S105 - a type token
    mapper = "oidc-usermodel-realm-role-mapper"
    fields: ClassVar[Mapping[str, Field]] = {
        **_NAME,
        **_IN_TOKENS,
        **_IN_USERINFO,
        **_IN_INTROSPECTION,
        **_CLAIM,
        **_TYPED,
        "multivalued": flag("config.multivalued"),
        "realmRolePrefix": plainly("config.usermodel\\.realmRoleMapping\\.rolePrefix"),
    }
    supported = frozenset({*fields, *_PLACE})
    defaults = {**_EVERYWHERE, "addToTokenIntrospection": True, "claimValueType": "String", "multivalued": False}


class HardcodedClaimMapperType(MapperType):
    """``keycloak:openid/hardcodedClaimProtocolMapper:HardcodedClaimProtocolMapper``."""

    token = "keycloak:openid/hardcodedClaimProtocolMapper:HardcodedClaimProtocolMapper"  # noqa: S105 - a type token
    mapper = "oidc-hardcoded-claim-mapper"
    fields: ClassVar[Mapping[str, Field]] = {
        **_NAME,
        **_IN_TOKENS,
        **_IN_USERINFO,
        **_CLAIM,
        **_TYPED,
        "claimValue": plainly("config.claim\\.value"),
    }
    supported = frozenset({*fields, *_PLACE})
    defaults = {**_EVERYWHERE, "claimValueType": "String"}
