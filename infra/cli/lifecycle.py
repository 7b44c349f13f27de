"""Commands that change a stack: up and down; and what up would do."""

from __future__ import annotations

import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import typer
from pulumi import automation

from components.blueprint import blueprint
from config import Problem, SettingsError
from infra.cli import look, repair, trail
from infra.cli.console import CommandError, Steps, emit_json, say, table
from infra.cli.containers import mounted, remove_rest, remove_unknown, running, statuses
from infra.cli.engine import Progress, counted, deployment, failure, forget, select, settle, unheard, unprotect
from infra.cli.keycloak import answers
from infra.cli.loading import Loaded
from infra.cli.spare import spare
from infra.drift.containers import declared_in
from infra.drift.engine import Announced
from infra.places import where
from infra.supply.host import port_error
from infra.supply.progress import Say
from runtime.store import Store

INSIDE = ("keycloak", "litellm")
"""Packages whose resources live in the databases of the stack."""


def up(loaded: Loaded, *, as_json: bool, yes: bool = False) -> None:
    """Supply, mend what has drifted, provision, and prove it with a real request as a person and as an agent."""
    steps = Steps()
    store = loaded.store()
    refuse_taken_ports(loaded)
    loaded, store = _decided(loaded, store, steps)
    loaded.supply().ready(steps, loaded.images())
    _write_authority(loaded, store)
    stack = select(loaded)
    steps(f"looking at stack '{loaded.name}'")
    with spare(loaded.name):
        repair.provision(stack, steps, repair.begin(loaded, stack, store, steps, yes=yes))
    _drop_old_config(loaded)
    store.delivered(blueprint(loaded.stack, loaded.name).readers())
    _prove(loaded, store, steps, as_json=as_json)


def preview(loaded: Loaded, *, as_json: bool) -> None:
    """What ``up`` would change."""
    steps = Steps()
    loaded, _ = _decided(loaded, loaded.store(), steps)
    loaded.supply().ready(steps, loaded.images())
    progress = Progress(steps)
    announced = Announced(progress)
    try:
        result = select(loaded).preview(on_event=announced, on_output=unheard, color="never")
    except automation.CommandError as error:
        raise failure(error, progress) from None
    changes = counted(result.change_summary)
    if as_json:
        emit_json(changes)
        return
    table("Preview", ["change", "resources"], [[key, str(count)] for key, count in sorted(changes.items())])
    rows = [[resource, field, now or "-", then or "-"] for resource, field, now, then in announced.fields()]
    if rows:
        table("Fields that change in place", ["resource", "field", "now", "then"], rows)


def down(loaded: Loaded, *, yes: bool, keep_data: bool) -> None:
    """Destroy containers and networks; data volumes and secrets only after a yes, and never with ``keep_data``."""
    if not keep_data and not yes:
        question = f"Delete stack '{loaded.name}' with all its data (databases, traces, secrets)?"
        if not typer.confirm(question, default=False, err=True):
            raise CommandError("nothing was deleted", fix="--keep-data ends the stack and keeps its data")
    steps = Steps()
    stack = select(loaded)
    with spare(loaded.name):
        _destroy(loaded, stack, steps, keep_data=keep_data)
    remove_rest(loaded.name, data=not keep_data)
    if not keep_data:
        stack.workspace.remove_stack(loaded.name)
        shutil.rmtree(loaded.folder.path, ignore_errors=True)
        if loaded.stack.secrets.store != "file":
            place = where(loaded.name, loaded.stack.secrets)
            steps(f"{place} is left, and its host.key is gone: delete it there, or the next `up` refuses to go on")
    steps(f"stack '{loaded.name}' is down{'; its data is kept' if keep_data else ''}")


def _destroy(loaded: Loaded, stack: automation.Stack, steps: Steps, *, keep_data: bool) -> None:
    """What the engine takes away, and what a run that was interrupted has left."""
    progress, held = Progress(steps), deployment(stack)
    settle(stack, held)
    known = {one.id for one in declared_in(held)}
    for name in remove_unknown(loaded.name, known):
        steps(f"deleted container {name}, which an interrupted run had begun")
    try:
        if not keep_data:
            unprotect(stack)
            if not answers(loaded.stack):
                steps("Keycloak does not answer: it goes with all that is in it")
                forget(stack, INSIDE)
        stack.destroy(
            on_event=progress, on_output=unheard, color="never", show_secrets=False, exclude_protected=keep_data
        )
    except automation.CommandError as error:
        raise failure(error, progress) from None


def rendered(loaded: Loaded) -> dict[str, Any]:
    """Every declared service, as data."""
    plan = blueprint(loaded.stack, loaded.name)
    return {"stack": plan.stack, "memory_mib": plan.memory_mib, "services": [asdict(spec) for spec in plan.services]}


def exports(loaded: Loaded) -> list[str]:
    """``export NAME=value`` lines for plain Pulumi; the stack is made if it is not there yet."""
    loaded, _ = _decided(loaded, loaded.store(), say)
    select(loaded)
    return [f"export {key}={shlex.quote(value)}" for key, value in sorted(loaded.environment().items())]


def _decided(loaded: Loaded, store: Store, say: Say) -> tuple[Loaded, Store]:
    """The stack with nothing left to decide, and its secrets: what was decided may need some of its own."""
    decided = loaded.decided(say)
    return decided, store if decided == loaded else decided.store()


def _prove(loaded: Loaded, store: Store, steps: Steps, *, as_json: bool) -> None:
    people, agents = list(loaded.stack.people)[:1], loaded.stack.agents_with_secret()[:1]
    if loaded.stack.environment != "demo":
        people = []  # a person signs in with a browser there
    subjects = [*people, *agents]
    if subjects:
        steps(f"asking one question each as {' and '.join(subjects)}")
    with ThreadPoolExecutor() as pool:
        looking = pool.submit(statuses, loaded.name)
        trails = list(pool.map(lambda subject: trail.walk(loaded.stack, store, subject), subjects))
        services = looking.result()
    if as_json:
        emit_json(
            {
                "stack": loaded.name,
                "trails": [asdict(one) for one in trails],
                "endpoints": look.endpoints(loaded),
                "services": [asdict(service) for service in services],
            }
        )
        return
    if told := [asdict(one) for one in trails]:
        rows = [[key.replace("_", " "), *(str(each[key]) for each in told)] for key in told[0] if key != "subject"]
        table("The trail of one request each", ["what", *(one.subject for one in trails)], rows)
    look.show(loaded, services)
    steps("the gateway answers")


def refuse_taken_ports(loaded: Loaded) -> None:
    """A port held by another program is bad input: said before anything is touched."""
    settings = loaded.stack.edge
    taken = {
        key: port
        for key, port in (
            ("edge.http_port", settings.http_port),
            ("edge.https_port", settings.https_port),
            ("edge.admin_port", settings.admin_port),
        )
        if port_error(port)
    }
    if taken and not running(loaded.name, "edge"):
        raise SettingsError(
            Problem(
                file=loaded.file,
                key=key,
                message=f"port {port} is in use by another program; free it or choose another (1-65535)",
            )
            for key, port in taken.items()
        )


def _write_authority(loaded: Loaded, store: Store) -> None:
    loaded.folder.authority.write_text(store.get("ca-cert"), encoding="utf-8")


def _drop_old_config(loaded: Loaded) -> None:
    """Delete config folders that no container mounts any more."""
    in_use = mounted(loaded.name)
    for folder in loaded.folder.config.iterdir():
        if str(folder) not in in_use:
            shutil.rmtree(folder)
