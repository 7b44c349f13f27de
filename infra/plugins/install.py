"""Puts the stand-ins, and the plugin of our own, where the engine looks for plugins."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from config.versions import PULUMI_DOCKER, PULUMI_KEYCLOAK, PULUMI_LITELLM

STAND_INS = {"docker": PULUMI_DOCKER, "keycloak": PULUMI_KEYCLOAK}
"""What official plugins do where those can be had."""
OWN = {"litellm": PULUMI_LITELLM}
"""What no official plugin does: needed in every supply."""
REPOSITORY = Path(__file__).resolve().parents[2]


def install(pulumi_home: Path, python: Path, *, stand_ins: bool = True) -> None:
    """Write one launcher a plugin into ``PULUMI_HOME/plugins``, run by ``python`` (which has Praxis' packages).

    The layout is that of ``pulumi plugin install``: ``resource-NAME-vVERSION/pulumi-resource-NAME``. A launcher that
    is there as wanted is not touched, so this may be called at every start, by several processes at once.
    ``stand_ins``: whether they are wanted beside the plugin of our own.

    Raises:
        OSError: the folder cannot be written to.
    """
    for name, version in (STAND_INS | OWN if stand_ins else OWN).items():
        folder = pulumi_home / "plugins" / f"resource-{name}-v{version}"
        folder.mkdir(parents=True, exist_ok=True)
        write_launcher(folder / f"pulumi-resource-{name}", name, python)


def write_launcher(file: Path, name: str, python: Path) -> None:
    """Write the executable ``file`` that starts the plugin ``name``; whole or not at all.

    By itself it is what ``pulumi plugin install resource NAME VERSION --file`` and Pulumi.yaml's ``plugins`` take.
    """
    module = f"infra.plugins.{name}" if name in OWN else f"infra.plugins.standins.{name}"
    # Not what the engine's own environment says of Python: the plugin has to find this repository, and its packages.
    text = (
        "#!/bin/sh\n"
        f"unset PYTHONHOME PYTHONSTARTUP\nexport PYTHONPATH={shlex.quote(str(REPOSITORY))}\n"
        f'exec {shlex.quote(str(python))} -P -m {module} "$@"\n'
    )
    if file.exists() and file.read_text(encoding="utf-8") == text and os.access(file, os.X_OK):
        return
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.chmod(0o755)
    partial.replace(file)
