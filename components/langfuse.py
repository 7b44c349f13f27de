"""Langfuse, the trace store of the full profile: pages and API, worker, ClickHouse, an object store, and a queue.

Its images exist under ``supply: official`` alone: none of it is in a package registry. It reads every setting from its
environment, so what is secret there is delivered as files named like the variables, and put into the environment of
the process by what starts it (images/langfuse/launch.mjs).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from components.data import REDIS_COMMANDS
from components.identity import issuer, public_url
from components.realm import TRACES_CLIENT
from components.spec import SECRETS_FOLDER, Probe, ServiceSpec, VolumeMount, http_probe, tcp_probe
from config.stack import Stack

PORT = 3000
ORGANISATION, PROJECT = "praxis", "gateway"
PUBLIC_KEY = "pk-lf-praxis-gateway"
"""Names the project's key; what proves it is the secret ``langfuse-project-key``."""
OTLP = f"http://langfuse:{PORT}/api/public/otel/v1/traces"
INGESTION_VERSION = "4"
"""Without it Langfuse takes the sender for an old one, and shows its spans up to ten minutes later."""
BUCKET = "langfuse"
USER = "langfuse"
"""Of ClickHouse, the queue and the object store: each knows this one, by a password of its own."""
QUEUE_MIB = 192
_COUNTED = {"duration": 3600, **dict.fromkeys(("queries", "errors", "result_rows", "read_rows", "execution_time"), 0)}
"""Counted for each hour, and bounded by none of it (0)."""
CLICKHOUSE_BYTES = 1600 * 1024**2
"""What ClickHouse may take by its own count; the rest of its limit is for what it does not count."""


def langfuse(stack: Stack) -> tuple[ServiceSpec, ...]:
    """All its services, each after what it needs."""
    return (_queue(), _objects(), _clickhouse(), _web(stack), _worker(stack))


def _queue() -> ServiceSpec:
    """A Redis of its own: a queue that is full must not stop the counters of limits, nor they it. It keeps a log of
    what it is told: spans that wait in it outlive a restart."""
    return ServiceSpec(
        name="queue",
        image="redis",
        uid=61016,
        memory_mib=256,
        networks=("traces",),
        command=(
            *("/opt/praxis/redis.conf", "--maxmemory", f"{QUEUE_MIB}mb", "--databases", "1"),
            *("--dir", "/var/lib/queue", "--appendonly", "yes"),
        ),
        secrets={
            "users.acl": f"user default off\nuser {USER} on >${{langfuse-queue-password}} ~* &* {REDIS_COMMANDS}\n",
        },
        volumes=(VolumeMount(volume="queue", path="/var/lib/queue"),),
        probe=tcp_probe(6379),
    )


def _objects() -> ServiceSpec:
    """SeaweedFS: events as they came, and media, in one bucket."""
    rights = [f"{right}:{BUCKET}" for right in ("Read", "Write", "List", "Tagging")]
    identity = {
        "name": USER,
        "credentials": [{"accessKey": USER, "secretKey": "${langfuse-objects-password}"}],
        "actions": rights,
    }
    return ServiceSpec(
        name="objects",
        image="objects",
        uid=61013,
        memory_mib=384,
        networks=("traces",),
        secrets={"s3.json": json.dumps({"identities": [identity]}, indent=1)},
        env={"BUCKET": BUCKET, "GOMEMLIMIT": "300MiB"},
        volumes=(VolumeMount(volume="objects", path="/var/lib/objects"),),
        # Its start says when the bucket is there.
        probe=Probe(command=("test", "-e", "/tmp/.bucket"), start_period_s=180),  # noqa: S108 - a tmpfs of its own
    )


def _clickhouse() -> ServiceSpec:
    """ClickHouse on one node. Its file of users holds a password, so the whole of it is delivered as a secret."""
    return ServiceSpec(
        name="clickhouse",
        image="clickhouse",
        uid=61012,
        memory_mib=2048,
        networks=("traces",),
        secrets={"users.yaml": yaml.safe_dump(_users(), sort_keys=False)},
        config_files={"clickhouse.yaml": yaml.safe_dump(_server(), sort_keys=False)},
        env={"TZ": "UTC"},
        volumes=(VolumeMount(volume="clickhouse", path="/var/lib/clickhouse"),),
        probe=http_probe(8123, "/ping", start_period_s=180),
        tmp_mib=64,
        stop_grace_s=60,
    )


