"""Layer 1, the edge: Traefik. TLS, limits, and an allow-list of routes; whatever is not listed is refused.

The only published ports. Routes come from files alone, so no container ever sees the Docker socket.
"""

from __future__ import annotations

from typing import Any

import yaml

from components.spec import CONFIG_FOLDER, SECRETS_FOLDER, PublishedPort, ServiceSpec, http_probe
from config.stack import Edge as EdgeSettings
from config.stack import Stack
from runtime.wire import (
    CONSOLE_FORMS,
    CONSOLE_TOKEN_HEADER,
    COUNT_PATH,
    ENROLMENT_PREFIX,
    GEMINI_METHODS,
    GEMINI_PREFIX,
    MODEL_NAME,
    RESPONSES_PATH,
)

HTTP, HTTPS, ADMIN, PING = 8080, 8443, 8090, 8082
"""Ports inside the container; which host ports they become is the stack file's choice."""

API_ROUTES: tuple[tuple[str, str], ...] = (
    ("POST", "/v1/chat/completions"),
    ("POST", RESPONSES_PATH),
    ("POST", "/v1/messages"),
    ("POST", COUNT_PATH),
    ("GET", "/v1/models"),
    *(("POST", f"{GEMINI_PREFIX}{{model}}:{method}") for method in GEMINI_METHODS),
)
"""What a client may call on LiteLLM, each as an exact path, but for a model's name: ``PathPrefix`` ignores segment ends
in Traefik."""

ROUTES_PATH = "/api/http/routers"
"""Where Traefik tells its live routes, on the admin entry point: the one path of its API that is served."""

STORES = {"mlflow": 5000, "langfuse": 3000}
"""Trace store -> its port."""

CREDENTIALS = ("Authorization", "X-Api-Key", "X-Goog-Api-Key", "X-Praxis-Key")
"""Headers in which a client may say who asks."""

HANDED_ON = (*CREDENTIALS, "X-Praxis-Assertion", "Traceparent")
"""Headers that the custodian decides. Traefik deletes the client's own and sets what the custodian returned."""


def edge(stack: Stack) -> ServiceSpec:
    """Traefik with its routes."""
    settings, store = stack.edge, stack.observability.backend
    return ServiceSpec(
        name="edge",
        image="traefik",
        uid=61009,
        memory_mib=144,
        networks=("public", "front"),
        secrets={"tls.crt": "${edge-tls-cert}", "tls.key": "${edge-tls-key}"},
        config_files={
            "traefik.yaml": yaml.safe_dump(_static(), sort_keys=False),
            "dynamic/routes.yaml": yaml.safe_dump(_dynamic(settings, store), sort_keys=False),
        },
        ports=(
            PublishedPort(name="http", container_port=HTTP, host_port=settings.http_port),
            PublishedPort(name="https", container_port=HTTPS, host_port=settings.https_port),
            PublishedPort(name="admin", container_port=ADMIN, host_port=settings.admin_port),
        ),
        env={"GOMEMLIMIT": "115MiB"},
        probe=http_probe(PING, "/ping"),
    )


def _static() -> dict[str, Any]:
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {
            "http": {"address": f":{HTTP}"},
            "https": {"address": f":{HTTPS}", "http": {"tls": {}}},
            "admin": {"address": f":{ADMIN}"},
            "ping": {"address": f"127.0.0.1:{PING}"},
        },
        "ping": {"entryPoint": "ping"},
        "api": {"dashboard": False},
        "providers": {"file": {"directory": f"{CONFIG_FOLDER}/dynamic", "watch": False}},
        "log": {"level": "INFO", "format": "json"},
        # No request header is ever logged: that is where credentials are. No path either, which holds an enrolment's id
        # or a sign-in's code; the route's name is there.
        "accessLog": {
            "format": "json",
            "fields": {"names": {"RequestPath": "drop"}, "headers": {"defaultMode": "drop"}},
        },
    }


def _dynamic(settings: EdgeSettings, store: str) -> dict[str, Any]:
    return {
        "tls": {
            "stores": {
                "default": {
                    "defaultCertificate": {
                        "certFile": f"{SECRETS_FOLDER}/tls.crt",
                        "keyFile": f"{SECRETS_FOLDER}/tls.key",
                    }
                }
            }
        },
        "http": {
            "routers": {**_public_routers(store), **_admin_routers()},
            "middlewares": _middlewares(settings),
            "services": {
                name: {"loadBalancer": {"servers": [{"url": f"http://{name}:{port}"}]}}
                for name, port in (
                    ("custodian", 8100),
                    ("litellm", 4000),
                    ("keycloak", 8080),
                    (store, STORES[store]),
                    ("sso", 4180),
                )
            },
        },
    }


def _router(rule: str, service: str, *middlewares: str, priority: int, entry: tuple[str, ...]) -> dict[str, Any]:
    return {
        "rule": rule,
        "service": service,
        "middlewares": list(middlewares),
        "priority": priority,
        "entryPoints": list(entry),
    }


