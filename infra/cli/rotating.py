"""What must follow a rotation, done on the running stack: one short function for each :class:`~infra.rotation.Step`.

Each brings the stack to what the store holds, whatever state it finds, so a rotation that was interrupted is finished
by doing it again. No value is in an argument list: what a container needs it reads from its own delivered file.
"""

from __future__ import annotations

import hashlib
import ssl
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from pulumi import automation

from components.blueprint import blueprint
from infra.cli import keycloak
from infra.cli.console import CommandError, Exit, Steps
from infra.cli.containers import ready, restart, run_in, signal
from infra.cli.engine import Progress, deployment, failure, select, unheard
from infra.cli.loading import Loaded
from infra.cli.spare import spare
from infra.rotation import PREVIOUS_NEEDED, READ_AT_START, AfterRotation, Step, directory_secrets
from runtime.store import Store

DELIVERED_WITHIN_S = 30.0
SHOWN_WITHIN_S = 20.0
STARTED_WITHIN_S = 180.0
ON_THEIR_WAY_S = 10.0
"""What the edge has let in with a subject's old key has reached LiteLLM by then."""
LITELLM_PROVIDER = "praxis-governance-admin"
"""The resource that is given LiteLLM's master key."""
MEANWHILE = {
    "keycloak": "no sign-in and no new token meanwhile; requests went on",
    "mlflow": "spans were queued meanwhile; requests went on",
    **dict.fromkeys(("queue", "objects", "clickhouse"), "spans waited meanwhile; requests went on"),
    **dict.fromkeys(("langfuse", "langfuse-worker"), "spans were queued meanwhile; requests went on"),
    "sso": "no sign-in to the consoles meanwhile; requests went on",
}


@dataclass(frozen=True)
class Rotation:
    """``rows``: what has a new value in the store, and what must follow."""

    loaded: Loaded
    store: Store
    rows: Mapping[str, AfterRotation]
    steps: Steps

    @property
    def name(self) -> str:
        """The stack's name."""
        return self.loaded.name


def finish(rotation: Rotation) -> None:
    """Do everything that must follow, and record that it is done.

    Raises:
        CommandError: a step failed; the same command does it again.
    """
    for step, do in STEPS.items():
        names = tuple(name for name, row in rotation.rows.items() if step in row.steps)
        if names:
            do(rotation, names)
    ended = [name for name in rotation.rows if name in PREVIOUS_NEEDED]
    rotation.store.applied(rotation.rows, ended=ended)


def _redelivered(rotation: Rotation, names: tuple[str, ...]) -> None:
    wanted, until = _expected(rotation.loaded, names), time.monotonic() + DELIVERED_WITHIN_S
    while True:
        told = run_in(rotation.name, "secrets", ["sh", "-c", "sha256sum /deliver/*/*"])
        found = {path: digest for digest, _, path in (line.partition("  ") for line in told.splitlines())}
        if wanted.items() <= found.items():
            break
        if time.monotonic() > until:
            raise CommandError("the secrets agent does not deliver the new value", fix="./praxis status shows it")
        time.sleep(0.1)
    services = sorted({path.split("/")[2] for path in wanted})
    rotation.steps(f"delivered to {', '.join(services)}")


def _certificate(rotation: Rotation, names: tuple[str, ...]) -> None:
    """Traefik reads its files again on SIGHUP, and goes on serving meanwhile."""
    holders = {service for name in names for service in rotation.rows[name].services}
    if "egress" in holders:
        signal(rotation.name, "egress", "SIGHUP")
        rotation.steps("the egress reads its certificates again; local models are not concerned")
        if "ca-key" in rotation.rows:
            rotation.steps("A GAP: for a second or two a provider's model may have been refused")
    if "edge" in holders:
        _shown_by_the_edge(rotation)


def _shown_by_the_edge(rotation: Rotation) -> None:
    port, wanted = rotation.loaded.stack.edge.https_port, rotation.store.get("edge-tls-cert").strip()
    until = time.monotonic() + SHOWN_WITHIN_S
    signal(rotation.name, "edge", "SIGHUP")
    while ssl.get_server_certificate(("127.0.0.1", port), timeout=5).strip() != wanted:
        if time.monotonic() > until:
            raise CommandError("the edge does not show its new certificate", fix="restart the edge")
        time.sleep(0.2)
    rotation.steps("the edge shows its new certificate; requests went on")


class _Template(string.Template):
    idpattern = "[a-z][a-z0-9-]*"


def _expected(loaded: Loaded, names: tuple[str, ...]) -> dict[str, str]:
    """Path in the agent's container -> digest, of every file that holds one of ``names``."""
    values = Store(loaded.folder.custody).values()  # not an operator's reading: nothing of it is kept or shown
    return {
        f"/deliver/{service.name}/{file}": hashlib.sha256(_Template(template).substitute(values).encode()).hexdigest()
        for service in blueprint(loaded.stack, loaded.name).services
        for file, template in service.secrets.items()
        if any(f"${{{name}}}" in template for name in names)
    }


def _redis_user(rotation: Rotation, names: tuple[str, ...]) -> None:
    for name in names:
        present, *before = rotation.store.accepted(name)
        signed_in = [f"AUTH default {value}" for value in (*before, present)]
        told = run_in(
            rotation.name, "redis", ["redis-cli"], "\n".join([*signed_in, "ACL LOAD", signed_in[-1], "PING", ""])
        )
        if told.split()[-1:] != ["PONG"]:
            raise CommandError("Redis takes neither the new password nor the one before", fix="restart Redis")
    rotation.steps("Redis has read its users again; what is connected goes on")


