"""The look of Pulumi's own: a refresh that is only previewed, read out of the engine's events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pulumi import automation
from pulumi.automation.events import EngineEvent, StepEventMetadata

from infra.cli.engine import unheard, word
from infra.drift.compare import differences, flat, shown
from infra.drift.findings import Finding, Kind, Seen, Unseen
from infra.drift.names import missing_field, resource_name

CONTAINER = "docker:index/container:Container"
ALSO_LOOKED_AT = frozenset(
    {
        *("capabilities", "command", "cpus", "cpuSet", "cpuShares", "dns", "entrypoints", "envs", "exitCode"),
        *("groupAdds", "healthcheck", "hostname", "hosts", "image", "init", "labels", "logDriver", "logOpts", "memory"),
        *("memorySwap", "mounts", "mustRun"),
        *("networkMode", "networksAdvanced", "pidMode", "ports", "privileged", "readOnly", "restart", "securityOpts"),
        *("stopSignal", "sysctls", "tmpfs", "user", "usernsMode", "workingDir"),
    }
)
"""Properties of containers that are found field by field by the look at containers."""
SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105 - Pulumi's mark on what is a special value
WHAT = "Pulumi's refresh: realm, teams, budgets, networks, volumes"
REASON_CHARACTERS = 300
HIDDEN, HIDDEN_LIVE = "(a secret)", "(another secret)"


@dataclass
class Announced:
    """Takes in what the engine is about to do, and passes every event on."""

    then: Callable[[EngineEvent], None]
    steps: list[StepEventMetadata] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.resource_pre_event is not None:
            self.steps.append(event.resource_pre_event.metadata)
        self.then(event)

    def fields(self) -> Iterator[tuple[str, str, str | None, str | None]]:
        """What changes in place: (resource, field, now, then). Secrets are hidden, containers left out."""
        for one in findings(self.steps, ""):
            if one.kind is Kind.CHANGED and not one.resource.startswith("container/"):
                yield one.resource, one.path, one.declared, one.live


@dataclass
class Heard:
    """Takes the engine's events in."""

    steps: list[StepEventMetadata] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if event.res_outputs_event is not None:
            self.steps.append(event.res_outputs_event.metadata)
        elif event.diagnostic_event is not None and event.diagnostic_event.severity == "error":
            one = event.diagnostic_event
            self.errors.append((one.urn or "", " ".join(one.message.split())))


def findings(steps: list[StepEventMetadata], stack: str) -> Iterator[Finding]:
    """One finding a property path. What the look at containers finds as well is left to it."""
    for step in steps:
        operation = word(step.op)
        if step.type.startswith(("praxis:", "pulumi:")):
            continue
        if operation == "delete" and step.type != CONTAINER:
            yield _missing(step, stack)
        elif operation == "update":
            yield from _changed(step, stack)


def _missing(step: StepEventMetadata, stack: str) -> Finding:
    path = missing_field(step.urn)
    return Finding(
        resource=resource_name(step.urn, _inputs(step.old)),
        path=path,
        kind=Kind.MISSING,
        declared="present" if path == "state" else "as declared",
        live="missing",
        urn=step.urn,
        repair=f"./praxis up {stack}",
    )


def _changed(step: StepEventMetadata, stack: str) -> Iterator[Finding]:
    old, new = _inputs(step.old), _inputs(step.new)
    keys = {re.split(r"[.\[]", path)[0] for path in step.detailed_diff or {}} or set(step.diffs or ())
    for key in sorted(keys):
        if step.type == CONTAINER and key in ALSO_LOOKED_AT:
            continue
        declared, live = _told(old.get(key), HIDDEN), _told(new.get(key), HIDDEN_LIVE)
        pairs = list(differences(flat(declared, key), flat(live, key))) or [(key, declared, live)]
        for path, was, is_now in pairs:
            yield Finding(
                resource=resource_name(step.urn, old),
                path=path,
                kind=Kind.CHANGED,
                declared=shown(was),
                live=shown(is_now),
                urn=step.urn,
                repair=f"./praxis up {stack}",
            )


def _inputs(state: Any) -> Mapping[str, Any]:
    return (state.inputs if state is not None else None) or {}


def _told(value: Any, secret: str) -> Any:
    """The value without secrets, which the engine has blinded already."""
    if isinstance(value, Mapping):
        return secret if SECRET in value else {key: _told(each, secret) for key, each in value.items()}
    if isinstance(value, list):
        return [_told(each, secret) for each in value]
    return secret if value == "[secret]" else value


def look(stack: automation.Stack, name: str) -> Seen:
    """What Pulumi would take into its state at a refresh."""
    heard = Heard()
    failed = ""
    try:
        stack.preview_refresh(on_event=heard, on_output=unheard, color="never", show_secrets=False)
    except automation.CommandError as error:
        failed = " ".join(str(error).split())
    found = tuple(findings(heard.steps, name))
    return Seen(findings=found, unseen=_unseen(heard.errors, failed))


def not_yet(why: str) -> Seen:
    """Nothing was looked at, since it could not be read."""
    return Seen(unseen=(Unseen(what=WHAT, why=why),))


def _unseen(errors: list[tuple[str, str]], failed: str) -> tuple[Unseen, ...]:
    """One entry for all that the engine could not read: after the first failure it gives up the rest."""
    if not errors and not failed:
        return ()
    names = sorted({resource_name(urn, {}) for urn, _ in errors if "::" in urn})
    reason = next((message for _, message in errors), failed)[:REASON_CHARACTERS]
    return (Unseen(what=WHAT, why=f"{reason} (at {', '.join(names)})" if names else reason),)
