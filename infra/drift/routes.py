"""The look at the edge's live routes: what Traefik has taken in, which may not be what its files say by now.

The egress has no API to ask, on purpose (docs/explanation/secrets.md): its routes are looked at by their file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import yaml

from components.edge import ROUTES_PATH
from components.spec import ServiceSpec
from config.stack import Stack
from infra.drift.compare import Facts, differences, shown
from infra.drift.findings import Finding, Kind, Seen, Unseen

WHAT = "Traefik: the edge's live routes"
FIELDS = ("rule", "service", "middlewares", "priority", "entryPoints")
SERVED = "enabled"
"""Traefik's word for a route without a fault."""


def declared_in(spec: ServiceSpec) -> dict[str, Facts]:
    """Route -> its fields, out of the edge's own file."""
    routers = yaml.safe_load(spec.config_files["dynamic/routes.yaml"])["http"]["routers"]
    return {name: {**_facts(router), "status": SERVED} for name, router in routers.items()}


def read(stack: Stack) -> Mapping[str, Facts]:
    """Route -> its fields, as the running edge tells.

    Raises:
        httpx.HTTPError: it does not answer.
    """
    url = f"{stack.edge.admin_url}{ROUTES_PATH}"
    answer = httpx.get(url, params={"per_page": 1000}, timeout=10, trust_env=False).raise_for_status()
    found = (one for one in answer.json() if one["provider"] == "file")
    return _joined({_bare(one["name"]): {**_facts(one), "status": one["status"]} for one in found})


def _joined(live: Mapping[str, Facts]) -> Mapping[str, Facts]:
    """Of a route on several entry points Traefik makes one more, ``https-NAME``, for the one that has TLS. What is the
    same but for that is one route."""
    joined: dict[str, dict[str, Any]] = {name: {**facts} for name, facts in live.items()}
    for name, facts in live.items():
        entry = facts["entryPoints"][0]
        base = joined.get(name.removeprefix(f"{entry}-"))
        if len(facts["entryPoints"]) > 1 or base is None or base is joined[name]:
            continue
        if {**base, "entryPoints": None} == {**facts, "entryPoints": None}:
            base["entryPoints"] = sorted([*base["entryPoints"], entry])
            del joined[name]
    return joined


def _facts(router: Mapping[str, Any]) -> dict[str, Any]:
    facts = {field: router[field] for field in FIELDS if field in router}
    return {
        **facts,
        "service": _bare(facts["service"]),
        "middlewares": [_bare(name) for name in facts.get("middlewares", [])],
        "entryPoints": sorted(facts["entryPoints"]),
    }


def _bare(name: str) -> str:
    """Without the provider: in a file a name means one of the same file."""
    return name.removesuffix("@file")


def findings(declared: Mapping[str, Facts], live: Mapping[str, Facts], stack: str) -> Iterator[Finding]:
    """One finding a field of a route."""

    def found(name: str, path: str, kind: Kind, was: Any, is_now: Any) -> Finding:
        return Finding(
            resource=f"route/{name}",
            path=path,
            kind=kind,
            declared=shown(was),
            live=shown(is_now),
            repair=f"./praxis up {stack}",
        )

    for name in sorted(declared.keys() | live.keys()):
        if name not in live:
            yield found(name, "state", Kind.MISSING, "served", "missing")
        elif name not in declared:
            yield found(name, "state", Kind.FOREIGN, None, live[name]["rule"])
        else:
            for path, was, is_now in differences(declared[name], live[name]):
                yield found(name, path, Kind.CHANGED, was, is_now)


def look(stack: Stack, name: str, spec: ServiceSpec) -> Seen:
    """The edge's live routes against its declared ones; ``name`` is the stack's."""
    try:
        live = read(stack)
    except (httpx.HTTPError, KeyError, TypeError, ValueError) as error:
        return Seen(unseen=(Unseen(what=WHAT, why=f"{type(error).__name__}: {error}"[:300]),))
    return Seen(findings=tuple(findings(declared_in(spec), live, name)))
