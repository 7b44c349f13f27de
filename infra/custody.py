"""Which secrets a stack needs, and the store they are in. Passwords are made here and nowhere else."""

from __future__ import annotations

from components.data import DATABASES
from config.stack import Stack
from infra.paths import stack_folder
from runtime.store import (
    AUDIT_KEY,
    CaCert,
    EcKey,
    Ed25519Key,
    Password,
    PublicKey,
    RandomBytes,
    Recipe,
    ServerCert,
    Store,
)


def recipes(stack: Stack) -> dict[str, Recipe]:
    """How each secret that Praxis makes itself is made, by name. Those of providers are an operator's to set."""
    made: dict[str, Recipe] = {
        AUDIT_KEY: RandomBytes(32),
        "postgres-password": Password(),
        **{f"{database}-db-password": Password() for database in DATABASES},
        "redis-password": Password(),
        "keycloak-admin-password": Password(),
        "litellm-master-key": Password(prefix="sk-"),
        "litellm-salt-key": Password(prefix="sk-"),
        "litellm-subject-seed": Password(),
        "custodian-record-token": Password(),
        "custodian-admin-token": Password(),
        "sso-client-secret": Password(),
        "sso-cookie-secret": RandomBytes(32),
        "assertion-private-key": Ed25519Key(),
        "assertion-public-key": PublicKey("assertion-private-key"),
        "ca-key": EcKey(),
        "ca-cert": CaCert("ca-key"),
        "edge-tls-key": EcKey(),
        "edge-tls-cert": ServerCert("edge-tls-key", ca_key="ca-key", ca_cert="ca-cert"),
    }
    if stack.environment == "demo":
        made |= {f"person-{name}-password": Password() for name in stack.people}
    return made | {f"agent-{name}-client-secret": Password() for name in stack.agents}


def open_store(name: str, stack: Stack) -> Store:
    """The stack's store, with everything in it that Praxis can make itself. What is done with it is recorded."""
    store = Store(stack_folder(name).custody, audited=True)
    store.ensure(recipes(stack))
    return store
