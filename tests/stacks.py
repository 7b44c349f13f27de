"""Stacks that several test modules declare."""

from __future__ import annotations

from typing import Any

from config import Stack, load_stack
from infra.paths import STACKS


def full() -> Stack:
    """The laptop's stack in the full profile: Langfuse, from the vendors' images."""
    laptop = load_stack("laptop", STACKS)
    seen = laptop.observability.model_copy(update={"store": "langfuse"})
    return laptop.model_copy(update={"supply": "official", "observability": seen})


def with_mfa(stack: Stack, *roles: str) -> Stack:
    """``stack``, in which ``roles`` ask for a second factor."""
    changed = {role: stack.roles[role].model_copy(update={"mfa": True}) for role in roles}
    return stack.model_copy(update={"roles": {**stack.roles, **changed}})


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBAAAA\nBBBB+/==\n-----END CERTIFICATE-----\n"
"""Of nobody; in the form of one."""
APPLICATION = {"client_id": "praxis"}
GROUPS = {
    "roles": {"engineer": ["Gateway.Engineer", "gw+eng (all)"], "analyst": ["Gateway.Analyst"]},
    "departments": {"research": ["Research"], "finance": ["Finance"]},
}
DIRECTORIES: dict[str, dict[str, Any]] = {
    "acme": {
        "kind": "entra",
        "title": "Acme",
        "tenant": "11111111-2222-3333-4444-555555555555",
        "client_secret": "secret://entra-client-secret",
        "auditors": ["Gateway.Auditor"],
        **APPLICATION,
        **GROUPS,
    },
    "daughter": {
        "kind": "okta",
        "domain": "daughter.okta.com",
        "client_secret": "secret://okta-client-secret",
        **APPLICATION,
        **GROUPS,
    },
    "school": {
        "kind": "google",
        "hosted_domain": "school.example.com",
        "client_secret": "secret://google-client-secret",
        "role": "analyst",
        "department": "research",
        **APPLICATION,
    },
    "partner": {
        "kind": "oidc",
        "issuer": "https://login.partner.example.com/realms/staff",
        "authorization_url": "https://login.partner.example.com/realms/staff/auth",
        "token_url": "https://login.partner.example.com/realms/staff/token",
        "keys_url": "https://keys.partner.example.com/staff",
        "user_info_url": "https://login.partner.example.com/realms/staff/me",
        "client_secret": "secret://partner-client-secret",
        "more_scopes": ["groups"],
        **APPLICATION,
        **GROUPS,
    },
    "old": {
        "kind": "saml",
        "entity_id": "urn:old:idp",
        "sign_in_url": "https://old.example.com/saml?tenant=1",
        "signing_certificate": CERTIFICATE,
        **GROUPS,
    },
}
"""One of each kind."""


def federated(**changed: Any) -> Stack:
    """The laptop's stack with a directory of each kind; ``changed`` are other directories, or ``None`` for none."""
    raw = load_stack("laptop", STACKS).model_dump(mode="json", exclude_defaults=True)
    wanted = {name: each for name, each in {**DIRECTORIES, **changed}.items() if each is not None}
    return Stack.model_validate({**raw, "identity": {"directories": wanted}})