def _server() -> dict[str, Any]:
    """The whole of ClickHouse's settings. It keeps a system log where there is a section for it, and here is none:
    they have no end by themselves, fill disk and memory, and would hold what was searched; Langfuse reads none of them.
    """
    folder = "/var/lib/clickhouse"
    return {
        "logger": {"level": "warning", "console": 1},
        "listen_host": "0.0.0.0",  # noqa: S104 - of its own network, which leads nowhere
        "http_port": 8123,
        "tcp_port": 9000,
        "path": f"{folder}/",
        "tmp_path": f"{folder}/tmp/",  # noqa: S108 - in its volume
        "user_files_path": f"{folder}/user_files/",
        "format_schema_path": f"{folder}/format_schemas/",
        "user_directories": {"users_xml": {"path": f"{SECRETS_FOLDER}/users.yaml"}},
        "default_profile": "default",
        "default_database": "default",
        "timezone": "UTC",
        "mlock_executable": False,
        "max_server_memory_usage": CLICKHOUSE_BYTES,
        "mark_cache_size": 128 * 1024**2,
        "uncompressed_cache_size": 0,
        "index_mark_cache_size": 0,
        "max_concurrent_queries": 32,
        "background_pool_size": 4,
        "background_schedule_pool_size": 16,
        "merge_tree": {
            # Merges as large as fit into this machine's limit.
            "max_bytes_to_merge_at_max_space_in_pool": 8 * 1024**3,
            "number_of_free_entries_in_pool_to_lower_max_size_of_merge": 2,
            "number_of_free_entries_in_pool_to_execute_mutation": 2,
            "number_of_free_entries_in_pool_to_execute_optimize_entire_partition": 2,
        },
    }


def _users() -> dict[str, Any]:
    profile = {
        "max_memory_usage": 1000 * 1024**2,
        "max_bytes_before_external_group_by": 500 * 1024**2,
        "max_bytes_before_external_sort": 500 * 1024**2,
        "max_threads": 2,
        "log_queries": 0,
        "query_profiler_real_time_period_ns": 0,
        "query_profiler_cpu_time_period_ns": 0,
    }
    user = {
        "password": "${langfuse-clickhouse-password}",
        "networks": {"ip": "::/0"},
        "profile": "default",
        "quota": "default",
        "access_management": 0,
    }
    return {"profiles": {"default": profile}, "quotas": {"default": {"interval": _COUNTED}}, "users": {USER: user}}


def _web(stack: Stack) -> ServiceSpec:
    """Its pages and its API. At each start it brings PostgreSQL's and ClickHouse's tables to its version."""
    return ServiceSpec(
        name="langfuse",
        image="langfuse",
        uid=61014,
        memory_mib=2048,
        networks=("front", "data", "telemetry", "traces"),
        secrets={
            **_secrets(),
            "NEXTAUTH_SECRET": "${langfuse-session-secret}",
            "AUTH_KEYCLOAK_CLIENT_SECRET": "${langfuse-client-secret}",
            "LANGFUSE_INIT_PROJECT_SECRET_KEY": "${langfuse-project-key}",
        },
        env={
            **_environment(stack, heap_mib=1536),
            "PORT": str(PORT),
            # People sign in by the realm alone, behind the edge's own sign-in, which lets auditors by. Who does is a
            # viewer of the one project; nobody makes another.
            "AUTH_DISABLE_USERNAME_PASSWORD": "true",
            "AUTH_KEYCLOAK_CLIENT_ID": TRACES_CLIENT,
            "AUTH_KEYCLOAK_ISSUER": issuer(stack),
            "AUTH_KEYCLOAK_ALLOW_ACCOUNT_LINKING": "false",
            "LANGFUSE_ALLOWED_ORGANIZATION_CREATORS": "nobody@praxis.invalid",
            "LANGFUSE_DEFAULT_ORG_ID": ORGANISATION,
            "LANGFUSE_DEFAULT_ORG_ROLE": "VIEWER",
            "LANGFUSE_DEFAULT_PROJECT_ID": PROJECT,
            "LANGFUSE_DEFAULT_PROJECT_ROLE": "VIEWER",
            # Made at the first start, if they are not there: no hand is needed.
            "LANGFUSE_INIT_ORG_ID": ORGANISATION,
            "LANGFUSE_INIT_ORG_NAME": "Praxis",
            "LANGFUSE_INIT_PROJECT_ID": PROJECT,
            "LANGFUSE_INIT_PROJECT_NAME": "Gateway",
            "LANGFUSE_INIT_PROJECT_PUBLIC_KEY": PUBLIC_KEY,
        },
        probe=_probe(PORT, "/api/public/health", start_period_s=420),
        tmp_mib=128,
        needs=("postgres", "queue", "objects", "clickhouse", "keycloak"),
        stop_grace_s=30,
    )


