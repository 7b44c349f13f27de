"""A way out: Traefik between a network of the inside and declared addresses outside. What every such way has in common.

It has one entry point and routes from files; what a route does not say goes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from components.spec import CONFIG_FOLDER
from config.stack import Stack
from runtime.wire import CALL_HEADER, TICKET_HEADER

PORT, PING = 8200, 8082
ENTRY = "egress"
INTERNAL = (
    TICKET_HEADER.title(),
    CALL_HEADER.title(),
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Real-Ip",
    "Cookie",
)
"""Headers that tell of the inside and go to nobody outside."""
SYSCTLS = {"net.ipv4.ip_forward": "0"}
"""It passes on what its routes say and is nobody's router."""


def config_files(stack: Stack, routes: Mapping[str, Any]) -> dict[str, str]:
    """Traefik's files, with ``routes`` as its dynamic configuration and the stack file's own authorities."""
    return {
        "traefik.yaml": yaml.safe_dump(_static(), sort_keys=False),
        "dynamic/routes.yaml": yaml.safe_dump(dict(routes), sort_keys=False),
        **_authorities(stack),
    }


def http(
    stack: Stack,
    routers: Mapping[str, Mapping[str, Any]],
    prefixes: Iterable[str],
    origins: Mapping[str, str],
    middlewares: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The ``http`` part of the dynamic configuration.

    Args:
        prefixes: first parts of paths that are taken off on the way, each by a middleware ``strip-PREFIX``.
        origins: name of a service -> where it is.
        middlewares: more of them.
    """
    return {
        "routers": dict(routers),
        "middlewares": {
            **(middlewares or {}),
            "clean": {"headers": {"customRequestHeaders": dict.fromkeys(INTERNAL, "")}},
            **{f"strip-{prefix}": {"stripPrefix": {"prefixes": [f"/{prefix}"]}} for prefix in prefixes},
        },
        "services": {name: _service(origin) for name, origin in origins.items()},
        "serversTransports": {"providers": _transport(tuple(_authorities(stack)))},
    }


def router(rule: str, service: str, prefix: str, *before: str) -> dict[str, Any]:
    """One route: through the middlewares ``before``, and then without its prefix and what tells of the inside."""
    return {
        "rule": rule,
        "service": service,
        # Taking the prefix off tells of it in a header, so the cleaning comes last.
        "middlewares": [*before, f"strip-{prefix}", "clean"],
        "entryPoints": [ENTRY],
    }


def _static() -> dict[str, Any]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {ENTRY: {"address": f":{PORT}"}, "ping": {"address": f"127.0.0.1:{PING}"}},
        "ping": {"entryPoint": "ping"},
        "providers": {"file": {"directory": f"{CONFIG_FOLDER}/dynamic", "watch": False}},
        "log": {"level": "INFO", "format": "json"},
        "accessLog": {"format": "json", "fields": {"headers": {"defaultMode": "drop"}}},
    }


def _authorities(stack: Stack) -> dict[str, str]:
    return {"authorities.pem": stack.egress.authorities} if stack.egress.authorities else {}


def _service(origin: str) -> dict[str, Any]:
    return {
        "loadBalancer": {"servers": [{"url": origin}], "passHostHeader": False, "serversTransport": "providers"},
    }


def _transport(authorities: Sequence[str]) -> dict[str, Any]:
    """Public authorities, which a list of one's own would replace, and those of the stack file."""
    if not authorities:
        return {"forwardingTimeouts": {"dialTimeout": "10s"}}
    own = [f"{CONFIG_FOLDER}/{file}" for file in authorities]
    return {
        "rootCAs": ["/etc/ssl/certs/ca-certificates.crt", *own],
        "forwardingTimeouts": {"dialTimeout": "10s"},
    }
