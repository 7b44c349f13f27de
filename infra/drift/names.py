"""Stable names of resources in findings, whatever looked at them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NAMED_BY: Mapping[str, tuple[str, str]] = {
    "keycloak:authentication/bindings:Bindings": ("realm", "realmId"),
    "keycloak:authentication/flow:Flow": ("flow", "alias"),
    "keycloak:authentication/subflow:Subflow": ("flow", "alias"),
    "keycloak:index/realm:Realm": ("realm", "realm"),
    "keycloak:index/role:Role": ("role", "name"),
    "keycloak:index/group:Group": ("group", "name"),
    "keycloak:index/user:User": ("user", "username"),
    "keycloak:openid/client:Client": ("client", "clientId"),
    "keycloak:openid/clientScope:ClientScope": ("client-scope", "name"),
    "keycloak:openid/audienceProtocolMapper:AudienceProtocolMapper": ("mapper", "name"),
    "keycloak:openid/userRealmRoleProtocolMapper:UserRealmRoleProtocolMapper": ("mapper", "name"),
    "keycloak:openid/groupMembershipProtocolMapper:GroupMembershipProtocolMapper": ("mapper", "name"),
    "keycloak:oidc/identityProvider:IdentityProvider": ("identity-provider", "alias"),
    "keycloak:saml/identityProvider:IdentityProvider": ("identity-provider", "alias"),
    "litellm:index:Budget": ("litellm/budget", "budget_id"),
    "litellm:index:Model": ("litellm/model", "model_id"),
    "litellm:index:Team": ("litellm/team", "team_id"),
}
"""Type -> the kind's name, and the input that names one of them."""
NAMED_AFTER: tuple[tuple[str, str, str], ...] = (
    (r"^docker:index/container:", r"^service-(?P<name>.+)$", "container/{name}"),
    (r"^docker:index/network:", r"^network-(?P<name>.+)$", "network/{name}"),
    (r"^docker:index/volume:", r"^volume-(?P<name>.+)$", "volume/{name}"),
    (r"^docker:index/volume:", r"^(?P<name>secrets-.+)$", "volume/{name}"),
    (r"(Default|Optional)Scopes$", r"-scopes-(?P<name>.+)$", "client/{name}"),
    (r"^keycloak:index/user(Roles|Groups):", r"-person-(?P<name>.+)-(roles|department)$", "user/{name}"),
    (r"^keycloak:index/customId", r"-directory-(?P<name>.+)$", "directory-mapper/{name}"),
    (r"^keycloak:authentication/execution", r"-flows-(?P<name>.+)$", "flow-step/{name}"),
    (r"^keycloak:", r"-agent-(?P<name>.+)-(role|department)$", "client/agent-{name}"),
)
"""What is part of something else, or named by its name in the program alone: (type, name in the program, name)."""
MISSING_AS = {
    "UserRoles": "roles",
    "UserGroups": "department",
    "ClientDefaultScopes": "defaultScopes",
    "ClientOptionalScopes": "optionalScopes",
    "ClientServiceAccountRealmRole": "role",
}
"""The field that is missing when a resource of this type is: it is a part of another."""


def resource_name(urn: str, inputs: Mapping[str, Any]) -> str:
    """``kind/name``."""
    token, name = type_of(urn), urn.rsplit("::", maxsplit=1)[-1]
    if token in NAMED_BY:
        kind, key = NAMED_BY[token]
        return f"{kind}/{inputs.get(key, name)}"
    for of_type, of_name, wanted in NAMED_AFTER:
        found = re.search(of_name, name)
        if re.search(of_type, token) and found:
            return wanted.format(name=found["name"])
    return f"{token.split(':')[-1].lower()}/{name}"


def missing_field(urn: str) -> str:
    """What is said to be missing when the resource is."""
    return MISSING_AS.get(type_of(urn).split(":")[-1], "state")


def type_of(urn: str) -> str:
    """The resource's own type, without its parents'."""
    return urn.split("::")[-2].rsplit("$", maxsplit=1)[-1]
