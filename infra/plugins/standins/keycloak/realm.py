"""The realm itself, its roles, groups and users."""

from __future__ import annotations

from typing import Any

from infra.plugins.standins.core import ResourceType
from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.keycloak.table import Field, TableType, merge, pick, put, span, text
from infra.plugins.standins.values import Plain

_BRUTE_FORCE = {
    "permanentLockout": "permanentLockout",
    "maxLoginFailures": "failureFactor",
    "waitIncrementSeconds": "waitIncrementSeconds",
    "quickLoginCheckMilliSeconds": "quickLoginCheckMilliSeconds",
    "minimumQuickLoginWaitSeconds": "minimumQuickLoginWaitSeconds",
    "maxFailureWaitSeconds": "maxFailureWaitSeconds",
    "failureResetTimeSeconds": "maxDeltaTimeSeconds",
}
_BRUTE_FORCE_DEFAULTS = {
    "permanentLockout": False,
    "maxLoginFailures": 30,
    "waitIncrementSeconds": 60,
    "quickLoginCheckMilliSeconds": 1000,
    "minimumQuickLoginWaitSeconds": 60,
    "maxFailureWaitSeconds": 900,
    "failureResetTimeSeconds": 43200,
}


class RealmType(TableType):
    """``keycloak:index/realm:Realm``; its id is its name."""

    token = "keycloak:index/realm:Realm"  # noqa: S105 - a type token
    fields = {
        "realm": text("realm"),
        "enabled": text("enabled"),
        "displayName": text("displayName"),
        "displayNameHtml": text("displayNameHtml"),
        "registrationAllowed": text("registrationAllowed"),
        "registrationEmailAsUsername": text("registrationEmailAsUsername"),
        "editUsernameAllowed": text("editUsernameAllowed"),
        "resetPasswordAllowed": text("resetPasswordAllowed"),
        "rememberMe": text("rememberMe"),
        "verifyEmail": text("verifyEmail"),
        "loginWithEmailAllowed": text("loginWithEmailAllowed"),
        "duplicateEmailsAllowed": text("duplicateEmailsAllowed"),
        "sslRequired": text("sslRequired"),
        "passwordPolicy": text("passwordPolicy"),
        "defaultSignatureAlgorithm": text("defaultSignatureAlgorithm"),
        "accessTokenLifespan": span("accessTokenLifespan"),
        "ssoSessionIdleTimeout": span("ssoSessionIdleTimeout"),
        "ssoSessionMaxLifespan": span("ssoSessionMaxLifespan"),
        "revokeRefreshToken": text("revokeRefreshToken"),
        "refreshTokenMaxReuse": text("refreshTokenMaxReuse"),
    }
    defaults = {"enabled": True}
    computed = frozenset(
        {
            "internalId", "accessTokenLifespan", "ssoSessionIdleTimeout", "ssoSessionMaxLifespan", "browserFlow",
            "registrationFlow", "directGrantFlow", "resetCredentialsFlow", "clientAuthenticationFlow",
            "dockerAuthenticationFlow", "firstBrokerLoginFlow", "loginWithEmailAllowed", "duplicateEmailsAllowed",
        }
    )  # fmt: skip

    def normalise(self, inputs: Plain) -> Plain:
        brute = inputs.get("securityDefenses", {}).get("bruteForceDetection")
        if brute is None:
            return inputs
        defenses = {**inputs["securityDefenses"], "bruteForceDetection": {**_BRUTE_FORCE_DEFAULTS, **brute}}
        return {**inputs, "securityDefenses": defenses}

    def collection(self, values: Plain) -> str:
        return ""

    def item(self, resource_id: str, values: Plain) -> str:
        return f"/{resource_id}"

    def located(self, resource_id: str, state: Plain) -> tuple[Plain, str]:
        return state, resource_id

    def body(self, inputs: Plain) -> dict[str, Any]:
        body = super().body(inputs)
        brute = inputs.get("securityDefenses", {}).get("bruteForceDetection")
        body["bruteForceProtected"] = brute is not None
        for name, path in _BRUTE_FORCE.items():
            if brute is not None and name in brute:
                put(body, path, brute[name])
        return body

    def state(self, body: Any, known: Plain) -> Plain:
        live = super().state(body, known)
        if body.get("bruteForceProtected"):
            found = {name: pick(body, path) for name, path in _BRUTE_FORCE.items()}
            live["securityDefenses"] = {**known.get("securityDefenses", {}), "bruteForceDetection": found}
        elif "securityDefenses" in known:
            live["securityDefenses"] = {}
        return live

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        self.admin.post("", {"id": inputs.get("internalId"), **self.body(inputs)})
        return str(inputs["realm"]), self.outputs(str(inputs["realm"]), inputs)

    def outputs(self, resource_id: str, inputs: Plain) -> Plain:
        return {"internalId": self.admin.get(f"/{resource_id}")["id"]}


class RoleType(TableType):
    """``keycloak:index/role:Role``, of a realm; its id is Keycloak's."""

    token = "keycloak:index/role:Role"  # noqa: S105 - a type token
    fields = {"name": text("name"), "description": text("description")}
    computed = frozenset({"attributes", "compositeRoles"})

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/roles"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"/{values['realmId']}/roles-by-id/{resource_id}"

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        name = self.admin.post(self.collection(inputs), self.body(inputs))
        return str(self.admin.get(f"{self.collection(inputs)}/{name}")["id"]), {}