def _public_routers(store: str) -> dict[str, Any]:
    def public(rule: str, service: str, *middlewares: str, priority: int) -> dict[str, Any]:
        return _router(rule, service, "clean", "rate", *middlewares, priority=priority, entry=("http", "https"))

    allowed = " || ".join(f"(Method(`{method}`) && {_path(path)})" for method, path in API_ROUTES)
    enrolled = " || ".join(
        f"(Method(`{method}`) && {_path(path, after=ENROLMENT_PREFIX)})" for method, path in API_ROUTES
    )
    hello = f"(Method(`GET`) || Method(`HEAD`)) && PathRegexp(`^{ENROLMENT_PREFIX}/?$`)"
    return {
        "api": public(allowed, "litellm", "unreachable", "authenticate", priority=100),
        # The custodian is told the whole path; what is behind it, the path without the id.
        "enrolled": public(enrolled, "litellm", "unreachable", "authenticate", "strip-id", "forget-id", priority=100),
        "enrolled-hello": public(hello, "custodian", "unreachable", "hello", priority=100),
        "enrolments": public("Method(`POST`) && Path(`/me/enrolments`)", "custodian", "unreachable", priority=100),
        "keys": public("Method(`POST`) && Path(`/me/keys`)", "custodian", "unreachable", priority=100),
        "refuse": public("PathPrefix(`/`)", "custodian", "refuse", priority=1),
        "id": public(
            "Host(`id.localhost`) && (PathPrefix(`/realms/praxis/`) || PathPrefix(`/resources/`))",
            "keycloak",
            priority=300,
        ),
        "traces": public("Host(`traces.localhost`)", store, "sign-in", "auditor", "forget-token", priority=200),
        "traces-sign-in": public("Host(`traces.localhost`) && PathPrefix(`/oauth2/`)", "sso", priority=300),
        "console": public(_console(), "custodian", "sign-in", "console", priority=300),
        "console-home": public("Host(`console.localhost`) && Path(`/`)", "custodian", "home", priority=300),
        "console-sign-in": public("Host(`console.localhost`) && PathPrefix(`/oauth2/`)", "sso", priority=300),
        # Nothing else on the consoles' host names, so an API path there is not a way around their sign-in.
        "id-refuse": public("Host(`id.localhost`)", "custodian", "refuse", priority=200),
        "console-refuse": public("Host(`console.localhost`)", "custodian", "refuse", priority=200),
    }


def _path(path: str, after: str = "") -> str:
    """The rule for ``path``, whose ``{model}`` is any name. ``after``: a regular expression of what it follows."""
    if not after and "{model}" not in path:
        return f"Path(`{path}`)"
    return f"PathRegexp(`^{after}{path.replace('{model}', MODEL_NAME)}$`)"


def _console() -> str:
    """The rule of the pages behind the sign-in."""
    pages = [("GET", "/me"), *(("POST", f"/me/{name}") for name in CONSOLE_FORMS)]
    allowed = " || ".join(f"(Method(`{method}`) && Path(`{path}`))" for method, path in pages)
    return f"Host(`console.localhost`) && ({allowed})"


def _admin_routers() -> dict[str, Any]:
    """The operator's way in: loopback only, and each part still asks for its own credential."""

    def admin(rule: str, service: str, *middlewares: str) -> dict[str, Any]:
        return _router(rule, service, "clean", *middlewares, priority=100, entry=("admin",))

    keycloak = " || ".join(f"PathPrefix(`/{part}/`)" for part in ("realms", "admin", "resources"))
    return {
        "admin-keycloak": admin(keycloak, "keycloak"),
        "admin-litellm": admin("PathPrefix(`/litellm/`)", "litellm", "strip-litellm"),
        "admin-routes": admin(f"Method(`GET`) && Path(`{ROUTES_PATH}`)", "api@internal"),
        "admin-custodian": admin("PathPrefix(`/custodian/`)", "custodian", "strip-custodian"),
    }


def _middlewares(settings: EdgeSettings) -> dict[str, Any]:
    return {
        # What a client says about itself is never believed.
        "clean": {"headers": {"customRequestHeaders": {"X-Praxis-Assertion": "", "Traceparent": "", "Tracestate": ""}}},
        "rate": {
            "rateLimit": {"average": settings.requests_per_second, "burst": 2 * settings.requests_per_second},
        },
        "authenticate": {
            "forwardAuth": {
                "address": "http://custodian:8100/auth",
                # It is asked of every request; beside these it is told what Traefik itself says of the request.
                "authRequestHeaders": list(CREDENTIALS),
                "authResponseHeaders": list(HANDED_ON),
                "trustForwardHeader": False,
            }
        },
        # The gate in front of LiteLLM never answers with these: they are the edge's own words, so say them in dialect.
        "unreachable": {
            "errors": {
                "status": ["500", "502", "504"],
                "statusRewrites": {"500": 503, "502": 503, "504": 503},
                "service": "custodian",
                "query": "/errors/{status}?url={url}",
            }
        },
        "refuse": {"replacePath": {"path": "/refuse"}},
        "hello": {"replacePath": {"path": "/hello"}},
        "strip-id": {"stripPrefixRegex": {"regex": [f"^{ENROLMENT_PREFIX}"]}},
        # Where Traefik tells what it has taken off.
        "forget-id": {"headers": {"customRequestHeaders": {"X-Forwarded-Prefix": ""}}},
        "sign-in": {
            "forwardAuth": {
                "address": "http://sso:4180/",
                "authResponseHeaders": [CONSOLE_TOKEN_HEADER.title()],
                "trustForwardHeader": False,
            }
        },
        "auditor": {"forwardAuth": {"address": "http://custodian:8100/consoles/traces", "trustForwardHeader": False}},
        "console": {"addPrefix": {"prefix": "/console"}},
        "home": {"redirectRegex": {"regex": "^(https?://[^/]+)/$", "replacement": "$1/me"}},
        "forget-token": {"headers": {"customRequestHeaders": {CONSOLE_TOKEN_HEADER.title(): ""}}},
        "strip-litellm": {"stripPrefix": {"prefixes": ["/litellm"]}},
        "strip-custodian": {"stripPrefix": {"prefixes": ["/custodian"]}},
    }
