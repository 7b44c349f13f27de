"""The egress: Traefik as the only way out of LiteLLM's network, to declared providers and nowhere else.

It holds no key. It asks the custodian about each request, over TLS with a certificate of its own, and puts on what
the custodian returns: ``authResponseHeaders`` show in no log and no API, which Traefik's own header settings would.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.spec import SECRETS_FOLDER, ServiceSpec, http_probe
from components.way_out import PING, SYSCTLS, config_files, http, router
from config.egress import Route, routes
from config.stack import Stack
from runtime.wire import PROFILE_PATH

PROFILE = PROFILE_PATH.split("/")[1]
"""Name of the route by which the custodian asks whose a user's token is."""

CREDENTIALS = ("Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key")
"""Headers that the custodian decides: Traefik takes off what came and puts on what it returned."""


def egress(stack: Stack) -> tuple[ServiceSpec, ...]:
    """Traefik with one route for each call that a declared provider is asked for; nothing without a provider."""
    ways_out = routes(stack)
    if not ways_out:
        return ()
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
            config_files=config_files(stack, _dynamic(stack, ways_out)),
            env={"GOMEMLIMIT": "77MiB"},
            sysctls=SYSCTLS,
            probe=http_probe(PING, "/ping"),
        ),
    )


def _dynamic(stack: Stack, ways_out: Sequence[Route]) -> dict[str, Any]:
    # Served to nobody: Traefik makes everything anew when a certificate has changed that it holds itself, and only then
    # reads those again by which it shows itself to the custodian.
    own = {"certFile": f"{SECRETS_FOLDER}/client.crt", "keyFile": f"{SECRETS_FOLDER}/client.key"}
    profile = _profile(ways_out)
    return {
        "tls": {"stores": {"default": {"defaultCertificate": own}}},
        "http": http(
            stack,
            {**{route.name: _router(route) for route in ways_out}, **profile},
            [*(route.name for route in ways_out), *profile],
            {route.name: route.origin for route in ways_out},
            {"custodian": _custodian()},
        ),
    }


def _custodian() -> dict[str, Any]:
    """Asks about each request, and puts on what is answered."""
    return {
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
    }


def _router(route: Route) -> dict[str, Any]:
    paths = " || ".join(f"Path(`/{route.name}{path}`)" for path in route.paths)
    return router(f"Method(`POST`) && ({paths})", route.name, route.name, "custodian")


def _profile(ways_out: Sequence[Route]) -> dict[str, dict[str, Any]]:
    """The custodian's own way to Anthropic, where users' tokens are taken; only it has tickets."""
    taking = [route.name for route in ways_out if route.upstream.user_tokens]
    if not taking:
        return {}
    return {PROFILE: router(f"Method(`GET`) && Path(`{PROFILE_PATH}`)", taking[0], PROFILE, "custodian")}
