"""What a look for drift finds. These dataclasses are the JSON document's schema (docs/reference/drift.schema.json)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

VERSION: Literal[1] = 1
"""Version of the JSON document: raised when a field changes its meaning or goes."""


class Kind(StrEnum):
    """What is wrong with a resource."""

    MISSING = "missing"
    STOPPED = "stopped"
    UNHEALTHY = "unhealthy"
    FOREIGN = "foreign"
    RECREATED = "recreated"
    CHANGED = "changed"


MEANING: dict[Kind, str] = {
    Kind.MISSING: "Something that is declared is not there.",
    Kind.STOPPED: "A service that is declared does not run.",
    Kind.UNHEALTHY: "A service runs, but its own health check fails.",
    Kind.FOREIGN: "Something is there that is not declared.",
    Kind.RECREATED: "Something was made again by hand in the place of what was declared.",
    Kind.CHANGED: "A setting is not what was declared.",
}
"""Each kind in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One field of one resource that is not as declared. No value in it is a secret: those stand as keyed digests."""

    resource: str
    """Stable name: container/litellm, config/edge, realm/praxis, client/praxis-cli, database/litellm, …"""
    path: str
    """The field: env.NAME, limits.memory_mib, state, …"""
    kind: Kind
    declared: str | None
    """None: nothing is declared there."""
    live: str | None
    """None: nothing is there."""
    urn: str | None = None
    """Pulumi's name of the resource, where it is one."""
    since: str | None = None
    """When it came to be so, at the latest (ISO 8601, UTC), where that can be told."""
    repair: str
    """What mends it."""

    @property
    def place(self) -> str:
        """``resource/path``: what patterns of ignored paths are matched against."""
        return f"{self.resource}/{self.path}"


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """Something that could not be looked at. It is never taken for "no drift"."""

    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Ignored:
    """A finding that the stack file says to pass over."""

    finding: Finding
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that one look found, in a stable order."""

    version: Literal[1] = VERSION
    stack: str
    findings: tuple[Finding, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    ignored: tuple[Ignored, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one look brings back."""

    findings: tuple[Finding, ...] = ()
    unseen: tuple[Unseen, ...] = ()