def _worker(stack: Stack) -> ServiceSpec:
    """Takes events out of the queue and writes them to ClickHouse."""
    return ServiceSpec(
        name="langfuse-worker",
        image="langfuse-worker",
        uid=61015,
        memory_mib=1024,
        networks=("data", "traces"),
        secrets=_secrets(),
        env={**_environment(stack, heap_mib=768), "PORT": "3030"},
        probe=_probe(3030, "/api/health", start_period_s=240),
        tmp_mib=64,
        # The first start of the other makes the tables.
        needs=("langfuse",),
        stop_grace_s=30,
    )


def _probe(port: int, path: str, *, start_period_s: int) -> Probe:
    """As ``http_probe``, by the image's Node: it has no bash."""
    return Probe(command=("node", "/opt/praxis/probe.mjs", str(port), path), start_period_s=start_period_s)


def _secrets() -> dict[str, str]:
    """Variable -> template. Passwords are letters and digits, which need no quoting in a URL."""
    return {
        "DATABASE_URL": "postgresql://langfuse:${langfuse-db-password}@postgres:5432/langfuse?connection_limit=8",
        "CLICKHOUSE_PASSWORD": "${langfuse-clickhouse-password}",
        "REDIS_AUTH": "${langfuse-queue-password}",
        "LANGFUSE_S3_EVENT_UPLOAD_SECRET_ACCESS_KEY": "${langfuse-objects-password}",
        "LANGFUSE_S3_MEDIA_UPLOAD_SECRET_ACCESS_KEY": "${langfuse-objects-password}",
        "SALT": "${langfuse-salt}",
        "ENCRYPTION_KEY": "${langfuse-encryption-key}",
    }


def _environment(stack: Stack, *, heap_mib: int) -> dict[str, str]:
    """What both programs are told, none of it secret. ``heap_mib``: of Node, which would take a fraction of its own."""
    return {
        "NEXTAUTH_URL": public_url(stack, "traces"),
        "HOSTNAME": "0.0.0.0",  # noqa: S104 - else Node would listen at the container's name alone
        "TZ": "UTC",
        "NODE_OPTIONS": f"--max-old-space-size={heap_mib}",
        "TELEMETRY_ENABLED": "false",
        "LANGFUSE_ENABLE_EXPERIMENTAL_FEATURES": "false",
        "LANGFUSE_LOG_LEVEL": "warn",
        "LANGFUSE_LOG_FORMAT": "json",
        "LANGFUSE_MIGRATION_V4_WRITE_MODE": "events_only",
        "CLICKHOUSE_URL": "http://clickhouse:8123",
        "CLICKHOUSE_MIGRATION_URL": "clickhouse://clickhouse:9000",
        "CLICKHOUSE_USER": USER,
        "CLICKHOUSE_DB": "default",
        "CLICKHOUSE_CLUSTER_ENABLED": "false",
        "REDIS_HOST": "queue",
        "REDIS_PORT": "6379",
        "REDIS_USERNAME": USER,
        **_bucket("EVENT", "events/"),
        **_bucket("MEDIA", "media/"),
        "LANGFUSE_S3_BATCH_EXPORT_ENABLED": "false",
    }


def _bucket(use: str, prefix: str) -> Mapping[str, str]:
    name = f"LANGFUSE_S3_{use}_UPLOAD"
    return {
        f"{name}_BUCKET": BUCKET,
        f"{name}_PREFIX": prefix,
        f"{name}_REGION": "auto",
        f"{name}_ENDPOINT": "http://objects:8333",
        f"{name}_ACCESS_KEY_ID": USER,
        f"{name}_FORCE_PATH_STYLE": "true",
    }
