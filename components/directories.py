"""The way to the company's directories: Traefik, by which Keycloak asks for tokens and keys, and for nothing else.

It is not the egress: whoever reaches this one may call without a ticket, and LiteLLM must not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from components.spec import ServiceSpec, http_probe
from components.way_out import PING, PORT, SYSCTLS, config_files, http, router
from config.identity import Endpoints
from config.providers import origin
from config.stack import Stack

NAME = "directories"


@dataclass(frozen=True, kw_only=True)
class Way:
    """One address that Keycloak calls: ``name`` is unique, ``path`` its path at ``origin``."""

    name: str
    method: str
    origin: str
    path: str


def inside(directory: str, url: str) -> str:
    """Where Keycloak calls ``url`` of a directory."""
    return f"http://{NAME}:{PORT}/{directory}{urlsplit(url).path}"


def ways(directory: str, endpoints: Endpoints) -> Iterator[Way]:
    """What Keycloak calls at one directory."""
    called = (("token", "POST", endpoints.token), ("keys", "GET", endpoints.keys))
    user_info = (("user-info", "GET", endpoints.user_info),) if endpoints.user_info else ()
    for what, method, url in (*called, *user_info):
        yield Way(name=f"{directory}-{what}", method=method, origin=origin(url), path=urlsplit(url).path)


def directories(stack: Stack) -> tuple[ServiceSpec, ...]:
    """Traefik with a route for each address that Keycloak calls; nothing without a directory that it calls."""
    declared = stack.identity.openid()
    if not declared:
        return ()
    return (
        ServiceSpec(
            name=NAME,
            image="traefik",
            uid=61017,
            memory_mib=56,
            networks=("directories", "outside"),
            config_files=config_files(stack, _dynamic(stack)),
            env={"GOMEMLIMIT": "40MiB"},
            sysctls=SYSCTLS,
            probe=http_probe(PING, "/ping"),
        ),
    )


def _dynamic(stack: Stack) -> dict[str, Any]:
    declared = {name: tuple(ways(name, each.endpoints())) for name, each in stack.identity.openid().items()}
    every = [(directory, way) for directory, each in declared.items() for way in each]
    routers = {
        way.name: router(f"Method(`{way.method}`) && Path(`/{directory}{way.path}`)", way.name, directory)
        for directory, way in every
    }
    return {"http": http(stack, routers, declared, {way.name: way.origin for _, way in every})}
