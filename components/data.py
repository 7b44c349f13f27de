"""Under all layers: PostgreSQL (one database and one role per part) and Redis (shared limits and counters)."""

from __future__ import annotations

from components.spec import ServiceSpec, VolumeMount, tcp_probe
from config.stack import Stack


def databases(stack: Stack) -> tuple[str, ...]:
    """One database a part; its role has the same name and its password the secret ``<name>-db-password``."""
    return ("keycloak", "litellm", stack.observability.backend, "custodian")


REDIS_COMMANDS = "+@all -@admin -@dangerous +info +client +acl|load"


def postgres(stack: Stack) -> ServiceSpec:
    """The one database server."""
    names = databases(stack)
    return ServiceSpec(
        name="postgres",
        image="postgres",
        uid=61001,
        memory_mib=288,
        networks=("data",),
        secrets={name: f"${{{name}}}" for name in ("postgres-password", *(f"{each}-db-password" for each in names))},
        config_files={"databases": "".join(f"{name}\n" for name in names)},
        volumes=(VolumeMount(volume="postgres", path="/var/lib/postgresql/data"),),
        probe=tcp_probe(5432),
        # A smart shutdown would wait for clients; give the fast one time to write its checkpoint.
        stop_grace_s=30,
    )


def redis() -> ServiceSpec:
    """Counters that all workers share. Nothing in it has to survive a restart, so it writes nothing."""
    return ServiceSpec(
        name="redis",
        image="redis",
        uid=61002,
        memory_mib=48,
        networks=("data",),
        # It may have this very file read again, which is how a new password comes into use.
        secrets={"users.acl": f"user default on >${{redis-password}} ~* &* {REDIS_COMMANDS}\n"},
        probe=tcp_probe(6379),
    )
