"""Roles, groups and users of a realm, and who has what."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.keycloak.table import Field, TableType, attributes, plainly, segment, texts
from infra.plugins.standins.kinds import Call, GoneError, PluginError, ResourceType
from infra.plugins.standins.values import Plain


class RoleType(TableType):
    """``keycloak:index/role:Role``, of a realm; its id is Keycloak's."""

    token = "keycloak:index/role:Role"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        "name": plainly("name"),
        "description": plainly("description"),
        "attributes": attributes("attributes"),
    }
    supported = frozenset({*fields, "realmId", "compositeRoles"})
    autonamed = True
    defaults = {"import": False}
    sets = frozenset({"compositeRoles"})

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/roles"

    def item(self, resource_id: str, values: Plain) -> str:
        return f"/{values['realmId']}/roles-by-id/{resource_id}"

    def find(self, inputs: Plain, call: Call) -> str | None:
        return str(self.admin.get(f"{self.collection(inputs)}/{segment(inputs['name'])}", call)["id"])

    def identify(self, answer: str, inputs: Plain, call: Call) -> str:
        return str(self.find(inputs, call))

    def finish(self, resource_id: str, inputs: Plain, call: Call) -> None:
        # Keycloak takes no attributes when it makes a role.
        path = self.item(resource_id, inputs)
        if inputs.get("attributes"):
            self.admin.put(path, {**self.admin.get(path, call), **self.body(inputs)}, call)
        self._compose(resource_id, inputs, call)

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        self._compose(resource_id, new, call)
        return super().update(resource_id, old, new, call)

    def outputs(self, resource_id: str, values: Plain, call: Call) -> Plain:
        held = self.admin.get(f"{self.item(resource_id, values)}/composites", call)
        return {"compositeRoles": sorted(role["id"] for role in held)}

    def _compose(self, resource_id: str, inputs: Plain, call: Call) -> None:
        path = f"{self.item(resource_id, inputs)}/composites"
        held = {role["id"]: role for role in self.admin.get(path, call)}
        wanted = set(inputs.get("compositeRoles", []))
        if surplus := held.keys() - wanted:
            self.admin.delete(path, call, [held[one] for one in sorted(surplus)])
        if missing := wanted - held.keys():
            self.admin.post(path, roles_by_id(self.admin, inputs["realmId"], missing, call), call)


class GroupType(TableType):
    """``keycloak:index/group:Group``; its id is Keycloak's."""

    token = "keycloak:index/group:Group"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        "name": plainly("name"),
        "description": plainly("description"),
        "path": plainly("path"),
        "attributes": attributes("attributes"),
    }
    supported = frozenset({"realmId", "name", "description", "attributes", "parentId"})
    autonamed = True
    computed = frozenset({"path"})
    recomputed = {"name": frozenset({"path"})}

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/groups"

    def body(self, inputs: Plain) -> dict[str, Any]:
        return super().body({key: value for key, value in inputs.items() if key != "path"})

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        if not inputs.get("parentId"):
            return super().create(inputs, call)
        path = f"{self.collection(inputs)}/{inputs['parentId']}/children"
        resource_id = self.admin.post(path, self.body(inputs), call)
        return resource_id, self.read(resource_id, inputs, call)[1]

    def state(self, body: Mapping[str, Any], known: Plain) -> Plain:
        parent = {"parentId": body["parentId"]} if body.get("parentId") else {}
        return {**super().state(body, known), **parent}

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.collection(inputs), call, search=inputs["name"], exact="true")
        return next((str(group["id"]) for group in found if group["name"] == inputs["name"]), None)


class UserType(TableType):
    """``keycloak:index/user:User``. Its initial password is set when it is made, and never looked at again."""

    token = "keycloak:index/user:User"  # noqa: S105 - a type token
    fields: ClassVar[Mapping[str, Field]] = {
        "username": plainly("username"),
        "email": plainly("email"),
        "emailVerified": plainly("emailVerified", absent=False),
        "enabled": plainly("enabled", absent=True),
        "firstName": plainly("firstName"),
        "lastName": plainly("lastName"),
        "requiredActions": texts("requiredActions"),
        "attributes": attributes("attributes"),
    }
    supported = frozenset({*fields, "realmId", "initialPassword"})
    defaults = {"emailVerified": False, "enabled": True, "import": False}
    nested_defaults = {"initialPassword": {"temporary": False}}
    sets = frozenset({"requiredActions"})
    create_only = frozenset({"initialPassword"})

    def problems(self, inputs: Plain) -> Iterator[tuple[str, str]]:
        if inputs["username"] != inputs["username"].lower():
            yield "username", "must be in lower case (Keycloak makes it so)"

    def collection(self, values: Plain) -> str:
        return f"/{values['realmId']}/users"

    def finish(self, resource_id: str, inputs: Plain, call: Call) -> None:
        if password := inputs.get("initialPassword"):
            credential = {"type": "password", "value": password["value"], "temporary": password["temporary"]}
            self.admin.put(f"{self.item(resource_id, inputs)}/reset-password", credential, call)

    def find(self, inputs: Plain, call: Call) -> str | None:
        found = self.admin.get(self.collection(inputs), call, username=inputs["username"], exact="true")
        return str(found[0]["id"]) if found else None


