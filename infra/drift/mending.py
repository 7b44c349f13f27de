"""Repair, as a part of ``up``: what the engine cannot do by itself before it runs, and what it does not know after."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import docker
import httpx
from docker.errors import APIError, NotFound

from infra import healthcheck
from infra.cli.console import CommandError, Exit, Steps
from infra.cli.custodian import TOKEN
from infra.cli.keycloak import signed_in
from infra.drift import databases, gateway, realm
from infra.drift.findings import Finding, Report
from infra.drift.looking import Ground, look_at_databases
from infra.drift.plan import Plan, plan, statements
from infra.supply import host
from infra.targets.on_host import AGENT

HEALTHY_WITHIN_S = 300.0
POLL_S = 2.0


@dataclass(frozen=True)
class Mending:
    """``sure`` says whether containers that are not the stack's may be removed; it is given a question."""

    on: Ground
    steps: Steps
    sure: Callable[[str], bool]

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.on.loaded.name

    def before(self, report: Report) -> Plan:
        """Remove intruders, start what is stopped, mend the database; the plan comes back, for the engine.

        The database comes before the engine: a container that is made again is waited for, and may need its role.

        Raises:
            CommandError: an intruder may not be removed; nothing was touched.
        """
        todo = plan(report.findings, self.name, (AGENT, *(spec.name for spec in self.on.plan.services)))
        client = host.connect()
        self._ask(*todo.remove, *todo.removed_from_realm)
        self._remove(client, todo.remove)
        failed = [service for service in todo.start if not self._start(client, service)]
        urns = {one.service: one.urn for one in self.on.declared}
        first = {urns.get("postgres"), urns.get("secrets")}
        if None not in first and not first & {*todo.replace}:
            self._database(client)
        if any(one.resource.startswith("litellm/model/") for one in report.findings):
            failed.append("litellm")
        if any(one.resource.startswith("route/") for one in report.findings):
            failed.append("edge")
        made_again = dict.fromkeys((*todo.replace, *(urns[service] for service in failed if service in urns)))
        return replace(todo, replace=tuple(made_again))

    def after(self, todo: Plan) -> None:
        """Bring PostgreSQL's roles, LiteLLM's keys and what is too much in Keycloak to what is declared.

        Looks anew, for all of them may have been down.
        """
        self._database(host.connect())
        self._gateway()
        self._realm(todo.removed_from_realm)

    def _ask(self, *names: str) -> None:
        if names and not self.sure(f"Remove what is not of stack '{self.name}': {', '.join(names)}?"):
            message = f"not removed: {', '.join(names)}; nothing was changed"
            raise CommandError(message, fix=f"remove them by hand, or ./praxis up {self.name} --yes")

    def _realm(self, removable: tuple[str, ...]) -> None:
        judge = realm.Judge(self.name, self.on.realm)
        try:
            with signed_in(self.on.loaded.stack, self.on.store) as admin:
                for call in realm.repairs(judge, realm.read(admin.http), removable):
                    self.steps(f"mending Keycloak: taking away {call[0]}")
                    realm.delete(admin.http, call)
        except httpx.HTTPError as error:
            raise CommandError(f"Keycloak cannot be mended: {error}", code=Exit.UNREACHABLE) from None

    def _database(self, client: docker.DockerClient) -> None:
        container = f"praxis-{self.name}-postgres"
        found = look_at_databases(client, self.on).findings
        for name in plan(found, self.name).databases:
            self.steps(f"mending the database: role, password and database '{name}'")
            databases.make_as_declared(client, container, name)
        for statement in statements(found):
            self.steps(f"mending the database: {statement}")
            databases.execute(client, container, statement)

    def _remove(self, client: docker.DockerClient, names: tuple[str, ...]) -> None:
        for name in names:
            self.steps(f"removing the foreign container {name}")
            try:
                client.containers.get(name).remove(force=True)
            except NotFound:
                continue

    def _start(self, client: docker.DockerClient, service: str) -> bool:
        """Start or restart, and wait until it is ready; whether it is."""
        self.steps(f"starting {service}")
        try:
            container = client.containers.get(f"praxis-{self.name}-{service}")
            if container.status == "paused":
                container.unpause()
            container.restart(timeout=10)
            until = time.monotonic() + HEALTHY_WITHIN_S
            while time.monotonic() < until:
                container.reload()
                if container.status == "running" and healthcheck.passes(container):
                    return True
                time.sleep(POLL_S)
        except APIError:
            return False
        return False

    def _gateway(self) -> None:
        loaded = self.on.loaded
        raises = gateway.raises(loaded.stack, self.on.values[TOKEN])
        judge = gateway.judge(loaded.name, loaded.stack, self.on.plan["litellm"], raises)
        try:
            with gateway.client(loaded.stack, self.on.values["litellm-master-key"]) as http:
                live = gateway.read(http)
                for path, body in gateway.repairs(judge, live):
                    self.steps(f"mending LiteLLM: {path}")
                    answer = http.post(path, json=body)
                    if path == "/key/update" and answer.status_code == httpx.codes.FORBIDDEN:
                        # LiteLLM moves no key back to its team; the custodian makes it anew when its subject comes.
                        answer = http.post("/key/delete", json={"keys": [body["key"]]})
                    answer.raise_for_status()
        except httpx.HTTPError as error:
            raise CommandError(f"LiteLLM cannot be mended: {error}", code=Exit.UNREACHABLE) from None


def worth_mending(report: Report) -> bool:
    """Whether there is anything to mend, or something that could not be looked at and may need it."""
    return bool(report.findings or report.unseen)


def told(findings: tuple[Finding, ...], steps: Steps) -> None:
    """Say what was found, one line a field."""
    for one in findings:
        steps(f"drift: {one.resource} {one.path}: {one.declared or '-'} -> {one.live or '-'}")
