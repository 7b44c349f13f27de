"""The look at containers, by name and by label: which are there, whose they are, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound

from infra.drift import facts
from infra.drift.compare import Veil, differences, shown
from infra.drift.findings import Finding, Kind, Seen

TYPE = "docker:index/container:Container"
STACK_LABEL = "praxis.stack"
LIVE = ("limits.", "networks.", "restart")
"""Fields that Docker changes in a container that exists: nobody says when; the others are as old as the container."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A container as it stands in the state of the last ``up``."""

    service: str
    urn: str
    id: str
    inputs: Mapping[str, Any]

    @property
    def resource(self) -> str:
        """Its name in findings."""
        return f"container/{self.service}"

    @property
    def name(self) -> str:
        """Its name in Docker."""
        return str(self.inputs["name"])


@dataclass(frozen=True, kw_only=True)
class Live:
    """A container as Docker tells of it, with the image that it runs."""

    found: facts.Inspected
    image: facts.Inspected = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Docker's id."""
        return str(self.found["Id"])

    @property
    def name(self) -> str:
        """Its name in Docker."""
        return str(self.found["Name"]).lstrip("/")

    def labels(self) -> Mapping[str, str]:
        """Its labels."""
        return self.found["Config"]["Labels"] or {}


@dataclass(frozen=True)
class Judge:
    """Compares; looks at nothing. ``stack``: the stack's name."""

    stack: str
    veil: Veil

    def judged(self, declared: Iterable[Declared], live: Iterable[Live]) -> Iterator[Finding]:
        """Findings of every container that is declared, and of those that are ours by label alone."""
        by_id = {one.id: one for one in live}
        by_name = {one.name: one for one in by_id.values()}
        taken = set()
        for want in declared:
            have = by_id.get(want.id) or by_name.get(want.name)
            if have is None:
                yield self._finding(want, "state", Kind.MISSING, "running", "missing")
                continue
            taken.add(have.id)
            yield from self._of(want, have)
        for one in by_id.values():
            if one.id not in taken and one.labels().get(STACK_LABEL) == self.stack:
                yield self._stranger(one)

    def _of(self, want: Declared, have: Live) -> Iterator[Finding]:
        if have.labels().get(STACK_LABEL) != self.stack and have.id != want.id:
            image = have.found["Config"]["Image"]
            text = f"a container that is not this stack's ({have.id[:12]}, image {image})"
            repair = f"./praxis up {self.stack} (asks before it removes the container that has the name)"
            yield self._finding(want, "name", Kind.FOREIGN, want.name, text, have.found["Created"], repair)
            return
        if have.id != want.id:
            yield self._finding(want, "id", Kind.RECREATED, want.id[:12], have.id[:12], have.found["Created"])
        if have.id == want.id and have.name != want.name:
            yield self._finding(want, "name", Kind.CHANGED, want.name, have.name)
        yield from self._state(want, have)
        yield from self._settings(want, have)

    def _state(self, want: Declared, have: Live) -> Iterator[Finding]:
        state = have.found["State"]
        if state["Status"] == "running":
            if (state.get("Health") or {}).get("Status") == "unhealthy":
                since = next((one["Start"] for one in state["Health"].get("Log") or []), None)
                yield self._finding(want, "health", Kind.UNHEALTHY, "healthy", "unhealthy", since)
            return
        since = state["StartedAt"] if state["Status"] == "paused" else state["FinishedAt"]
        yield self._finding(want, "state", Kind.STOPPED, "running", str(state["Status"]), since)

    def _settings(self, want: Declared, have: Live) -> Iterator[Finding]:
        prefix = f"praxis-{self.stack}-"
        declared = facts.declared(dict(want.inputs), have.image, prefix)
        live = facts.live(have.found, have.image, prefix)
        for path, was, is_now in differences(declared, live):
            value = shown(is_now)
            if path.startswith("env.") and was is None and value is not None:
                value = self.veil.digest(value)  # nobody declared it, so nobody said that it is no secret
            since = None if path.startswith(LIVE) else have.found["Created"]
            yield self._finding(want, path, Kind.CHANGED, shown(was), value, since)

    def _stranger(self, have: Live) -> Finding:
        return Finding(
            resource=f"container/{have.name}",
            path="name",
            kind=Kind.FOREIGN,
            declared=None,
            live=f"a container under this stack's label ({have.id[:12]}, image {have.found['Config']['Image']})",
            since=instant(have.found["Created"]),
            repair=f"./praxis up {self.stack} (asks before it removes it)",
        )

    def _finding(
        self,
        want: Declared,
        path: str,
        kind: Kind,
        declared: str | None,
        live: str | None,
        since: str | None = None,
        repair: str = "",
    ) -> Finding:
        return Finding(
            resource=want.resource,
            path=path,
            kind=kind,
            declared=declared,
            live=live,
            urn=want.urn,
            since=instant(since),
            repair=repair or f"./praxis up {self.stack}",
        )


def instant(text: str | None) -> str | None:
    """Docker's time to the second; ``None`` for its word for "never"."""
    if not text or text.startswith("0001-"):
        return None
    return text[:19] + "Z"


def declared_in(deployment: Mapping[str, Any]) -> list[Declared]:
    """The containers of a state, in the order in which they were made."""
    return [
        Declared(
            service=str(one["urn"].split("::")[-1]).removeprefix("service-"),
            urn=one["urn"],
            id=str(one["id"]),
            inputs=one["inputs"],
        )
        for one in deployment.get("resources") or []
        if one["type"] == TYPE and one.get("id") and not one.get("delete")
    ]


def live_in(client: docker.DockerClient, stack: str, declared: Iterable[Declared]) -> list[Live]:
    """What Docker has of these: by id, by name and by the stack's label."""
    api = client.api
    listed = api.containers(all=True, filters={"label": [f"{STACK_LABEL}={stack}"]})
    keys = {str(one["Id"]) for one in listed}
    keys |= {key for want in declared for key in (want.id, want.name)}
    found: dict[str, Live] = {}
    images: dict[str, Mapping[str, Any]] = {}
    for key in sorted(keys):
        try:
            one = api.inspect_container(key)
        except NotFound:
            continue
        image = str(one["Image"])
        if image not in images:
            try:
                images[image] = client.images.get(image).attrs
            except (ImageNotFound, APIError):
                images[image] = {}
        found[str(one["Id"])] = Live(found=one, image=images[image])
    return list(found.values())


def look(client: docker.DockerClient, stack: str, declared: list[Declared], veil: Veil) -> Seen:
    """Every container of the stack."""
    return Seen(findings=tuple(Judge(stack, veil).judged(declared, live_in(client, stack, declared))))