class HoldingsType(ResourceType):
    """What a user has, set as a whole or (``exhaustive`` false) in part; its id is ``realm/user``."""

    key: ClassVar[str]
    defaults = {"exhaustive": True}

    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    @abstractmethod
    def held(self, user: str, call: Call) -> set[str]:
        """Ids of what the user at this path has."""

    @abstractmethod
    def give(self, user: str, realm: str, ids: set[str], call: Call) -> None:
        """Let the user have these too."""

    @abstractmethod
    def take(self, user: str, realm: str, ids: set[str], call: Call) -> None:
        """Take these from the user."""

    def create(self, inputs: Plain, call: Call) -> tuple[str, Plain]:
        self._set(inputs, set(), call)
        return f"{inputs['realmId']}/{inputs['userId']}", {}

    def read(self, resource_id: str, state: Plain, call: Call) -> tuple[str, Plain]:
        realm, _, user = resource_id.partition("/")
        if not user:
            raise PluginError(f"'{resource_id}' is no import id for this type: it is REALM/USER_ID")
        held, exhaustive = self.held(f"/{realm}/users/{user}", call), state.get("exhaustive", True)
        ids = sorted(held if exhaustive else held & set(state.get(self.key, [])))
        return resource_id, {"realmId": realm, "userId": user, self.key: ids, "exhaustive": exhaustive}

    def update(self, resource_id: str, old: Plain, new: Plain, call: Call) -> Plain:
        self._set(new, set(old.get(self.key, [])), call)
        return {}

    def delete(self, resource_id: str, state: Plain, call: Call) -> None:
        user = _user(state)
        self.take(user, state["realmId"], set(state[self.key]) & self.held(user, call), call)

    def _set(self, inputs: Plain, before: set[str], call: Call) -> None:
        user, realm = _user(inputs), inputs["realmId"]
        held, wanted = self.held(user, call), set(inputs[self.key])
        self.give(user, realm, wanted - held, call)
        self.take(user, realm, (held if inputs["exhaustive"] else held & before) - wanted, call)


def _user(values: Plain) -> str:
    return f"/{values['realmId']}/users/{values['userId']}"


class UserRolesType(HoldingsType):
    """``keycloak:index/userRoles:UserRoles``: roles of a user, of the realm and of clients."""

    token = "keycloak:index/userRoles:UserRoles"  # noqa: S105 - a type token
    key = "roleIds"
    supported = frozenset({"exhaustive", "realmId", "roleIds", "userId"})
    sets = frozenset({"roleIds"})

    def held(self, user: str, call: Call) -> set[str]:
        found = self.admin.get(f"{user}/role-mappings", call)
        of_clients = [client["mappings"] for client in found.get("clientMappings", {}).values()]
        return {role["id"] for roles in (found.get("realmMappings", []), *of_clients) for role in roles}

    def give(self, user: str, realm: str, ids: set[str], call: Call) -> None:
        for place, roles in self._by_place(realm, ids, call).items():
            self.admin.post(f"{user}/role-mappings/{place}", roles, call)

    def take(self, user: str, realm: str, ids: set[str], call: Call) -> None:
        for place, roles in self._by_place(realm, ids, call).items():
            self.admin.delete(f"{user}/role-mappings/{place}", call, roles)

    def _by_place(self, realm: str, ids: set[str], call: Call) -> dict[str, list[Plain]]:
        places: dict[str, list[Plain]] = {}
        for role in roles_by_id(self.admin, realm, ids, call):
            place = f"clients/{role['containerId']}" if role["clientRole"] else "realm"
            places.setdefault(place, []).append(role)
        return places


class UserGroupsType(HoldingsType):
    """``keycloak:index/userGroups:UserGroups``: groups that a user is in."""

    token = "keycloak:index/userGroups:UserGroups"  # noqa: S105 - a type token
    key = "groupIds"
    supported = frozenset({"exhaustive", "groupIds", "realmId", "userId"})
    sets = frozenset({"groupIds"})

    def held(self, user: str, call: Call) -> set[str]:
        return {group["id"] for group in self.admin.get(f"{user}/groups", call, max=-1)}

    def give(self, user: str, realm: str, ids: set[str], call: Call) -> None:
        for group in sorted(ids):
            self.admin.put(f"{user}/groups/{group}", None, call)

    def take(self, user: str, realm: str, ids: set[str], call: Call) -> None:
        for group in sorted(ids):
            self.admin.delete(f"{user}/groups/{group}", call)


def roles_by_id(admin: Admin, realm: str, ids: set[str], call: Call) -> list[Plain]:
    """Roles as Keycloak wants them named.

    Raises:
        PluginError: there is no such role.
    """
    try:
        return [admin.get(f"/{realm}/roles-by-id/{one}", call) for one in sorted(ids)]
    except GoneError as error:
        raise PluginError(f"a role that is asked for does not exist: {error}") from None
