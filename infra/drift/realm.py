"""The look at what Keycloak's realm holds beside what is declared: Pulumi sees only what it has made itself.

A role given to somebody by hand, a client that nobody declared or a user added in the console opens a door that no
declared object shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

import httpx

from components.federation import mappers
from components.flows import flows
from components.realm import (
    AUDITOR,
    CLI_CLIENT,
    CUSTODIAN_CLIENT,
    DEMO_CLIENT,
    MFA_ROLE,
    REALM,
    SSO_CLIENT,
    TRACES_CLIENT,
    agent_client,
)
from config.stack import Stack
from infra.cli.console import CommandError
from infra.cli.keycloak import signed_in
from infra.drift.findings import Finding, Kind, Seen, Unseen
from infra.drift.names import resource_name
from runtime.store import Store

WHAT = "Keycloak: objects that are not declared"
DEFAULT_ROLE = f"default-roles-{REALM}"
BUILT_IN: Mapping[str, frozenset[str]] = {
    "client": frozenset(
        {"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}
    ),
    "role": frozenset({DEFAULT_ROLE, "offline_access", "uma_authorization"}),
}
"""What Keycloak makes in every realm."""
MOST = 10_000
"""Objects that are asked for at once."""

ObjectKind = Literal["client", "role", "group", "identity-provider", "user", "flow"]
PATHS: Mapping[ObjectKind, tuple[str, str]] = {
    "client": ("clients", "clientId"),
    "role": ("roles", "name"),
    "group": ("groups", "name"),
    "identity-provider": ("identity-provider/instances", "alias"),
    "user": ("users", "username"),
    "flow": ("authentication/flows", "alias"),
}
"""Kind -> its path in the admin API, and the property that names one."""
DELETED_BY: Mapping[ObjectKind, str] = {"role": "name", "identity-provider": "alias"}
"""The property that stands in an object's own path, where it is not ``id``."""


