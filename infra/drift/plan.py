"""What mends what: a repair's plan out of findings. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from infra.drift.findings import Finding, Kind
from infra.drift.realm import PATHS
from infra.targets.on_host import AGENT

AT_START = frozenset({"state", "password"})
"""Fields of databases and their roles that PostgreSQL's own start brings to what is declared."""
OF_REALM = tuple(f"{kind}/" for kind in PATHS)
"""What is an object of Keycloak's realm."""
OF_CONTAINERS = ("container/", "config/", "secrets/")
"""What is mended by a new container, or by starting the one that is there."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """``remove``: names of containers; ``start``: services; the rest are URNs, each once and in the order found."""

    remove: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    """Containers that are made again."""
    read_again: tuple[str, ...] = ()
    """Networks and volumes whose state is read again, so that the engine makes what is missing."""
    realm: bool = False
    """Whether the objects inside Keycloak and LiteLLM are read again, so that the engine sets them as declared."""
    removed_from_realm: tuple[str, ...] = ()
    """Objects of Keycloak's realm that nobody declared, as ``kind/name``."""
    databases: tuple[str, ...] = ()
    """Databases whose role, password and database are made as at PostgreSQL's own start."""


def plan(findings: Iterable[Finding], stack: str, services: Iterable[str] = ()) -> Plan:
    """The plan that mends these findings; what LiteLLM and PostgreSQL hold is mended by its own statements.

    A container under the stack's label and under the name of one of ``services``, which are declared, is what an
    interrupted run has left: the engine takes its name when it makes the service.
    """
    findings = tuple(findings)
    begun = {f"praxis-{stack}-{service}" for service in services}
    remove = [name for one in findings if (name := _intruder(one, stack)) and (one.urn or name not in begun)]
    replace = {one.urn: None for one in findings if one.urn and _needs_new_container(one)}
    idle = [one for one in findings if one.kind in (Kind.STOPPED, Kind.UNHEALTHY) and one.urn not in replace]
    # The agent delivers at its start, before the services that read what it delivers are made again.
    deliver = [AGENT] if any(one.resource.startswith("secrets/") for one in findings) else []
    engine = [one for one in findings if one.urn and not one.resource.startswith(OF_CONTAINERS)]
    return Plan(
        remove=tuple(remove),
        start=tuple(dict.fromkeys([*deliver, *(one.resource.removeprefix("container/") for one in idle)])),
        replace=tuple(urn for urn in replace if urn),
        read_again=tuple(one.urn for one in engine if one.urn and _of_docker(one.urn)),
        realm=any(not _of_docker(one.urn or "") for one in engine),
        removed_from_realm=tuple(
            one.resource
            for one in findings
            if one.kind is Kind.FOREIGN and one.path == "state" and one.resource.startswith(OF_REALM)
        ),
        databases=tuple(
            dict.fromkeys(
                one.resource.partition("/")[2]
                for one in findings
                if one.resource.startswith(("database/", "database-role/"))
                and one.path in AT_START
                and one.kind is not Kind.FOREIGN
            )
        ),
    )


def _intruder(one: Finding, stack: str) -> str | None:
    """The name of the container that is to go."""
    if one.kind is not Kind.FOREIGN or not one.resource.startswith("container/") or one.path != "name":
        return None
    name = one.resource.removeprefix("container/")
    return f"praxis-{stack}-{name}" if one.urn else name


def _needs_new_container(one: Finding) -> bool:
    if one.resource.startswith(("config/", "secrets/")):
        return True
    return one.resource.startswith("container/") and one.kind not in (Kind.STOPPED, Kind.UNHEALTHY)


def _of_docker(urn: str) -> bool:
    return urn.split("::")[-2].rsplit("$", maxsplit=1)[-1].startswith("docker:") if urn else False


def statements(findings: Iterable[Finding]) -> Iterator[str]:
    """SQL that brings roles and databases to what is declared, where a start of PostgreSQL does not."""
    for one in findings:
        kind, _, name = one.resource.partition("/")
        if kind == "database-role":
            yield from _role(one, quoted(name))
        elif kind == "database" and one.path == "owner":
            yield f"ALTER DATABASE {quoted(name)} OWNER TO {quoted(name)}"
        elif kind == "database" and one.path.startswith("grants."):
            grantee = one.path.removeprefix("grants.")
            yield f"REVOKE ALL ON DATABASE {quoted(name)} FROM {'PUBLIC' if grantee == 'public' else quoted(grantee)}"


def _role(one: Finding, role: str) -> Iterator[str]:
    if one.kind is Kind.FOREIGN and one.path == "state":
        # Not dropped: it may own something. It can no longer come in.
        yield f"ALTER ROLE {role} NOLOGIN NOSUPERUSER"
    elif one.path == "login":
        yield f"ALTER ROLE {role} LOGIN"
    elif one.path.startswith("member_of."):
        yield f"REVOKE {quoted(one.path.removeprefix('member_of.'))} FROM {role}"
    elif one.kind is Kind.CHANGED and one.path not in AT_START:
        yield f"ALTER ROLE {role} NO{one.path.upper()}"


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
