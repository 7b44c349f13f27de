"""What the groups of the company's directories give, as Keycloak's mappers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.realm import AUDITOR
from config.identity import OpenIdDirectory, SamlDirectory
from config.stack import Stack

NAME_IDS = {"persistent": "Persistent", "email": "Email", "unspecified": "Unspecified"}
"""Forms of a name, as Keycloak's provider calls them."""
OIDC_ROLE, OIDC_GROUP = "oidc-advanced-role-idp-mapper", "oidc-advanced-group-idp-mapper"
SAML_ROLE, SAML_GROUP = "saml-advanced-role-idp-mapper", "saml-advanced-group-idp-mapper"
SAML_ATTRIBUTE = "saml-user-attribute-idp-mapper"
NOTHING = "(?!)"
"""A regular expression that nothing matches."""
FORCE = "FORCE"
"""What a directory says is taken over at every sign-in, not at the first alone: a group that is gone takes its role."""


@dataclass(frozen=True, kw_only=True)
class Mapper:
    """What Keycloak makes of what a directory says: ``kind`` is a mapper of Keycloak's, ``config`` its settings."""

    kind: str
    config: Mapping[str, str]


def mappers(directory: OpenIdDirectory | SamlDirectory, stack: Stack) -> dict[str, Mapper]:
    """The mappers of a directory by name: one for each role and department, also for those that it gives nobody.

    So the directory by which somebody signs in decides about all of them, whoever has given what before.
    """
    role, department = directory.claims()
    given = {(one.what, one.name): one.values for one in directory.gives()}
    saml = isinstance(directory, SamlDirectory)
    found = {
        **{f"role-{name}": _role(name, role, given.get(("role", name), ()), saml=saml) for name in stack.roles},
        **{
            f"department-{name}": _group(name, department, given.get(("department", name), ()), saml=saml)
            for name in stack.departments
        },
        "auditor": _role(AUDITOR, role, given.get(("auditor", ""), ()), saml=saml),
    }
    if isinstance(directory, SamlDirectory):
        for attribute, of_user in (
            (directory.email_attribute, "email"),
            (directory.given_name_attribute, "firstName"),
            (directory.family_name_attribute, "lastName"),
        ):
            config = {"attribute.name": attribute, "user.attribute": of_user, "syncMode": FORCE}
            found[f"attribute-{of_user}"] = Mapper(kind=SAML_ATTRIBUTE, config=config)
    return found


def _role(name: str, claim: str, values: Sequence[str], *, saml: bool) -> Mapper:
    return Mapper(kind=SAML_ROLE if saml else OIDC_ROLE, config={**_told(claim, values, saml=saml), "role": name})


def _group(name: str, claim: str, values: Sequence[str], *, saml: bool) -> Mapper:
    config = {**_told(claim, values, saml=saml), "group": f"/{name}"}
    return Mapper(kind=SAML_GROUP if saml else OIDC_GROUP, config=config)


def _told(claim: str, values: Sequence[str], *, saml: bool) -> dict[str, str]:
    kind = "attribute" if saml else "claim"
    told = json.dumps([{"key": claim, "value": any_of(values)}])
    return {"syncMode": FORCE, f"{kind}s": told, f"are.{kind}.values.regex": "true"}


def any_of(values: Sequence[str]) -> str:
    """A regular expression of Java that matches each of ``values`` whole, and nothing else."""
    if not values:
        return NOTHING
    return "|".join(re.sub(r"([^A-Za-z0-9])", r"\\\1", value) for value in values)
