"""The folders of Praxis on the operator's machine: what may be thrown away, and what may not."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
STACKS = Path(os.environ.get("PRAXIS_STACKS") or REPOSITORY / "stacks")
"""Where stack files are (``PRAXIS_STACKS``)."""


def home() -> Path:
    """State, secrets and records of all stacks (``PRAXIS_HOME``): what a backup of this machine must hold."""
    return Path(os.environ.get("PRAXIS_HOME") or Path.home() / ".local/share/praxis")


def cache() -> Path:
    """Builds (``PRAXIS_CACHE``): can be deleted at any time and is made again."""
    return Path(os.environ.get("PRAXIS_CACHE") or Path.home() / ".cache/praxis")


@dataclass(frozen=True)
class StackFolder:
    """What belongs to one stack, under ``PRAXIS_HOME/stacks/<name>``; readable by its owner alone."""

    path: Path

    @property
    def custody(self) -> Path:
        """The encrypted secret store and its key; mounted read-only into the secrets agent."""
        return self.path / "custody"

    @property
    def config(self) -> Path:
        """Config files as delivered, one folder per service and content."""
        return self.path / "config"

    @property
    def passphrase(self) -> Path:
        """The file that holds the passphrase of the Pulumi state's secrets."""
        return self.path / "passphrase"

    @property
    def choices(self) -> Path:
        """What ``auto`` in the stack file was decided to mean for this stack."""
        return self.path / "choices.json"

    @property
    def chain_head(self) -> Path:
        """The last head of the audit chain that was verified from this machine."""
        return self.path / "chain-head"

    @property
    def authority(self) -> Path:
        """The certificate (PEM) of the stack's own CA, for clients."""
        return self.path / "ca.crt"


def stack_folder(name: str) -> StackFolder:
    """The folder of the stack ``name``; it may not exist yet."""
    return StackFolder(home() / "stacks" / name)
