"""Names in the realm: of clients, roles and scopes, as everything that speaks to it must know them."""

from __future__ import annotations

REALM = "praxis"
AUDIENCE = "praxis-gateway"
"""Audience of every token that the gateway accepts."""
CLI_CLIENT = "praxis-cli"
"""Public client of the command line: the device flow (RFC 8628)."""
DEMO_CLIENT = "praxis-demo-cli"
"""Exists in ``environment: demo`` alone: sign-in with a generated password, marked as demo in every record."""
SSO_CLIENT = "praxis-consoles"
CUSTODIAN_CLIENT = "praxis-custodian"
"""The custodian's own: it looks who may still come in."""
MANAGEMENT_CLIENT = "realm-management"
"""Keycloak's own, whose roles are the rights to its admin API."""
MAY_LOOK = ("view-clients", "view-events", "view-users")
TRACES_CLIENT = "praxis-traces"
"""Langfuse's own, where it is the trace store."""
AUDITOR = "praxis-auditor"
"""The realm role that may look at other people's traces."""
MFA_ROLE = "praxis-mfa"
"""The realm role that whoever has a role with ``mfa: true`` has by it: the sign-in asks for a second factor."""

# What Keycloak gives a client by default, and ours; the list is written out because it is set as a whole.
SCOPES = ("acr", "basic", "email", "profile", "roles", "web-origins", "praxis")


def agent_client(name: str) -> str:
    """Client id of an agent's service account."""
    return f"agent-{name}"


def agent_scope(name: str) -> str:
    """The client scope by which a person lets an agent act for it: in the token, the agent stands as an audience."""
    return f"for-{agent_client(name)}"


def agent_secret(name: str) -> str:
    """Name in the store of the secret by which an agent signs in that has no key of its own."""
    return f"agent-{name}-client-secret"
