"""What the Docker target names and writes on the host, for whoever looks at it later: without Pulumi's packages, which
take longer to import than a command has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from components.spec import ServiceSpec

AGENT = "secrets"
"""The container that hands the others their secrets."""
ADMIN_PATHS = {"keycloak": "", "litellm": "/litellm", "custodian": "/custodian"}
"""Where the edge's admin entry point, which listens on loopback, puts each part's own API."""


def config_digest(files: Mapping[str, str]) -> str:
    """What the name of a folder of config files says of its content."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).hexdigest()[:16]


def restore_config(folder: Path, files: Mapping[str, str]) -> bool:
    """Make the folder hold exactly ``files`` again; whether there was anything to do.

    In place, file by file: a container that mounts the folder goes on seeing it.
    """
    changed = False
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.is_symlink() or files.get(name) != path.read_text(encoding="utf-8", errors="replace"):
            path.unlink()
            changed = True
    missing = {name: text for name, text in files.items() if not (folder / name).is_file()}
    write_files(folder, missing)
    return changed or bool(missing)


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Path in ``folder`` -> text, readable by every user."""
    for path, text in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(0o444)
    for made in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        made.chmod(0o755)


def delivery(receivers: Iterable[ServiceSpec]) -> str:
    """What the agent is to write where: templates only, no secret."""
    services = [
        {
            "name": spec.name,
            "folder": f"/deliver/{spec.name}",
            "files": dict(spec.secrets),
            "optional": list(spec.optional_secrets),
        }
        for spec in receivers
    ]
    return json.dumps({"services": services}, indent=1, sort_keys=True)
