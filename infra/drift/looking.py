"""Every look, at once, as one report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import docker
from docker.errors import DockerException
from pulumi import automation

from components.blueprint import blueprint
from components.data import databases as declared_databases
from components.spec import Blueprint
from infra.cli.custodian import TOKEN
from infra.cli.engine import NotUpError, deployment, existing
from infra.cli.loading import Loaded
from infra.custody import public_names
from infra.drift import containers, databases, delivered, engine, files, gateway, networks, realm, routes
from infra.drift.compare import Veil, report
from infra.drift.findings import Report, Seen, Unseen
from infra.supply import host
from infra.supply.process import SupplyError
from infra.targets.on_host import AGENT, delivery
from runtime.store import AUDIT_KEY, Store


@dataclass(frozen=True)
class Ground:
    """What every look stands on: the stack file, its secrets, and the state that the last ``up`` left."""

    loaded: Loaded
    stack: automation.Stack
    declared: list[containers.Declared]
    networks: list[networks.Declared]
    realm: realm.Declared
    store: Store = field(repr=False)
    values: Mapping[str, str] = field(repr=False)

    @cached_property
    def plan(self) -> Blueprint:
        """The services of the stack file."""
        return blueprint(self.loaded.stack, self.loaded.name)

    @cached_property
    def veil(self) -> Veil:
        """Hides every secret of the store."""
        secret = self.values.keys() - public_names(self.loaded.stack)
        return Veil(f"drift:{self.values[AUDIT_KEY]}".encode(), [self.values[name] for name in secret])

    def files(self) -> Mapping[str, Mapping[str, str]]:
        """Service -> its config files."""
        receivers = [spec for spec in self.plan.services if spec.secrets]
        files = {spec.name: spec.config_files for spec in self.plan.services}
        return {**files, AGENT: {"delivery.json": delivery(receivers)}}

    def unapplied(self) -> list[str]:
        """Services that the stack file declares otherwise than the last ``up`` did."""
        applied = {
            one.service: {label["label"]: label["value"] for label in one.inputs["labels"]}.get("praxis.spec")
            for one in self.declared
        }
        now = {spec.name: spec.digest() for spec in self.plan.services}
        return sorted(name for name in (applied.keys() | now.keys()) - {AGENT} if applied.get(name) != now.get(name))


def ground(loaded: Loaded) -> Ground:
    """Read the stack's state and secrets.

    Raises:
        NotUpError: no ``up`` has made the stack.
        CommandError: its state cannot be read.
    """
    stack = existing(loaded)
    return ground_in(deployment(stack), loaded, stack, loaded.store())


def ground_in(held: Mapping[str, Any], loaded: Loaded, stack: automation.Stack, store: Store) -> Ground:
    """What a state holds, and the stack's secrets.

    Raises:
        NotUpError: no ``up`` has made the stack.
    """
    declared = containers.declared_in(held)
    if not declared:
        raise NotUpError(loaded.name)
    return Ground(
        loaded,
        stack,
        declared,
        networks.declared_in(held),
        realm.declared_in(held, loaded.stack),
        store,
        store.values(),
    )


def look(on: Ground) -> Report:
    """Look at everything; what cannot be looked at is in the report as such."""
    with ThreadPoolExecutor(1) as pool:
        refreshed = pool.submit(look_by_engine, on)
        own = look_by_own_means(on)
    return reported(on, [*own, refreshed.result()])


def look_by_own_means(on: Ground) -> list[Seen]:
    """Every look but Pulumi's, at once."""
    name, plan = on.loaded.name, on.plan
    looks: list[Callable[[], Seen]] = [
        lambda: files.look(on.declared, on.files(), name),
        lambda: gateway.look(
            on.values["litellm-master-key"], on.values[TOKEN], gateway.judge(name, on.loaded.stack, plan["litellm"])
        ),
        lambda: routes.look(on.loaded.stack, name, plan["edge"]),
        lambda: realm.look(realm.Judge(name, on.realm), on.loaded.stack, on.store),
    ]
    client = _client()
    if client is None:
        what = f"containers, networks, volumes, databases, delivered secrets; {engine.WHAT}"
        no_docker = Unseen(what=what, why="the Docker daemon does not answer")
        looks.append(lambda: Seen(unseen=(no_docker,)))
    else:
        looks[:0] = [
            lambda: containers.look(client, name, on.declared, on.veil),
            lambda: networks.look(client, name, on.networks),
            lambda: look_at_databases(client, on),
        ]
        looks.append(lambda: _delivered(client, on))
    with ThreadPoolExecutor(len(looks)) as pool:
        return [one.result() for one in [pool.submit(each) for each in looks]]


def look_by_engine(on: Ground) -> Seen:
    """Pulumi's refresh, previewed; nothing where there is no Docker daemon, which the other looks say."""
    return Seen() if _client() is None else engine.look(on.stack, on.loaded.name)


def reported(on: Ground, seen: list[Seen]) -> Report:
    """What the looks have seen, as one report."""
    return report(on.loaded.name, seen, on.loaded.stack.drift.ignore, on.veil)


def _client() -> docker.DockerClient | None:
    try:
        return host.connect()
    except (SupplyError, DockerException):
        return None


def look_at_databases(client: docker.DockerClient, on: Ground) -> Seen:
    """PostgreSQL's roles and databases."""
    names = declared_databases(on.loaded.stack)
    passwords = {name: on.values[f"{name}-db-password"] for name in names}
    return databases.look(client, databases.Judge(on.loaded.name, names, on.veil, passwords))


def _delivered(client: docker.DockerClient, on: Ground) -> Seen:
    urns = {one.service: one.urn for one in on.declared}
    # What the stack file asks for since the last up is not delivered yet, and no drift.
    specs = tuple(spec for spec in on.plan.services if spec.name not in on.unapplied())
    return delivered.look(client, delivered.Judge(on.loaded.name, specs, urns, on.veil, on.values))
