"""Layer 4, observability: the OpenTelemetry Collector in front of the trace store, and the sign-in to its pages."""

from __future__ import annotations

from typing import Any

import yaml

from components.identity import ISSUER_INSIDE, issuer
from components.langfuse import INGESTION_VERSION, OTLP
from components.realm import SSO_CLIENT
from components.spec import SECRETS_FOLDER, ServiceSpec, VolumeMount, http_probe
from config.stack import Stack

EXPERIMENT_ID = "1"
"""The MLflow experiment that holds the traces; the image creates it under this id."""


def collector(stack: Stack) -> ServiceSpec:
    """Takes spans in, bounds its memory, keeps them on disk while the trace store is away."""
    return ServiceSpec(
        name="collector",
        image="collector",
        uid=61005,
        memory_mib=112,
        networks=("telemetry",),
        secrets={"langfuse-login": "${langfuse-login}"} if stack.observability.backend == "langfuse" else {},
        config_files={"collector.yaml": yaml.safe_dump(_collector(_way_to(stack)), sort_keys=False)},
        volumes=(VolumeMount(volume="collector", path="/var/lib/collector"),),
        env={"GOMEMLIMIT": "90MiB"},
        probe=http_probe(13133, "/"),
    )


def _way_to(stack: Stack) -> dict[str, Any]:
    """Where spans go, and with which headers."""
    if stack.observability.backend == "mlflow":
        return {
            "traces_endpoint": "http://mlflow:5000/v1/traces",
            "headers": {"x-mlflow-experiment-id": EXPERIMENT_ID},
        }
    return {
        "traces_endpoint": OTLP,
        "headers": {
            # The collector puts the file's content there, so the key is in no config.
            "Authorization": f"Basic ${{file:{SECRETS_FOLDER}/langfuse-login}}",
            "x-langfuse-ingestion-version": INGESTION_VERSION,
        },
    }


def _collector(way: dict[str, Any]) -> dict[str, Any]:
    return {
        "extensions": {
            "health_check": {"endpoint": "0.0.0.0:13133"},
            "file_storage": {"directory": "/var/lib/collector", "create_directory": True},
        },
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": "0.0.0.0:4318"}}}},
        "processors": {
            "memory_limiter": {"check_interval": "1s", "limit_percentage": 80, "spike_limit_percentage": 25},
            "batch": {"timeout": "500ms", "send_batch_size": 256},
        },
        "exporters": {
            "otlp_http": {
                **way,
                "retry_on_failure": {"max_elapsed_time": "0s"},
                "sending_queue": {"storage": "file_storage", "queue_size": 5000},
            }
        },
        "service": {
            "extensions": ["health_check", "file_storage"],
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter", "batch"],
                    "exporters": ["otlp_http"],
                }
            },
        },
    }


def mlflow(stack: Stack) -> ServiceSpec:
    """The trace store of the small profile, and its pages."""
    hosts = [f"traces.localhost:{port}" for port in (stack.edge.http_port, stack.edge.https_port)]
    return ServiceSpec(
        name="mlflow",
        image="mlflow",
        uid=61006,
        memory_mib=448,
        networks=("front", "data", "telemetry"),
        secrets={"mlflow-db-password": "${mlflow-db-password}"},
        env={"MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(["mlflow:5000", "127.0.0.1:5000", *hosts])},
        volumes=(VolumeMount(volume="mlflow", path="/var/lib/mlflow"),),
        probe=http_probe(5000, "/health"),
        needs=("postgres",),
    )


def sso(stack: Stack) -> ServiceSpec:
    """oauth2-proxy: browsers sign in with Keycloak, and go on with an access token that stays fresh."""
    return ServiceSpec(
        name="sso",
        image="sso",
        uid=61010,
        memory_mib=40,
        networks=("front",),
        secrets={
            "client-secret": "${sso-client-secret}",
            "cookie-secret": "${sso-cookie-secret}",
        },
        config_files={"sso.cfg": _sso(issuer(stack))},
        probe=http_probe(4180, "/ping"),
    )


def _sso(realm: str) -> str:
    inside = ISSUER_INSIDE
    settings: dict[str, object] = {
        "provider": "keycloak-oidc",
        "client_id": SSO_CLIENT,
        "client_secret_file": f"{SECRETS_FOLDER}/client-secret",
        "cookie_secret_file": f"{SECRETS_FOLDER}/cookie-secret",
        "oidc_issuer_url": realm,
        "skip_oidc_discovery": True,
        "login_url": f"{realm}/protocol/openid-connect/auth",
        "redeem_url": f"{inside}/protocol/openid-connect/token",
        "oidc_jwks_url": f"{inside}/protocol/openid-connect/certs",
        "profile_url": f"{inside}/protocol/openid-connect/userinfo",
        "code_challenge_method": "S256",
        # Nobody is known by a mail address: of a directory's people it is not verified, and some have none.
        "oidc_email_claim": "sub",
        "email_domains": ["*"],
        # Who may look is the custodian's to say: the edge asks it with the token that is handed on.
        "set_xauthrequest": True,
        "pass_access_token": True,
        "cookie_refresh": "5m0s",
        "cookie_expire": "8h0m0s",
        "http_address": "0.0.0.0:4180",
        "reverse_proxy": True,
        "upstreams": ["static://202"],
        "skip_provider_button": True,
        "cookie_secure": False,
        "cookie_samesite": "lax",
        "whitelist_domains": [".localhost:*"],
        "silence_ping_logging": True,
    }
    return "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items())


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"'
