"""A stack as commands need it: its file checked, its folder and its secrets at hand."""

from __future__ import annotations

from dataclasses import dataclass

from config import Problem, SettingsError, Stack, load_stack
from infra.cli.console import CommandError
from infra.custody import open_store
from infra.paths import STACKS, StackFolder, stack_folder
from runtime.store import Store, StoreError


@dataclass(frozen=True)
class Loaded:
    """``name``: the stack's name; ``stack``: its checked file."""

    name: str
    stack: Stack
    folder: StackFolder

    def store(self) -> Store:
        """The stack's secret store, complete but for what an operator must set.

        Raises:
            SettingsError: the stack file names a secret that is not set.
            CommandError: the store cannot be used.
        """
        try:
            store = open_store(self.name, self.stack)
            known = store.names()
        except StoreError as error:
            raise CommandError(f"the secret store: {error}") from None
        missing = [name for name in self.stack.secret_names() if name not in known]
        if missing:
            raise SettingsError(
                Problem(
                    file=STACKS / f"{self.name}.yaml",
                    key=f"secret://{name}",
                    message=f"is not set; set it with: ./praxis secrets set {self.name} {name}",
                )
                for name in missing
            )
        return store


def load(name: str) -> Loaded:
    """The stack ``name``; its file is checked before anything else is done.

    Raises:
        SettingsError: anything wrong with the file.
    """
    return Loaded(name, load_stack(name, STACKS), stack_folder(name))
