"""The egress: Traefik as the only way out of LiteLLM's network, to declared providers and nowhere else.

It holds no key. It asks the custodian about each request, over TLS with a certificate of its own, and puts on what
the custodian returns: ``authResponseHeaders`` show in no log and no API, which Traefik's own header settings would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import yaml

from components.spec import CONFIG_FOLDER, SECRETS_FOLDER, ServiceSpec, http_probe
from components.target import Target
from config.egress import Route, routes
from config.stack import Stack
from runtime.contract import PROFILE_PATH, TICKET_HEADER

PORT, PING = 8200, 8082
PROFILE = PROFILE_PATH.split("/")[1]
"""Name of the route by which the custodian asks whose a user's token is."""

CREDENTIALS = ("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key")
"""Headers that the custodian decides: Traefik takes off what came and puts on what it returned."""

INTERNAL = (
    TICKET_HEADER.title(),
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Real-Ip",
    "Cookie",
)
"""Headers that tell of the inside and go to no provider."""


def egress(stack: Stack) -> tuple[ServiceSpec, ...]:
    """Traefik with one route for each call that a declared provider is asked for; nothing without a provider."""
    ways_out = routes(stack)
    if not ways_out:
        return ()
    authorities = {"authorities.pem": stack.egress.authorities} if stack.egress.authorities else {}
    return (
        ServiceSpec(
            name="egress",
            image="traefik",
            uid=61012,
            memory_mib=96,
            networks=("egress", "outside"),
            secrets={
                "client.crt": "${egress-client-cert}",
                "client.key": "${egress-client-key}",
                "ca.crt": "${ca-cert}",
            },
            config_files={
                "traefik.yaml": yaml.safe_dump(static(), sort_keys=False),
                "dynamic/routes.yaml": yaml.safe_dump(_dynamic(ways_out, tuple(authorities)), sort_keys=False),
                **authorities,
            },
            env={"GOMEMLIMIT": "77MiB"},
            # It passes on what its routes say and is nobody's router.
            sysctls={"net.ipv4.ip_forward": "0"},
            probe=http_probe(PING, "/ping"),
        ),
    )


def static() -> dict[str, Any]:
    """Traefik's own settings on a way out: one entry point, routes from files, no header in a log."""
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {"egress": {"address": f":{PORT}"}, "ping": {"address": f"127.0.0.1:{PING}"}},
        "ping": {"entryPoint": "ping"},
        "providers": {"file": {"directory": f"{CONFIG_FOLDER}/dynamic", "watch": False}},
        "log": {"level": "INFO", "format": "json"},
        "accessLog": {"format": "json", "fields": {"headers": {"defaultMode": "drop"}}},
    }


def _dynamic(ways_out: Sequence[Route], authorities: Sequence[str]) -> dict[str, Any]:
    # Served to nobody: Traefik makes everything anew when a certificate has changed that it holds itself, and only then
    # reads those again by which it shows itself to the custodian.
    own = {"certFile": f"{SECRETS_FOLDER}/client.crt", "keyFile": f"{SECRETS_FOLDER}/client.key"}
    return {
        "tls": {"stores": {"default": {"defaultCertificate": own}}},
        "http": {
            "routers": {**{route.name: _router(route) for route in ways_out}, **_profile(ways_out)},
            "middlewares": {
                "custodian": {
                    "forwardAuth": {
                        "address": "https://custodian:8101/egress",
                        "authResponseHeaders": list(CREDENTIALS),
                        "trustForwardHeader": False,
                        "tls": {
                            "ca": f"{SECRETS_FOLDER}/ca.crt",
                            "cert": f"{SECRETS_FOLDER}/client.crt",
                            "key": f"{SECRETS_FOLDER}/client.key",
                        },
                    }
                },
                "clean": {"headers": {"customRequestHeaders": dict.fromkeys(INTERNAL, "")}},
                **{
                    f"strip-{name}": {"stripPrefix": {"prefixes": [f"/{name}"]}}
                    for name in (*(route.name for route in ways_out), *_profile(ways_out))
                },
            },
            "services": {
                route.name: {
                    "loadBalancer": {
                        "servers": [{"url": route.origin}],
                        "passHostHeader": False,
                        "serversTransport": "providers",
                    }
                }
                for route in ways_out
            },
            "serversTransports": {"providers": transport(authorities)},
        },
    }


def _router(route: Route) -> dict[str, Any]:
    paths = " || ".join(f"Path(`/{route.name}{path}`)" for path in route.paths)
    return {
        "rule": f"Method(`POST`) && ({paths})",
        "service": route.name,
        # Taking the prefix off tells of it in a header, so the cleaning comes last.
        "middlewares": ["custodian", f"strip-{route.name}", "clean"],
        "entryPoints": ["egress"],
    }


def _profile(ways_out: Sequence[Route]) -> dict[str, dict[str, Any]]:
    """The custodian's own way to Anthropic, where users' tokens are taken; only it has tickets."""
    taking = [route.name for route in ways_out if route.upstream.user_tokens]
    if not taking:
        return {}
    router = {
        "rule": f"Method(`GET`) && Path(`{PROFILE_PATH}`)",
        "service": taking[0],
        "middlewares": ["custodian", f"strip-{PROFILE}", "clean"],
        "entryPoints": ["egress"],
    }
    return {PROFILE: router}


def transport(authorities: Sequence[str]) -> dict[str, Any]:
    """Public authorities, which a list of one's own would replace, and those of the stack file."""
    if not authorities:
        return {"forwardingTimeouts": {"dialTimeout": "10s"}}
    own = [f"{CONFIG_FOLDER}/{file}" for file in authorities]
    return {
        "rootCAs": ["/etc/ssl/certs/ca-certificates.crt", *own],
        "forwardingTimeouts": {"dialTimeout": "10s"},
    }


@dataclass(frozen=True, kw_only=True)
class EgressArgs:
    """``service``: the egress' spec, out of the stack's blueprint."""

    target: Target
    service: ServiceSpec


class Egress(pulumi.ComponentResource):
    """The egress. Makes one service."""

    def __init__(self, name: str, args: EgressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("praxis:egress:Egress", name, None, opts)
        args.target.service(args.service, self)
        self.register_outputs({})
