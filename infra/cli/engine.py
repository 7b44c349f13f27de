"""Running the Pulumi engine: the same program and state as plain ``pulumi``, with progress a person can follow."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import NamedTemporaryFile
from typing import Any

from pulumi import automation
from pulumi.automation.events import EngineEvent

from infra.cli.console import CommandError, Exit, Steps, say
from infra.cli.interrupted import RUN, free_locks
from infra.cli.loading import Loaded
from infra.cli.spare import torn
from infra.paths import REPOSITORY
from infra.supply.engine import SHORT_LIVED, state_file

Event = Callable[[EngineEvent], None]

STATE_VERSION = 3
"""Of the engine's export format."""
MOVING = "docs/how-to/keep-state-elsewhere.md"
_DONE = {"create": "made", "update": "updated", "delete": "deleted", "replace": "replaced", "read": "read"}


class NotUpError(CommandError):
    """No ``up`` has made the stack."""

    def __init__(self, name: str) -> None:
        super().__init__(f"stack '{name}' is not up", fix=f"./praxis up {name}")


@dataclass
class Progress:
    """Turns engine events into lines: one when a service's container starts to be made and one when it is ready."""

    steps: Steps
    _since: dict[str, float] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.resource_pre_event is not None:
            self._since[event.resource_pre_event.metadata.urn] = time.monotonic()
        elif event.res_outputs_event is not None:
            metadata = event.res_outputs_event.metadata
            done = _DONE.get(word(metadata.op))
            if done is not None and not metadata.type.startswith(("praxis:", "pulumi:")):
                took = time.monotonic() - self._since.get(metadata.urn, time.monotonic())
                self.steps(f"{done} {label(metadata.urn)} ({took:.1f} s)")
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            self.errors.append(event.diagnostic_event.message.strip())


def label(urn: str) -> str:
    """``…::docker:index/container:Container::service-postgres`` as ``container service-postgres``."""
    kind, name = urn.split("::")[-2:]
    return f"{kind.split('$')[-1].split(':')[-1].lower()} {name}"


def select(loaded: Loaded) -> automation.Stack:
    """The Pulumi stack of this name, made if it is not there.

    Raises:
        CommandError: its state cannot be read, or Pulumi's file of the stack belongs to another PRAXIS_HOME.
    """
    with _readable(loaded.name):
        return automation.create_or_select_stack(loaded.name, work_dir=str(REPOSITORY), opts=_workspace(loaded))


def existing(loaded: Loaded) -> automation.Stack:
    """The Pulumi stack of this name, which an ``up`` has made.

    Raises:
        NotUpError: there is none.
        CommandError: its state cannot be read, or Pulumi's file of the stack belongs to another PRAXIS_HOME.
    """
    with _readable(loaded.name):
        try:
            return automation.select_stack(loaded.name, work_dir=str(REPOSITORY), opts=_workspace(loaded))
        except automation.StackNotFoundError:
            raise NotUpError(loaded.name) from None


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except automation.CommandError as error:
        if "incorrect passphrase" in str(error):
            file = REPOSITORY / f"Pulumi.{name}.yaml"
            fix = f"delete {file}, or set PRAXIS_HOME to the folder that it belongs to"
            raise CommandError(f"{file.name} was written for a stack of another PRAXIS_HOME", fix=fix) from None
        if torn(file := state_file(name)):
            raise CommandError(f"the stack's state is torn: {file}", fix=f"put back a copy of it: {MOVING}") from None
        message = f"the stack's state cannot be read: {' '.join(str(error).split())}"
        raise CommandError(message, code=Exit.UNREACHABLE) from None


def _workspace(loaded: Loaded) -> automation.LocalWorkspaceOptions:
    backend = loaded.stack.state.backend
    environment = {**SHORT_LIVED, **loaded.environment(), RUN: str(os.getpid())}
    kept = state_file(loaded.name)
    if backend and kept.is_file():
        fix = f"move it there, or take state.backend out of the stack file: {MOVING}"
        raise CommandError(f"the state of stack '{loaded.name}' is still in {kept}, not in {backend}", fix=fix)
    free_locks(loaded.name, say)
    # The Automation API looks for the engine on this process's own PATH, whatever it is told for the workspace, and
    # asks it for its version, which we built.
    os.environ |= {"PATH": environment["PATH"], "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true"}
    return automation.LocalWorkspaceOptions(
        env_vars=environment, secrets_provider="passphrase", pulumi_home=environment["PULUMI_HOME"]
    )