@dataclass(frozen=True, kw_only=True)
class Live:
    """What the realm holds. ``with_role``: role -> users by name, with their ids; ``by_default``: everybody's roles;
    ``mappers``: directory -> its mappers by name, with their ids; ``came_by``: directory -> users who came by it;
    ``steps``: flow that is not Keycloak's own -> its steps."""

    objects: Mapping[ObjectKind, Mapping[str, Mapping[str, Any]]]
    with_role: Mapping[str, Mapping[str, str]]
    by_default: frozenset[str]
    mappers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    came_by: Mapping[str, frozenset[str]] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the last ``up`` has made. ``objects``: ``kind/name``; ``roles``: Keycloak's id of a user -> names of roles;
    ``mappers``: (directory, name); ``given``: directory -> roles that it gives; ``steps``: ids of flows' steps.

    Departments of people and agents are not here: Pulumi sees a member too many.
    """

    objects: frozenset[str] = frozenset()
    roles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    mappers: frozenset[tuple[str, str]] = frozenset()
    given: Mapping[str, frozenset[str]] = field(default_factory=dict)
    steps: frozenset[str] = frozenset()


def declared_in(deployment: Mapping[str, Any], stack: Stack) -> Declared:
    """The realm of a state; with what the stack file declares since, which an interrupted run may have begun."""
    found = [one for one in deployment.get("resources") or [] if one["type"].startswith("keycloak:")]
    names = {str(one["id"]): str(one["inputs"]["name"]) for one in found if one["type"].endswith(":Role")}
    roles: dict[str, set[str]] = defaultdict(set)
    directories = stack.identity.directories
    declared_mappers = {(alias, name) for alias, each in directories.items() for name in mappers(each, stack)}
    for one in found:
        inputs = one["inputs"]
        match one["type"].rsplit(":", maxsplit=1)[-1]:
            case "UserRoles":
                roles[inputs["userId"]] |= {names[each] for each in inputs["roleIds"] if each in names}
            case "ClientServiceAccountRealmRole":
                roles[inputs["serviceAccountUserId"]].add(inputs["role"])
            case "CustomIdentityProviderMapping":
                declared_mappers.add((inputs["identityProviderAlias"], inputs["name"]))
    return Declared(
        objects=frozenset(resource_name(one["urn"], one["inputs"]) for one in found) | _in_file(stack),
        roles={user: frozenset(each) for user, each in roles.items()},
        mappers=frozenset(declared_mappers),
        given={
            alias: frozenset(given.name or AUDITOR for given in each.gives() if given.what != "department")
            for alias, each in directories.items()
        },
        steps=frozenset(str(one["id"]) for one in found if one["type"].endswith((":Execution", ":Subflow"))),
    )


def _in_file(stack: Stack) -> set[str]:
    clients = [
        *(SSO_CLIENT, CLI_CLIENT, CUSTODIAN_CLIENT),
        *([DEMO_CLIENT] if stack.environment == "demo" else []),
        *([TRACES_CLIENT] if stack.observability.backend == "langfuse" else []),
    ]
    mfa = stack.roles_with_mfa()
    used = flows(MFA_ROLE, directories=bool(stack.identity.directories)) if mfa else ()
    return {
        *(f"flow/{name}" for name in used),
        *(f"client/{name}" for name in (*clients, *map(agent_client, stack.agents))),
        *(f"role/{name}" for name in (*stack.roles, AUDITOR, *([MFA_ROLE] if mfa else []))),
        *(f"group/{name}" for name in stack.departments),
        *(f"user/{name}" for name in stack.people),
        *(f"identity-provider/{name}" for name in stack.identity.directories),
    }


@dataclass(frozen=True)
class Judge:
    """Compares; looks at nothing. ``stack``: the stack's name."""

    stack: str
    declared: Declared

    def judged(self, live: Live) -> Iterator[Finding]:
        """Findings of objects, roles and default roles that nobody declared."""
        for kind, name in self.foreign(live):
            yield self._finding(f"{kind}/{name}", "state", f"a {kind} that nobody declared")
        for role, name in self.extra_roles(live):
            yield self._finding(f"user/{name}", f"roles.{role}", "given by hand")
        for alias, name in self.extra_mappers(live):
            yield self._finding(f"identity-provider/{alias}", f"mappers.{name}", "a mapper that nobody declared")
        for flow, name, _ in self.extra_steps(live):
            yield self._finding(f"flow/{flow}", f"steps.{name}", "a step that nobody declared")
        for role in self.extra_defaults(live):
            yield self._finding(f"role/{DEFAULT_ROLE}", f"composites.{role}", "everybody has it")

    def foreign(self, live: Live) -> Iterator[tuple[ObjectKind, str]]:
        """(kind, name) of objects that are neither declared nor Keycloak's own, nor users who came by a directory."""
        for kind, found in live.objects.items():
            own = BUILT_IN.get(kind, frozenset()) | {name for name, one in found.items() if one.get("builtIn")}
            if kind == "user":
                own = own.union(*(live.came_by.get(alias, ()) for alias in self.declared.given))
            for name in sorted(found.keys() - own):
                if f"{kind}/{name}" not in self.declared.objects:
                    yield kind, name

    def extra_roles(self, live: Live) -> Iterator[tuple[str, str]]:
        """(role, user) of users that are declared or came by a directory, who have a declared role from neither."""
        for role, users in sorted(live.with_role.items()):
            for name, user in sorted(users.items()):
                by = [given for alias, given in self.declared.given.items() if name in live.came_by.get(alias, ())]
                known = user in self.declared.roles or by
                own = self.declared.roles.get(user, frozenset()).union(*by)
                if known and f"role/{role}" in self.declared.objects and role not in own:
                    yield role, name

    def extra_mappers(self, live: Live) -> Iterator[tuple[str, str]]:
        """(directory, mapper) of mappers that a declared directory should not have."""
        for alias, found in sorted(live.mappers.items()):
            if f"identity-provider/{alias}" in self.declared.objects:
                yield from ((alias, name) for name in sorted(found) if (alias, name) not in self.declared.mappers)

    def extra_steps(self, live: Live) -> Iterator[tuple[str, str, str]]:
        """(flow, step, its id) of steps that a declared flow should not have."""
        for flow, steps in sorted(live.steps.items()):
            if f"flow/{flow}" in self.declared.objects:
                for step in steps:
                    if not {step["id"], step.get("flowId")} & self.declared.steps:
                        yield flow, str(step.get("providerId") or step.get("displayName")), str(step["id"])

    def extra_defaults(self, live: Live) -> Iterator[str]:
        """Declared roles that everybody has."""
        yield from sorted(role for role in live.by_default if f"role/{role}" in self.declared.objects)

    def _finding(self, resource: str, path: str, live: str) -> Finding:
        repair = f"./praxis up {self.stack}" + (" (asks before it removes it)" if path == "state" else "")
        return Finding(resource=resource, path=path, kind=Kind.FOREIGN, declared=None, live=live, repair=repair)


