"""``praxis demo``: shows on the running stack what it withstands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict

from components.blueprint import blueprint
from infra.cli.console import CommandError, Steps, emit_json, table
from infra.cli.containers import running
from infra.cli.loading import Loaded
from infra.custody import public_names
from infra.demo.exfiltrate import Findings, in_litellm, on_the_host, search

PLACES: dict[str, tuple[str, Callable[[str], Iterator[bytes]]]] = {
    "litellm": ("inside LiteLLM's container, as LiteLLM's uid", in_litellm),
    "host": ("on this machine, as a user without rights", on_the_host),
}


def exfiltrate(loaded: Loaded, *, as_json: bool) -> None:
    """Run a hostile program in two places and say by name which secrets it could get; none that is not its host's own.

    Raises:
        CommandError: the stack is not up, or a secret was found that should not be in reach.
    """
    if not running(loaded.name, "litellm"):
        raise CommandError(f"stack '{loaded.name}' is not up", fix=f"./praxis up {loaded.name}")
    steps, store = Steps(), loaded.store()
    values = {name: value for name, value in store.values().items() if name not in public_names(loaded.stack)}
    own: dict[str, set[str]] = {
        "litellm": blueprint(loaded.stack, loaded.name)["litellm"].secret_names(),
        "host": set(),
    }
    results: dict[str, Findings] = {}
    for place, (where, run) in PLACES.items():
        steps(f"running a hostile program {where}")
        results[place] = search(_counted(run(loaded.name), steps), values)
    excess = {place: sorted(_found(results[place]) - own[place]) for place in PLACES}
    if as_json:
        emit_json(
            {
                "stack": loaded.name,
                "places": {
                    place: {
                        "probes": {kind: asdict(probe) for kind, probe in results[place].items()},
                        "own": sorted(own[place] & _found(results[place])),
                        "excess": excess[place],
                    }
                    for place in PLACES
                },
            }
        )
    else:
        for place, (where, _) in PLACES.items():
            _show(f"A hostile program {where}", results[place])
    if any(excess.values()):
        named = "; ".join(f"{place}: {', '.join(names)}" for place, names in excess.items() if names)
        raise CommandError(f"secrets in reach that should not be: {named}")
    steps("no provider's key, no user's token, no other service's secret was in reach")


def _found(findings: Findings) -> set[str]:
    return {name for probe in findings.values() for name in probe.found}


def _show(title: str, findings: Findings) -> None:
    rows = [
        [
            kind,
            str(probe.tried),
            str(probe.read),
            f"{probe.bytes / 1e6:.1f}",
            ", ".join(f"{name} ({where})" for name, where in sorted(probe.found.items())) or "none",
        ]
        for kind, probe in findings.items()
    ]
    table(title, ["attempt", "tried", "read", "MB", "secrets found"], rows)


def _counted(lines: Iterable[bytes], steps: Steps) -> Iterator[bytes]:
    for number, line in enumerate(lines, 1):
        if number % 2000 == 0:
            steps(f"{number} attempts so far")
        yield line
