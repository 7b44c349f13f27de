"""The Pulumi engine, built from its published module, and the environment in which any engine runs.

The module's go.mod and go.sum stand beside this file. Python's language host is in no registry, so beside the engine
that is built stands one of ours (:mod:`infra.supply.engine.host`); the vendor's brings its own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from infra.paths import home, stack_folder
from infra.supply.artefacts import GoTool

ENGINE = GoTool(
    binary="pulumi",
    folder=Path(__file__).parent,
    package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    version_symbol="github.com/pulumi/pulumi/sdk/v3/go/common/version.Version",
    version_module="github.com/pulumi/pulumi/sdk/v3",
)
HOST = "pulumi-language-python"
SHORT_LIVED: Mapping[str, str] = MappingProxyType({"GOGC": "400", "GOMEMLIMIT": "512MiB"})
"""How a Go program that lives for seconds collects its garbage: seldom, up to a bound. A run of the engine takes an
eighth less of a processor."""
PASSPHRASE_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine and what is its own: ``folder`` holds the program ``pulumi``; ``home`` is its ``PULUMI_HOME``."""

    folder: Path
    home: Path

    @property
    def program(self) -> Path:
        """The executable."""
        return self.folder / ENGINE.binary


def built_engine() -> Engine:
    """The engine that is built here, whose plugins are ours; it may not be there yet."""
    return Engine(folder=ENGINE.path().parent, home=pulumi_home())


def build_engine() -> Path:
    """The engine, built if it is not there, with the language host beside it. Raises :class:`SupplyError`."""
    engine = ENGINE.build()
    host = engine.with_name(HOST)
    if not host.is_file():
        partial = host.with_suffix(".partial")
        # Which Python and which clone is the environment's to say: several clones share one engine.
        partial.write_text(
            '#!/bin/sh\nexec "${PRAXIS_PYTHON:?}" -P "${PRAXIS_LANGUAGE_HOST:?}" "$@"\n', encoding="utf-8"
        )
        partial.chmod(0o755)
        partial.replace(host)
    return engine


def engine_present() -> bool:
    """Whether there is nothing to build."""
    return ENGINE.path().is_file() and ENGINE.path().with_name(HOST).is_file()


def pulumi_environment(stack: str, backend: str | None = None, *, engine: Engine | None = None) -> dict[str, str]:
    """The variables for plain ``pulumi`` on ``stack``: which engine, which state, and where the passphrase is.

    ``backend``: the URL of where the state is kept; a folder of this machine unless given. ``engine``: the one that is
    built here unless given.

    Makes the passphrase file (mode 0600) and the state's folder if they are not there. Needs no engine to be built.
    """
    state, engine = state_folder(), engine or built_engine()
    for folder in (home(), state):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    passphrase = stack_folder(stack).passphrase
    _ensure_passphrase(passphrase)
    return {
        "PATH": f"{engine.folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PULUMI_HOME": str(engine.home),
        "PULUMI_BACKEND_URL": backend or backend_in(state),
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The vendor's language host runs this Python; ours is told by the two after it.
        "PULUMI_PYTHON_CMD": sys.executable,
        "PRAXIS_PYTHON": sys.executable,
        "PRAXIS_LANGUAGE_HOST": str(Path(__file__).with_name("host.py")),
    }


def backend_in(folder: Path) -> str:
    """The URL of states in a folder of this machine.

    Without files beside them that tell of a state's type and sum: an engine that is killed while it writes such a file
    (gocloud.dev's ``fileblob``) leaves half of it, and then nobody can read the state, which is whole.
    """
    return f"file://{folder}?metadata=skip"


def state_folder() -> Path:
    """Where the engine keeps the states of all stacks on this machine."""
    return home() / "state"


def state_file(stack: str) -> Path:
    """The state of ``stack`` on this machine."""
    return state_folder() / ".pulumi" / "stacks" / "praxis" / f"{stack}.json"


def pulumi_home() -> Path:
    """``PULUMI_HOME`` of the engine that is built here: its plugins, apart from any other Pulumi's on this machine."""
    return home() / "pulumi"


def _ensure_passphrase(file: Path) -> None:
    if file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as out:
        out.write(os.urandom(PASSPHRASE_BYTES).hex() + "\n")
