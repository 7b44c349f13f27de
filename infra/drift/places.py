"""Where in the stack file a resource is declared, so that a finding can be shown beside the line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from config.yaml import Document, KeyPath
from infra.drift.findings import Finding

FIELDS: Mapping[str, KeyPath] = {
    "env.PRAXIS_MAX_REQUEST_MIB": ("edge", "max_request_mib"),
    "ports.8080/tcp": ("edge", "http_port"),
    "ports.8443/tcp": ("edge", "https_port"),
    "ports.8090/tcp": ("edge", "admin_port"),
}
"""Fields that one key of the file decides."""
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "user": ("people", "agents"),
    "role": ("roles",),
    "group": ("departments",),
    "team": ("departments",),
    "budget": ("roles",),
    "model": ("models",),
    "client": ("agents",),
}
"""Kind of resource -> the sections that may declare one of that name."""
SERVICES: Mapping[str, KeyPath] = {
    "edge": ("edge",),
    "egress": ("egress",),
    **dict.fromkeys(("mlflow", "langfuse", "langfuse-worker", "clickhouse", "objects", "queue"), ("observability",)),
    "litellm": ("models",),
    "model": ("models",),
}


def key_path(finding: Finding) -> KeyPath:
    """The key of the stack file that declares the finding's resource; ``()`` when none does by itself."""
    if finding.path in FIELDS:
        return FIELDS[finding.path]
    *kind, name = finding.resource.split("/", 2)
    if kind and kind[-1] in ("container", "config"):
        return SERVICES.get(name, ())
    sections = SECTIONS.get(kind[-1] if kind else "", ())
    return (*sections[:1], name.removeprefix("agent-")) if len(sections) == 1 else _either(sections, name)


def _either(sections: tuple[str, ...], name: str) -> KeyPath:
    return ("|".join(sections), name) if sections else ()


def place(finding: Finding, document: Document, file: Path, root: Path) -> tuple[str, int] | None:
    """File, relative to ``root`` where it is under it, and line; ``None`` when no key declares the resource."""
    path = key_path(finding)
    for section in str(path[0]).split("|") if path else ():
        line = document.lines.get((section, *path[1:]))
        if line is not None:
            shown = file.relative_to(root) if file.is_relative_to(root) else Path(file.name)
            return shown.as_posix(), line
    return None
