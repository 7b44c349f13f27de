"""The part of ``up`` that runs the engine, and what is mended around it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import typer
from docker.errors import DockerException
from pulumi import automation

from infra.cli.begun import take_away
from infra.cli.console import CommandError, Steps
from infra.cli.containers import running
from infra.cli.engine import NotUpError, Progress, counted, deployment, failure, refuse_beside_another, settle, unheard
from infra.cli.keycloak import keycloak_settings
from infra.cli.loading import Loaded
from infra.drift import engine
from infra.drift.findings import Seen
from infra.drift.looking import Ground, ground_in, look_by_engine, look_by_own_means, reported
from infra.drift.mending import Mending, told, worth_mending
from infra.drift.plan import Plan
from runtime.store import Store


@dataclass(frozen=True)
class Repair:
    """``mending`` is ``None`` when there is nothing to mend: a first ``up``, or no drift."""

    needless: bool = False
    """Whether there is neither drift nor a change for the engine."""
    mending: Mending | None = None
    plan: Plan = field(default_factory=Plan)
    realm_unseen: bool = False
    """Whether the realm could not be looked at, so that it is looked at when its server is back."""


def begin(loaded: Loaded, stack: automation.Stack, store: Store, steps: Steps, *, yes: bool) -> Repair:
    """Settle what an interrupted run has left, look for drift, and mend what must be mended before the engine runs.

    Raises:
        CommandError: a foreign container is in the way and may not be removed, or another run holds the stack;
            nothing was touched.
    """
    held = deployment(stack)
    refuse_beside_another(stack, held)
    take_away(held, keycloak_settings(loaded.stack, store))
    for one in settle(stack, held):
        steps(f"an interrupted run has begun, and it is begun anew: {one}")
    try:
        on = ground_in(held, loaded, stack, store)
    except NotUpError:
        return Repair()
    seen = _seen(on)
    if seen is None:
        return Repair(needless=True)
    report = reported(on, seen)
    if not worth_mending(report):
        return Repair()
    told(report.findings, steps)
    mending = Mending(on, steps, lambda question: yes or typer.confirm(question, default=False, err=True))
    unseen = any(one.what == engine.WHAT for one in report.unseen)
    with _mended():
        return Repair(mending=mending, plan=mending.before(report), realm_unseen=unseen)


def _seen(on: Ground) -> list[Seen] | None:
    """What every look has seen; ``None`` when there is neither drift nor a change for the engine."""
    if not running(on.loaded.name, "keycloak"):
        # The engine reads nothing inside it, and says so only when it has tried: what is inside comes after the start.
        return [*look_by_own_means(on), engine.not_yet("Keycloak does not run")]
    with ThreadPoolExecutor(1) as pool:
        same = pool.submit(in_order, on.stack)
        own = look_by_own_means(on)
    if same.result() and not worth_mending(reported(on, own)):
        return None
    return [*own, look_by_engine(on)]


def in_order(stack: automation.Stack) -> bool:
    """Whether the engine, when it has looked at everything anew, has nothing to do.

    One run of the engine answers for drift and change together; only when there is either is it asked which.
    """
    try:
        summary = stack.preview(refresh=True, on_output=unheard, color="never").change_summary
    except automation.CommandError:
        return False  # the run itself says why
    return counted(summary).keys() <= {"same"}


@contextmanager
def _mended() -> Iterator[None]:
    try:
        yield
    except (ValueError, DockerException) as error:
        raise CommandError(f"the database cannot be mended: {error}") from None


def provision(stack: automation.Stack, steps: Steps, repair: Repair) -> None:
    """Run the engine, so often as the repair needs it.

    Containers come first, and Keycloak's objects after them: the realm can be read only when its server is there.

    Raises:
        CommandError: the engine failed.
    """
    if repair.needless:
        steps("nothing to change")
        return
    steps(f"provisioning stack '{stack.name}'")
    todo = repair.plan
    progress = Progress(steps)
    try:
        if todo.read_again:
            stack.refresh(target=list(todo.read_again), on_output=unheard, color="never", show_secrets=False)
        realm = todo.realm or repair.realm_unseen
        if todo.replace:
            _containers(stack, progress, steps, todo.replace, realm_follows=realm)
        if realm or not todo.replace:
            _run(stack, progress, steps, refresh=realm)
    except automation.CommandError as error:
        raise failure(error, progress) from None
    if repair.mending is not None:
        with _mended():
            repair.mending.after(repair.plan)


def _containers(
    stack: automation.Stack, progress: Progress, steps: Steps, replace: tuple[str, ...], *, realm_follows: bool
) -> None:
    """Make containers again. Those that wait for the realm may fail, when what follows mends the realm."""
    try:
        _run(stack, progress, steps, replace=list(replace))
    except automation.CommandError:
        if not realm_follows:
            raise
        steps("not all containers are ready; going on with the realm, which they may need")
        progress.errors.clear()


def _run(
    stack: automation.Stack,
    progress: Progress,
    steps: Steps,
    *,
    replace: list[str] | None = None,
    refresh: bool = False,
) -> None:
    result = stack.up(
        replace=replace, refresh=refresh, on_event=progress, on_output=unheard, color="never", show_secrets=False
    )
    changes = counted(result.summary.resource_changes or {})
    same = changes.pop("same", 0)
    steps("nothing to change" if not changes else f"changed: {_listed(changes)}; unchanged: {same}")


def _listed(changes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(changes.items()))