Call = tuple[str, Any]
"""What is deleted: a path of the realm's admin API, and the body."""


def repairs(judge: Judge, live: Live, removable: Collection[str]) -> Iterator[Call]:
    """The calls that take away what is not declared; whole objects only if they are ``removable`` (``kind/name``)."""
    for kind, name in judge.foreign(live):
        if f"{kind}/{name}" in removable:
            yield f"{PATHS[kind][0]}/{live.objects[kind][name][DELETED_BY.get(kind, 'id')]}", None
    for role, name in judge.extra_roles(live):
        yield f"users/{live.with_role[role][name]}/role-mappings/realm", [_brief(live.objects["role"][role])]
    for alias, name in judge.extra_mappers(live):
        yield f"{_at(alias)}/mappers/{live.mappers[alias][name]}", None
    for _, _, step in judge.extra_steps(live):
        yield f"authentication/executions/{step}", None
    if composites := [_brief(live.objects["role"][role]) for role in judge.extra_defaults(live)]:
        yield f"roles/{DEFAULT_ROLE}/composites", composites


def _brief(role: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": role["id"], "name": role["name"]}


def read(http: httpx.Client) -> Live:
    """Ask for everything.

    Raises:
        httpx.HTTPError: Keycloak does not answer, or refuses.
    """
    objects = {kind: {str(one[by]): one for one in _get(http, path, max=MOST)} for kind, (path, by) in PATHS.items()}
    given = objects["role"].keys() - BUILT_IN["role"]  # everybody has those
    directories = objects["identity-provider"].keys()
    own_flows = [alias for alias, flow in objects["flow"].items() if not flow.get("builtIn")]
    return Live(
        objects=objects,
        with_role={role: _users(_get(http, f"roles/{role}/users", max=MOST)) for role in given},
        by_default=frozenset(str(one["name"]) for one in _get(http, f"roles/{DEFAULT_ROLE}/composites/realm")),
        mappers={
            alias: {str(one["name"]): str(one["id"]) for one in _get(http, f"{_at(alias)}/mappers")}
            for alias in directories
        },
        came_by={alias: frozenset(_users(_get(http, "users", idpAlias=alias, max=MOST))) for alias in directories},
        steps={alias: _get(http, f"{PATHS['flow'][0]}/{quote(alias, safe='')}/executions") for alias in own_flows},
    )


def _at(alias: str) -> str:
    return f"{PATHS['identity-provider'][0]}/{quote(alias, safe='')}"


def _users(found: list[dict[str, Any]]) -> dict[str, str]:
    return {str(user["username"]): str(user["id"]) for user in found}


def _get(http: httpx.Client, path: str, **query: int | str) -> list[dict[str, Any]]:
    answer = http.get(f"/admin/realms/{REALM}/{path}", params=query)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


def delete(http: httpx.Client, call: Call) -> None:
    """Take something away; what is gone already is no error.

    Raises:
        httpx.HTTPError: Keycloak does not answer, or refuses.
    """
    path, body = call
    answer = http.request("DELETE", f"/admin/realms/{REALM}/{path}", json=body)
    if answer.status_code != httpx.codes.NOT_FOUND:
        answer.raise_for_status()


def look(judge: Judge, stack: Stack, store: Store) -> Seen:
    """Everything that the realm holds beside what is declared."""
    try:
        with signed_in(stack, store) as admin:
            return Seen(findings=tuple(judge.judged(read(admin.http))))
    except (httpx.HTTPError, CommandError, KeyError, ValueError) as error:
        return Seen(unseen=(Unseen(what=WHAT, why=f"{type(error).__name__}: {error}"[:300]),))
