"""A stack as commands need it: its file checked, its folder and its secrets at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from components.blueprint import blueprint
from components.spec import AGENT_IMAGE
from config import Problem, SettingsError, Stack, load_stack
from config.yaml import Document, parse
from infra.cli.console import of_the_store
from infra.custody import open_store
from infra.paths import STACKS, StackFolder, stack_folder
from infra.supply.choice import decided, settled
from infra.supply.progress import Say
from runtime.store import State, Store, StoreError

if TYPE_CHECKING:
    from infra.supply.supplies import Supply

UNUSABLE = {None: "is not set", State.EXPIRED: "has expired", State.REVOKED: "was revoked"}


@dataclass(frozen=True)
class Loaded:
    """``name``: the stack's name; ``stack``: its checked file."""

    name: str
    stack: Stack
    folder: StackFolder

    @property
    def file(self) -> Path:
        """The stack file."""
        return STACKS / f"{self.name}.yaml"

    def document(self) -> Document:
        """The stack file with its lines."""
        return parse(self.file.read_text(encoding="utf-8"), self.file)

    def decided(self, say: Say) -> Loaded:
        """The same with nothing left to decide: what ``auto`` means here is found out, said and kept."""
        return replace(self, stack=decided(self.name, self.stack, say))

    def supply(self) -> Supply:
        """Where engine, plugins and images come from. Raises :class:`SupplyError` if that is not to be had."""
        from infra.supply.supplies import supply_for

        return supply_for(self.stack.supply, environment=self.stack.environment)

    def images(self) -> frozenset[str]:
        """Names of the images that its services run, and that of the agent which hands them their secrets."""
        return frozenset({spec.image for spec in blueprint(self.stack, self.name).services} | {AGENT_IMAGE})

    def environment(self) -> dict[str, str]:
        """The variables for plain ``pulumi``. Raises :class:`SupplyError` as :meth:`supply`."""
        from infra.supply.engine import pulumi_environment

        return pulumi_environment(self.name, self.stack.state.backend, engine=self.supply().engine)

    def store(self) -> Store:
        """The stack's secret store, complete but for what an operator must set.

        Raises:
            SettingsError: the stack file names a secret that is not set, has expired or was revoked; or another
                place than the store is kept in.
            CommandError: the store cannot be used.
        """
        try:
            store = open_store(self.name, self.stack)
            known = store.metadata()
        except StoreError as error:
            raise of_the_store(error, f"the secret store: {error}") from None
        problems = [
            Problem(
                file=self.file,
                key=f"secret://{name}",
                message=f"{UNUSABLE[state]}; set it with: ./praxis secrets set {self.name} {name}",
            )
            for name in self.stack.secret_names()
            if (state := known[name].state if name in known else None) is not State.SET
        ]
        if problems:
            raise SettingsError(problems)
        return store


def load(name: str) -> Loaded:
    """The stack ``name``; its file is checked before anything else is done.

    Raises:
        SettingsError: anything wrong with the file.
    """
    return Loaded(name, settled(name, load_stack(name, STACKS)), stack_folder(name))
