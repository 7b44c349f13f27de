"""The way to the company's directories: Traefik, by which Keycloak asks for tokens and keys, and for nothing else.

It is not the egress: whoever reaches this one may call without a ticket, and LiteLLM must not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from components.egress import INTERNAL, PING, PORT, static, transport
from components.spec import ServiceSpec, http_probe
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
    authorities = {"authorities.pem": stack.egress.authorities} if stack.egress.authorities else {}
    return (
        ServiceSpec(
            name=NAME,
            image="traefik",
            uid=61017,
            memory_mib=56,
            networks=("directories", "outside"),
            config_files={
                "traefik.yaml": yaml.safe_dump(static(), sort_keys=False),
                "dynamic/routes.yaml": yaml.safe_dump(_dynamic(stack, tuple(authorities)), sort_keys=False),
                **authorities,
            },
            env={"GOMEMLIMIT": "40MiB"},
            # It passes on what its routes say and is nobody's router.
            sysctls={"net.ipv4.ip_forward": "0"},
            probe=http_probe(PING, "/ping"),
        ),
    )


def _dynamic(stack: Stack, authorities: tuple[str, ...]) -> dict[str, Any]:
    declared = {name: tuple(ways(name, each.endpoints())) for name, each in stack.identity.openid().items()}
    every = [way for each in declared.values() for way in each]
    return {
        "http": {
            "routers": {
                way.name: {
                    "rule": f"Method(`{way.method}`) && Path(`/{directory}{way.path}`)",
                    "service": way.name,
                    # Taking the prefix off tells of it in a header, so the cleaning comes last.
                    "middlewares": [f"strip-{directory}", "clean"],
                    "entryPoints": ["egress"],
                }
                for directory, each in declared.items()
                for way in each
            },
            "middlewares": {
                "clean": {"headers": {"customRequestHeaders": dict.fromkeys(INTERNAL, "")}},
                **{f"strip-{directory}": {"stripPrefix": {"prefixes": [f"/{directory}"]}} for directory in declared},
            },
            "services": {
                way.name: {
                    "loadBalancer": {
                        "servers": [{"url": way.origin}],
                        "passHostHeader": False,
                        "serversTransport": "providers",
                    }
                }
                for way in every
            },
            "serversTransports": {"providers": transport(authorities)},
        },
    }