def _database_role(rotation: Rotation, names: tuple[str, ...]) -> None:
    for name in names:
        role = name.removesuffix("-password").removesuffix("-db")
        variables = [f"--set=name={role}", f"--set=file=/run/secrets/{name}", "--set=ON_ERROR_STOP=1"]
        where = ["--username=postgres", "--dbname=postgres", "--file=/opt/praxis/roles.sql"]
        run_in(rotation.name, "postgres", ["psql", "--quiet", "--no-psqlrc", *variables, *where])
        rotation.steps(f"PostgreSQL's role '{role}' has the new password; what is connected goes on")


def _keycloak(rotation: Rotation, names: tuple[str, ...]) -> None:
    loaded = rotation.loaded
    with keycloak.signed_in(loaded.stack, rotation.store) as admin:
        for name in names:
            if name == keycloak.ADMIN_PASSWORD:
                admin.set_password("master", keycloak.ADMIN, rotation.store.get(name))
                rotation.steps("Keycloak's admin has the new password")
            elif name.startswith("person-") and name not in directory_secrets(loaded.stack):
                person = name.removeprefix("person-").removesuffix("-password")
                admin.set_password(keycloak.REALM, person, rotation.store.get(name))
                rotation.steps(f"'{person}' has the new password in Keycloak")
    _declared(rotation, [keycloak.resource(name, loaded.stack) for name in names])


def _litellm(rotation: Rotation, _: tuple[str, ...]) -> None:
    """A look for drift signs in with what Pulumi's state knows. A stack from before the provider knows of none."""
    _declared(rotation, [LITELLM_PROVIDER], if_known=True)


def _declared(rotation: Rotation, resources: list[str], *, if_known: bool = False) -> None:
    """Bring these resources, and Pulumi's state of them, in line with the store. Nothing else is touched.

    ``if_known``: a state that knows none of them is in order.
    """
    stack, progress = select(rotation.loaded), Progress(rotation.steps)
    known = [resource["urn"] for resource in deployment(stack).get("resources", [])]
    targets = [urn for urn in known if urn.rpartition("::")[2] in resources]
    if if_known and not targets:
        return
    if len(targets) != len(resources):
        raise CommandError(f"Pulumi's state does not know {', '.join(resources)}", fix=f"./praxis up {rotation.name}")
    try:
        with spare(rotation.name):
            stack.up(target=targets, on_event=progress, on_output=unheard, color="never", show_secrets=False)
    except automation.CommandError as error:
        raise failure(error, progress) from None
    rotation.steps(f"what runs and Pulumi's state agree on {', '.join(resources)}")


def _restarted(rotation: Rotation, names: tuple[str, ...]) -> None:
    wanted = {service for name in names for service in rotation.rows[name].restarts}
    for service in (each for each in READ_AT_START if each in wanted):
        begun = time.monotonic()
        restart(rotation.name, service)
        while not ready(rotation.name, service):
            if time.monotonic() - begun > STARTED_WITHIN_S:
                raise CommandError(f"'{service}' does not get ready", fix=f"./praxis status {rotation.name}")
            time.sleep(0.2)
        rotation.steps(f"{service} was restarted in {time.monotonic() - begun:.1f} s: {MEANWHILE[service]}")


def _litellm_keys(rotation: Rotation, names: tuple[str, ...]) -> None:
    """The custodian makes new keys at their next use; here the old ones are deleted."""
    rotation.steps(f"{ON_THEIR_WAY_S:.0f} s for what is on its way with an old key")
    time.sleep(ON_THEIR_WAY_S)
    begun = max(rotation.store.metadata()[name].created for name in names)
    headers = {"Authorization": f"Bearer {rotation.store.get('litellm-master-key')}"}
    url = f"{rotation.loaded.stack.edge.admin_url}/litellm"
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as http:
            keys = _keys(http)
            old = [key["token"] for key in keys if _moment(key) < begun]
            for part in range(0, len(old), 50):
                http.post("/key/delete", json={"keys": old[part : part + 50]}).raise_for_status()
    except httpx.HTTPError as error:
        raise CommandError(f"LiteLLM cannot be asked: {error}", code=Exit.UNREACHABLE) from None
    rotation.steps(
        f"deleted {len(old)} old keys of {len(keys)} in LiteLLM, whose own counts begin anew; the ledger's stay"
    )


def _keys(http: httpx.Client) -> list[dict[str, Any]]:
    """Every key of a subject."""
    found: list[dict[str, Any]] = []
    page = pages = 1
    while page <= pages:
        answer = http.get("/key/list", params={"page": page, "size": 100, "return_full_object": "true"})
        body = answer.raise_for_status().json()
        found += [key for key in body["keys"] if key.get("user_id") and key.get("token")]
        page, pages = page + 1, int(body.get("total_pages") or 1)
    return found


def _moment(key: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(key["created_at"]))


def _clients(rotation: Rotation, _: tuple[str, ...]) -> None:
    rotation.loaded.folder.authority.write_text(rotation.store.get("ca-cert"), encoding="utf-8")
    rotation.steps(f"clients that trust the gateway's authority need the new one: {rotation.loaded.folder.authority}")


def _record(rotation: Rotation, _: tuple[str, ...]) -> None:
    rotation.steps("the record of what is done with secrets has begun anew")


STEPS: Mapping[Step, Callable[[Rotation, tuple[str, ...]], None]] = {
    Step.REDELIVERED: _redelivered,
    Step.CERTIFICATE: _certificate,
    Step.REDIS_USER: _redis_user,
    Step.DATABASE_ROLE: _database_role,
    Step.KEYCLOAK: _keycloak,
    Step.LITELLM: _litellm,
    Step.RESTART: _restarted,
    Step.LITELLM_KEYS: _litellm_keys,
    Step.CLIENTS: _clients,
    Step.RECORD: _record,
}
