"""Puts the stand-ins where the engine looks for plugins (``PULUMI_HOME/plugins``)."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from config.versions import PULUMI_DOCKER, PULUMI_KEYCLOAK

STAND_INS = {"docker": PULUMI_DOCKER, "keycloak": PULUMI_KEYCLOAK}
REPOSITORY = Path(__file__).resolve().parents[2]


def install(pulumi_home: Path, python: Path) -> None:
    """Write one launcher a stand-in, run by ``python`` (an interpreter that has Praxis' packages).

    The layout is that of ``pulumi plugin install``: ``resource-NAME-vVERSION/pulumi-resource-NAME``.
    """
    for name, version in STAND_INS.items():
        folder = pulumi_home / "plugins" / f"resource-{name}-v{version}"
        folder.mkdir(parents=True, exist_ok=True)
        launcher = folder / f"pulumi-resource-{name}"
        text = (
            "#!/bin/sh\n"
            f"export PYTHONPATH={shlex.quote(str(REPOSITORY))}\n"
            f'exec {shlex.quote(str(python))} -P -m infra.plugins.standins.{name} "$@"\n'
        )
        if not launcher.exists() or launcher.read_text() != text:
            partial = launcher.with_suffix(f".{os.getpid()}")
            partial.write_text(text)
            partial.chmod(0o755)
            partial.rename(launcher)