class GroupType(TableType):
    """``keycloak:index/group:Group``, at the top of a realm."""

    token = "keycloak:index/group:Group"  # noqa: S105 - a type token
    fields = {"name": text("name"), "path": text("path")}
    computed = frozenset({"path", "attributes", "description"})

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/groups"

    def body(self, inputs: Plain) -> dict[str, Any]:
        return {"name": inputs["name"]}

    def outputs(self, resource_id: str, inputs: Plain) -> Plain:
        return {"path": self.admin.get(self.item(resource_id, inputs))["path"]}


class UserType(TableType):
    """``keycloak:index/user:User``. Its initial password is set when it is made, and never looked at again."""

    token = "keycloak:index/user:User"  # noqa: S105 - a type token
    fields = {
        "username": text("username"),
        "email": text("email"),
        "emailVerified": text("emailVerified"),
        "enabled": text("enabled"),
        "firstName": text("firstName"),
        "lastName": text("lastName"),
        "requiredActions": text("requiredActions"),
        "attributes": Field("attributes", lambda value: value, lambda value: value),
    }
    defaults = {"enabled": True}
    unordered = frozenset({"requiredActions"})

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/users"

    def normalise(self, inputs: Plain) -> Plain:
        password = inputs.get("initialPassword")
        return inputs if password is None else {**inputs, "initialPassword": {"temporary": False, **password}}

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        resource_id, outputs = super().create(inputs, deadline)
        password = inputs.get("initialPassword")
        if password is not None:
            credential = {"type": "password", "value": password["value"], "temporary": password["temporary"]}
            self.admin.put(f"{self.item(resource_id, inputs)}/reset-password", credential)
        return resource_id, outputs

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        path = self.item(resource_id, new)
        self.admin.put(path, merge(self.admin.get(path), self.body(new)))
        return {}


class UserRolesType(ResourceType):
    """``keycloak:index/userRoles:UserRoles``: realm roles of a user; its id is ``realm/user``."""

    token = "keycloak:index/userRoles:UserRoles"  # noqa: S105 - a type token
    defaults = {"exhaustive": True}
    unordered = frozenset({"roleIds"})

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        self._set(inputs, set())
        return f"{inputs['realmId']}/{inputs['userId']}", {}

    def read(self, resource_id: str, state: Plain) -> Plain:
        realm, user = resource_id.split("/", 1)
        held = {role["id"] for role in self._admin.get(f"/{realm}/users/{user}/role-mappings/realm")}
        known = state.get("roleIds")
        exhaustive = state.get("exhaustive", True)
        ids = sorted(held) if known is None or exhaustive else [one for one in known if one in held]
        return {"realmId": realm, "userId": user, "roleIds": ids, "exhaustive": exhaustive}

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        self._set(new, set(old.get("roleIds", [])))
        return {}

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        path = f"/{state['realmId']}/users/{state['userId']}/role-mappings/realm"
        self._admin.delete(path, self._named(state, set(state["roleIds"])))

    def _set(self, inputs: Plain, before: set[str]) -> None:
        path = f"/{inputs['realmId']}/users/{inputs['userId']}/role-mappings/realm"
        held, wanted = {role["id"] for role in self._admin.get(path)}, set(inputs["roleIds"])
        surplus = (held if inputs["exhaustive"] else held & before) - wanted
        if wanted - held:
            self._admin.post(path, self._named(inputs, wanted - held))
        if surplus:
            self._admin.delete(path, self._named(inputs, surplus))

    def _named(self, values: Plain, ids: set[str]) -> list[Plain]:
        roles = (self._admin.get(f"/{values['realmId']}/roles-by-id/{one}") for one in sorted(ids))
        return [{"id": role["id"], "name": role["name"]} for role in roles]


class UserGroupsType(ResourceType):
    """``keycloak:index/userGroups:UserGroups``: groups of a user; its id is ``realm/user``."""

    token = "keycloak:index/userGroups:UserGroups"  # noqa: S105 - a type token
    defaults = {"exhaustive": True}
    unordered = frozenset({"groupIds"})

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def create(self, inputs: Plain, deadline: float) -> tuple[str, Plain]:
        self._set(inputs, set())
        return f"{inputs['realmId']}/{inputs['userId']}", {}

    def read(self, resource_id: str, state: Plain) -> Plain:
        realm, user = resource_id.split("/", 1)
        held = self._held(realm, user)
        known, exhaustive = state.get("groupIds"), state.get("exhaustive", True)
        ids = sorted(held) if known is None or exhaustive else [one for one in known if one in held]
        return {"realmId": realm, "userId": user, "groupIds": ids, "exhaustive": exhaustive}

    def update(self, resource_id: str, old: Plain, new: Plain, deadline: float) -> Plain:
        self._set(new, set(old.get("groupIds", [])))
        return {}

    def delete(self, resource_id: str, state: Plain, deadline: float) -> None:
        for group in state["groupIds"]:
            self._admin.delete(f"/{state['realmId']}/users/{state['userId']}/groups/{group}")

    def _set(self, inputs: Plain, before: set[str]) -> None:
        held, wanted = self._held(inputs["realmId"], inputs["userId"]), set(inputs["groupIds"])
        path = f"/{inputs['realmId']}/users/{inputs['userId']}/groups"
        for group in sorted(wanted - held):
            self._admin.put(f"{path}/{group}")
        for group in sorted((held if inputs["exhaustive"] else held & before) - wanted):
            self._admin.delete(f"{path}/{group}")

    def _held(self, realm: str, user: str) -> set[str]:
        return {group["id"] for group in self._admin.get(f"/{realm}/users/{user}/groups", max=-1)}