def deployment(stack: automation.Stack) -> dict[str, Any]:
    """What the state holds; what is secret in it stays encrypted.

    Raises:
        CommandError: it cannot be read.
    """
    with _readable(stack.name):
        held: dict[str, Any] = json.loads(_pulumi(stack, "stack", "export"))["deployment"] or {}
        return held


def refuse_beside_another(stack: automation.Stack, held: Mapping[str, Any]) -> None:
    """The engine is asked to write what the state holds already: it does so under its lock, wherever that is.

    Raises:
        CommandError: another run holds the stack, and what has begun may be its own.
    """
    if held.get("pending_operations"):
        _replace(stack, held)


def settle(stack: automation.Stack, held: Mapping[str, Any]) -> list[str]:
    """Take operations out of the state that a killed run has begun and not ended; returns what they were about.

    ``held``: what the state holds (:func:`deployment`).
    Nothing is lost by it: whatever such a run has made carries its name and the stack's label, and is taken over by
    the run that makes it again.

    Raises:
        CommandError: another run holds the stack, and the operations may be its own.
    """
    begun = held.get("pending_operations") or []
    if begun:
        _replace(stack, {key: value for key, value in held.items() if key != "pending_operations"})
    return [f"{one['type']} {label(one['resource']['urn'])}" for one in begun]


def forget(stack: automation.Stack, packages: Collection[str]) -> None:
    """Take everything of these packages' (``keycloak``, …) out of the state: it ends with what holds it.

    Raises:
        CommandError: the state cannot be read.
    """
    held = deployment(stack)
    left = without(held.get("resources") or [], packages)
    if len(left) < len(held.get("resources") or []):
        _replace(stack, {**held, "resources": left})


def without(resources: Sequence[Mapping[str, Any]], packages: Collection[str]) -> list[dict[str, Any]]:
    """The resources that are of none of ``packages``, and that point to none of theirs."""
    gone = {str(one["urn"]) for one in resources if _package(str(one["type"])) in packages}
    left = []
    for one in resources:
        if one["urn"] in gone:
            continue
        kept = {**one, "dependencies": [urn for urn in one.get("dependencies") or [] if urn not in gone]}
        of_property = one.get("propertyDependencies") or {}
        kept["propertyDependencies"] = {
            name: [urn for urn in urns or [] if urn not in gone] for name, urns in of_property.items()
        }
        left.append(kept)
    return left


def _package(token: str) -> str:
    """Of a type; a provider (``pulumi:providers:keycloak``) is of the package that it serves."""
    parts = token.split(":")
    return parts[2] if parts[:2] == ["pulumi", "providers"] else parts[0]


def _replace(stack: automation.Stack, held: Mapping[str, Any]) -> None:
    with NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"version": STATE_VERSION, "deployment": held}, file)
        file.flush()
        try:
            _pulumi(stack, "stack", "import", "--file", file.name)
        except automation.CommandError as error:
            raise failure(error) from None


def unprotect(stack: automation.Stack) -> None:
    """Let everything be deleted."""
    _pulumi(stack, "state", "unprotect", "--all", "--yes")


def _pulumi(stack: automation.Stack, *arguments: str) -> str:
    """Run a command of the engine's that the Automation API lacks; what it prints."""
    space, command = stack.workspace, [*arguments, "--stack", stack.name]
    return space.pulumi_command.run(command, cwd=space.work_dir, additional_env=dict(space.env_vars)).stdout


def counted(summary: Mapping[Any, int]) -> dict[str, int]:
    """What the engine did or would do, by name."""
    return {word(operation): count for operation, count in summary.items()}


def word(operation: Any) -> str:
    """The name of what the engine does; it gives it as a word in some places and as an enumeration in others."""
    return str(getattr(operation, "value", operation))


def unheard(_: str) -> None:
    """Takes the engine's own text: its events say it better."""


def failure(error: automation.CommandError, progress: Progress | None = None) -> CommandError:
    """The engine's failure as one message: what it said of the resources, or its own last words."""
    text = "\n".join(dict.fromkeys(progress.errors if progress else ())) or str(error).strip()
    if "currently locked" in str(error):
        held = re.search(r"created by (\S+ \(pid \d+\)[^\n]*)", str(error))
        whose = f" ({held[1].strip()})" if held else ""
        return CommandError(f"the stack is locked by another run{whose}", fix="wait for it, or: pulumi cancel --yes")
    return CommandError(text, fix="mend the cause and run the same command again; what is done is not done twice")
