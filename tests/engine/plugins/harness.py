"""Stacks of inline programs on the real engine, with the stand-ins as its plugins and the state in a folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation.events import EngineEvent

from infra.plugins.install import install
from infra.supply.engine import ENGINE, SHORT_LIVED, backend_in

PROJECT = "plugins"
PASSPHRASE = "a passphrase for tests"
Program = Callable[[], object]


def environment(folder: Path) -> dict[str, str]:
    """What the engine is run with: nothing of this machine's own Pulumi."""
    if not ENGINE.path().is_file():
        raise RuntimeError(f"there is no Pulumi engine at {ENGINE.path()}; 'python -m infra.supply' builds it")
    (folder / "state").mkdir(exist_ok=True)
    return {
        **SHORT_LIVED,
        "PATH": f"{ENGINE.path().parent}{os.pathsep}{os.environ['PATH']}",
        "PULUMI_HOME": str(folder / "home"),
        "PULUMI_BACKEND_URL": backend_in(folder / "state"),
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


@dataclass
class Deployment:
    """One stack; ``said`` is everything that the engine said in its last run."""

    folder: Path
    name: str
    program: Program
    said: str = ""
    changed: dict[str, list[str]] = field(default_factory=dict)
    """Resource -> the inputs that the last run found changed."""

    @property
    def stack(self) -> automation.Stack:
        """The stack of the program as it is now."""
        work = self.folder / "work"  # the engine would make one in the system's own for every call, and leave it
        work.mkdir(exist_ok=True)
        return automation.create_or_select_stack(
            self.name,
            project_name=PROJECT,
            program=self.program,  # type: ignore[arg-type]  # what it returns is not looked at
            opts=automation.LocalWorkspaceOptions(
                work_dir=str(work),
                pulumi_home=environment(self.folder)["PULUMI_HOME"],
                env_vars=environment(self.folder),
            ),
        )

    def up(self, **options: Any) -> dict[str, int]:
        """Deploy; returns the changes, without what stayed the same."""
        result = self._run(self.stack.up, show_secrets=False, **options)
        return _changes(result.summary.resource_changes or {})

    def preview(self, **options: Any) -> dict[str, int]:
        """What ``up`` would change."""
        return _changes(self._run(self.stack.preview, **options).change_summary)

    def destroy(self) -> dict[str, int]:
        """Delete everything."""
        return _changes(self._run(self.stack.destroy, show_secrets=False).summary.resource_changes or {})

    def state(self) -> list[dict[str, Any]]:
        """The resources of the state, secrets in cipher."""
        return list(json.loads(self.plain_state())["checkpoint"]["latest"]["resources"])

    def resource(self, name: str) -> dict[str, Any]:
        """One resource of the state."""
        return next(one for one in self.state() if one["urn"].endswith(f"::{name}"))

    def plain_state(self) -> str:
        """The state file's text, as it is on disk (an export through the Automation API would show secrets)."""
        file = self.folder / "state/.pulumi/stacks" / PROJECT / f"{self.name}.json"
        return file.read_text(encoding="utf-8")

    def _run(self, what: Callable[..., Any], **options: Any) -> Any:
        self.said, self.changed = "", {}
        return what(on_output=self._hear, on_event=self._notice, color="never", **options)

    def _hear(self, text: str) -> None:
        self.said += f"{text}\n"

    def _notice(self, event: EngineEvent) -> None:
        if event.resource_pre_event is not None:
            metadata = event.resource_pre_event.metadata
            self.changed[metadata.urn.split("::")[-1]] = sorted(metadata.diffs or [])


@dataclass(frozen=True)
class Engine:
    """A real engine with a state and a plugin folder of its own."""

    folder: Path

    def deploy(self, name: str, program: Program) -> Deployment:
        """A stack of this program."""
        return Deployment(self.folder, name, program)


def engine_in(folder: Path) -> Engine:
    """An engine whose plugins are the stand-ins of this repository."""
    install(folder / "home", Path(sys.executable))
    return Engine(folder)


def _changes(counts: Mapping[Any, int]) -> dict[str, int]:
    named = {str(getattr(operation, "value", operation)): count for operation, count in counts.items()}
    return {operation: count for operation, count in named.items() if operation != "same"}
