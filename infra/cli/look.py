"""Commands that look and change nothing: status, doctor, cache."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from components.identity import api_url, public_url
from config.explain import explain as explained
from infra.cli import edge
from infra.cli.arguments import CredentialKind
from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.loading import Loaded

if TYPE_CHECKING:
    from infra.cli.containers import ServiceStatus


def endpoints(loaded: Loaded) -> dict[str, str]:
    """What answers where."""
    settings = loaded.stack.edge
    return {
        "api": api_url(loaded.stack),
        "api (TLS)": f"https://localhost:{settings.https_port}",
        "my page": public_url(loaded.stack, "console") + "/me",
        "traces": public_url(loaded.stack, "traces"),
        "sign-in": public_url(loaded.stack, "id"),
        "CA certificate": str(loaded.folder.authority),
        "secrets": f"{loaded.folder.custody} (encrypted; ./praxis secrets list {loaded.name})",
    }


def status(loaded: Loaded, *, as_json: bool) -> None:
    """Endpoints and services; exit 1 when one is not ready."""
    from infra.cli.containers import statuses

    services = statuses(loaded.name)
    if as_json:
        emit_json(
            {
                "stack": loaded.name,
                "endpoints": endpoints(loaded),
                "services": [asdict(service) | {"ready": service.ready} for service in services],
                "memory_mib": round(sum(service.memory_mib for service in services), 1),
            }
        )
    else:
        show(loaded, services)
    if not services:
        raise CommandError(f"stack '{loaded.name}' is not up", fix=f"./praxis up {loaded.name}")
    waiting = [service.service for service in services if not service.ready]
    if waiting:
        raise CommandError(f"not ready: {', '.join(waiting)}", fix=f"./praxis up {loaded.name}")


def explain(loaded: Loaded, subject: str, on_behalf_of: str | None, *, as_json: bool) -> None:
    """The effective policy of a subject, with the line of the stack file that each value comes from; with
    ``on_behalf_of`` that of a person for whom the agent ``subject`` acts.

    Raises:
        CommandError: no such subject is declared, or the agent may not act for this person.
    """
    declared, actor = loaded.stack.subjects(), ""
    if on_behalf_of is not None:
        edge.may_act(loaded.stack, subject, on_behalf_of)
        subject, actor = on_behalf_of, subject
    if subject not in declared:
        raise edge.unknown(loaded.stack, subject)
    values = list(explained(loaded.stack, loaded.document(), subject, actor))
    of = declared[subject]
    if as_json:
        emit_json(
            {
                "subject": subject,
                **({"actor": actor} if actor else {}),
                "kind": "person" if subject in loaded.stack.people else "agent",
                "role": of.role,
                "department": of.department,
                "file": str(loaded.file),
                "policy": [asdict(value) for value in values],
            }
        )
        return
    rows = [[one.field, one.value, one.key or "default", str(one.line or "")] for one in values]
    by = f", {actor} acts" if actor else ""
    table(f"{subject}: {of.role} in {of.department}{by}", ["field", "value", "set by", "line"], rows)


def show(loaded: Loaded, services: list[ServiceStatus]) -> None:
    """Endpoints and services as tables on stdout."""
    table("Endpoints", ["what", "where"], [[what, where] for what, where in endpoints(loaded).items()])
    rows = [
        [s.service, s.state, s.health, f"{s.memory_mib:.0f} / {s.limit_mib}", str(s.restarts), s.image]
        for s in services
    ]
    used, limit = sum(s.memory_mib for s in services), sum(s.limit_mib for s in services)
    rows.append(["all", "", "", f"{used:.0f} / {limit}", "", ""])
    table("Services", ["service", "state", "health", "memory MiB", "restarts", "image"], rows)


def doctor(loaded: Loaded, *, as_json: bool) -> None:
    """Every check of this machine; exit 1 when one fails."""
    from infra.supply.checks import run_checks

    settings = loaded.stack.edge
    running = bool(_quietly_running(loaded.name))
    ports = [] if running else [settings.http_port, settings.https_port, settings.admin_port]
    checks = run_checks(loaded.supply, loaded.images(), ports=ports, official=loaded.stack.supply == "official")
    if as_json:
        emit_json([asdict(check) for check in checks])
    else:
        rows = [["ok" if c.ok else "NOT OK", c.name, c.found, "" if c.ok else c.fix] for c in checks]
        table("Doctor", ["", "check", "found", "fix"], rows)
    failed = [check.name for check in checks if not check.ok]
    if failed:
        raise CommandError(f"not in order: {', '.join(failed)}")


def _quietly_running(name: str) -> list[ServiceStatus]:
    from infra.cli.containers import statuses

    try:
        return statuses(name)
    except CommandError:
        return []


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A credential. ``on_behalf_of``: for whom the agent ``subject`` is to act by it; ``key``: file of the private key
    of an agent that signs in by one; ``terms``: of a virtual key."""

    subject: str
    on_behalf_of: str | None = None
    kind: CredentialKind = CredentialKind.ACCESS
    key: Path | None = None
    terms: edge.KeyTerms = field(default_factory=edge.KeyTerms)


def credential(loaded: Loaded, asked: Asked) -> edge.Credential:
    """What is asked for.

    Raises:
        CommandError: no such subject, or no such credential in this environment.
    """
    subject, kind, terms = asked.subject, asked.kind, asked.terms
    if asked.on_behalf_of is not None and kind is not CredentialKind.ACCESS:
        raise CommandError("an agent acts for somebody by an access token alone", code=Exit.USAGE)
    if terms != edge.KeyTerms() and kind is not CredentialKind.VIRTUAL_KEY:
        raise CommandError("--model and --days are for a virtual key", fix="--kind virtual-key", code=Exit.USAGE)
    if others := [model for model in terms.models if model not in loaded.stack.models]:
        known = ", ".join(loaded.stack.models)
        raise CommandError(f"no model '{others[0]}' in this stack", fix=f"one of: {known}", code=Exit.USAGE)
    store = loaded.store()
    if kind is CredentialKind.PASSWORD:
        if loaded.stack.environment != "demo" or subject not in loaded.stack.people:
            raise CommandError("only people of a demo have a generated password", code=Exit.USAGE)
        return edge.Credential(
            subject=subject, token=store.get(f"person-{subject}-password"), expires_in_s=0, demo=True
        )
    if asked.on_behalf_of is not None:
        return edge.exchanged(loaded.stack, store, subject, asked.on_behalf_of, asked.key)
    access = edge.obtain(loaded.stack, store, subject, asked.key)
    return access if kind is CredentialKind.ACCESS else edge.virtual_key(loaded.stack, access, terms)


def cache(*, as_json: bool) -> None:
    """What builds left on disk."""
    from infra.supply import cache as builds

    entries = builds.entries()
    if as_json:
        emit_json([asdict(entry) for entry in entries])
        return
    rows = [[entry.name, f"{entry.bytes / 1e6:.0f}", "yes" if entry.used else "no"] for entry in entries]
    rows.append(["all", f"{sum(entry.bytes for entry in entries) / 1e6:.0f}", ""])
    table("Cache", ["what", "MB", "in use"], rows)


def prune() -> None:
    """Delete what is not in use."""
    from infra.supply import cache as builds

    freed = builds.prune()
    say(f"freed {freed / 1e6:.0f} MB")
