"""Which secrets a stack needs, and the store they are in. Passwords are made here and nowhere else."""

from __future__ import annotations

import base64
import string
from collections.abc import Mapping
from dataclasses import dataclass

from components.data import databases
from components.langfuse import PUBLIC_KEY
from components.realm import agent_secret
from config.egress import routes
from config.stack import Stack
from infra.paths import stack_folder
from infra.places import declared_place
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
    StoreError,
)


@dataclass(frozen=True)
class FirstValue:
    """What ``of`` was when this was made; it stays so when ``of`` becomes another."""

    of: str

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.of,)

    def make(self, values: Mapping[str, str]) -> str:
        return values[self.of]

    def stale(self, value: str, values: Mapping[str, str]) -> bool:
        return False


@dataclass(frozen=True)
class BasicLogin:
    """``user`` and the password that is stored as ``password``, as HTTP's Basic scheme says them."""

    user: str
    password: str

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.password,)

    def make(self, values: Mapping[str, str]) -> str:
        return base64.b64encode(f"{self.user}:{values[self.password]}".encode()).decode()

    def stale(self, value: str, values: Mapping[str, str]) -> bool:
        return value != self.make(values)


def recipes(stack: Stack) -> dict[str, Recipe]:
    """How each secret that Praxis makes itself is made, by name. Those of providers are an operator's to set."""
    made: dict[str, Recipe] = {
        AUDIT_KEY: RandomBytes(32),
        "postgres-password": Password(),
        **{f"{database}-db-password": Password() for database in databases(stack)},
        "redis-password": Password(),
        "keycloak-admin-password": Password(),
        "litellm-master-key": Password(prefix="sk-"),
        "litellm-salt-key": Password(prefix="sk-"),
        "litellm-subject-seed": Password(),
        "custodian-record-token": Password(),
        "custodian-admin-token": Password(),
        "custodian-client-secret": Password(),
        "sso-client-secret": Password(),
        "sso-cookie-secret": RandomBytes(32),
        "assertion-private-key": Ed25519Key(),
        "assertion-public-key": PublicKey("assertion-private-key"),
        "chain-private-key": Ed25519Key(),
        "chain-public-key": PublicKey("chain-private-key"),
        "chain-retired-key": FirstValue("chain-private-key"),
        "ca-key": EcKey(),
        "ca-cert": CaCert("ca-key"),
        "edge-tls-key": EcKey(),
        "edge-tls-cert": ServerCert("edge-tls-key", ca_key="ca-key", ca_cert="ca-cert"),
    }
    if routes(stack):
        made |= {
            "custodian-tls-key": EcKey(),
            "custodian-tls-cert": _certificate("custodian-tls-key", "custodian"),
            "egress-client-key": EcKey(),
            "egress-client-cert": _certificate("egress-client-key", "egress", client=True),
        }
    if stack.observability.backend == "langfuse":
        made |= {
            **{f"langfuse-{part}-password": Password() for part in ("queue", "objects", "clickhouse")},
            "langfuse-session-secret": Password(),
            "langfuse-client-secret": Password(),
            "langfuse-salt": Password(),
            "langfuse-encryption-key": Password(length=64, alphabet=string.hexdigits[:16]),
            "langfuse-project-key": Password(prefix="sk-lf-"),
            "langfuse-login": BasicLogin(PUBLIC_KEY, "langfuse-project-key"),
        }
    if stack.environment == "demo":
        made |= {f"person-{name}-password": Password() for name in stack.people}
    return made | {agent_secret(name): Password() for name in stack.agents_with_secret()}


def public_names(stack: Stack) -> set[str]:
    """Names in the store whose values are no secrets: certificates and public keys."""
    return {name for name, recipe in recipes(stack).items() if isinstance(recipe, CaCert | ServerCert | PublicKey)}


def _certificate(key: str, name: str, *, client: bool = False) -> ServerCert:
    """For two parts of the gateway to know each other by."""
    return ServerCert(key, ca_key="ca-key", ca_cert="ca-cert", names=(name,), client=client)


def open_store(name: str, stack: Stack) -> Store:
    """The stack's store, with everything in it that Praxis can make itself. What is done with it is recorded.

    Raises:
        SettingsError: the store is kept elsewhere than the stack file declares.
        StoreError: it cannot be used, or the stack file would send one of the gateway's own secrets to a provider.
    """
    made = recipes(stack)
    if own := sorted(made.keys() & set(stack.secret_names())):
        raise StoreError(f"secret://{own[0]} is a secret of the gateway itself and never goes to a provider")
    store = store_as_it_is(name, stack)
    store.ensure(made)
    return store


def store_as_it_is(name: str, stack: Stack) -> Store:
    """The stack's store, with nothing made that is missing. What is done with it is recorded.

    Raises:
        SettingsError: the store is kept elsewhere than the stack file declares.
        StoreError: where it is kept cannot be found out.
    """
    return Store(stack_folder(name).custody, audited=True, place=declared_place(name, stack))


def new_chain_key(store: Store, stack: Stack) -> None:
    """Make a new key for the audit chain. The old one is kept until the next change: it signs the change to the new."""
    store.set("chain-retired-key", store.get("chain-private-key"))
    store.set("chain-private-key", Ed25519Key().make({}))
    store.ensure(recipes(stack))
