"""Layer 2, identity: Keycloak itself, and where it and the gateway are found."""

from __future__ import annotations

from components.realm import REALM
from components.spec import SECRETS_FOLDER, ServiceSpec, http_probe
from config.stack import Stack

ISSUER_INSIDE = f"http://keycloak:8080/realms/{REALM}"
"""The realm as the other services reach it; tokens name :func:`issuer` all the same."""


def public_url(stack: Stack, host: str) -> str:
    """Where a browser finds a console. Browsers resolve ``*.localhost`` by themselves (RFC 6761)."""
    return f"http://{host}.localhost:{stack.edge.http_port}"


def api_url(stack: Stack) -> str:
    """Where a program on this machine finds the gateway's API."""
    return f"http://localhost:{stack.edge.http_port}"


def issuer(stack: Stack) -> str:
    """The ``iss`` claim of the realm's tokens."""
    return f"{public_url(stack, 'id')}/realms/{REALM}"


def server(stack: Stack) -> ServiceSpec:
    """Keycloak. Its settings hold its database password, so the whole file is delivered as a secret."""
    settings = {
        "db-url": "jdbc:postgresql://postgres:5432/keycloak",
        "db-username": "keycloak",
        "db-password": "${keycloak-db-password}",
        "db-pool-initial-size": "1",
        "db-pool-min-size": "1",
        "db-pool-max-size": "10",
        "bootstrap-admin-username": "admin",
        "bootstrap-admin-password": "${keycloak-admin-password}",
        "hostname": public_url(stack, "id"),
        "hostname-backchannel-dynamic": "true",
        "http-enabled": "true",
        "proxy-headers": "xforwarded",
        "cache": "local",
        "log": "console",
        "log-level": "warn",
        # At debug level Hibernate lists what it has read from the database: clients with their secrets. Never that.
        "log-level-org.hibernate.orm.core": "warn",
    }
    return ServiceSpec(
        name="keycloak",
        image="keycloak",
        uid=61003,
        memory_mib=576,
        networks=("front", "data", *(("directories",) if stack.identity.openid() else ())),
        secrets={"keycloak.conf": "".join(f"{key}={value}\n" for key, value in settings.items())},
        env={"PRAXIS_CONFIG": f"{SECRETS_FOLDER}/keycloak.conf"},
        probe=http_probe(9000, "/health/ready", start_period_s=240),
        tmp_mib=64,
        # Langfuse asks the realm at the address that its tokens name, which inside leads nowhere by itself.
        aliases=("id.localhost",) if stack.observability.backend == "langfuse" else (),
        needs=("postgres",),
    )
