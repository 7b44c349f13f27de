"""``python -m runtime.hooks.serve``: LiteLLM's proxy behind the gate, in one process, on port 4000.

Secrets get into this process's environment here and nowhere else: LiteLLM reads some of them from there only. They
are not in the environment that the container was created with, nor in any child's.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from runtime.hooks.untouched import leave_untouched
from runtime.wire import KEEP_ALIVE_S
from runtime.with_secrets import Delivered, read_secret, undumpable, wait_for_secrets

PORT = 4000
PASSWORD_PATIENCE_S = 3.0
REDIS_TIMEOUT_S = 1.0
GARBAGE = 50_000
"""So many more objects than there were before, and Python looks for garbage. By itself it does so at 700, dozens of
times in a request of LiteLLM's, though nearly all of what a request makes goes without being looked for."""
CONFIG = Path("/etc/praxis/litellm.yaml")
POLICIES = Path("/etc/praxis/policies.json")
COUNTING = Path("/etc/praxis/counting.json")
ENGINE = Path("/opt/praxis/engine")


def environment(inner_key: str) -> dict[str, str]:
    """What LiteLLM reads from its environment. It keeps nothing that depends on its master key, which is ``inner_key``:
    what it encrypts, it encrypts with the salt key."""
    return {
        "LITELLM_MASTER_KEY": inner_key,
        "LITELLM_SALT_KEY": read_secret("litellm-salt-key"),
        "REDIS_HOST": os.environ.get("REDIS_HOST", "redis"),
        "REDIS_PORT": os.environ.get("REDIS_PORT", "6379"),
        "REDIS_PASSWORD": read_secret("redis-password"),
        # The stand-in for Prisma's engine reads the password from its file: no URL holds it.
        "DATABASE_URL": f"postgresql://litellm@{os.environ.get('PGHOST', 'postgres')}/litellm",
        "CONFIG_FILE_PATH": str(CONFIG),
        "DISABLE_SCHEMA_UPDATE": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "NO_DOCS": "True",
        "NO_REDOC": "True",
        "DISABLE_ADMIN_UI": "True",
    }


def migrate() -> None:
    """Bring LiteLLM's tables up to date; ends the process when that fails: it must not serve on half a schema."""
    import litellm_proxy_extras

    folder = Path(litellm_proxy_extras.__file__).parent / "migrations"
    node = os.environ.get("PRAXIS_NODE", "node")
    done = subprocess.run([node, str(ENGINE / "migrate.mjs"), str(folder)], check=False)
    if done.returncode != 0:
        sys.exit("LiteLLM's tables could not be brought up to date; see the lines above")


def application(inner_key: str) -> Callable[..., Awaitable[None]]:
    """LiteLLM's application behind the gate."""
    from litellm.proxy.proxy_server import app

    leave_untouched()
    from runtime.contract import Policies
    from runtime.guards import Guard
    from runtime.hooks import counting
    from runtime.hooks.counters import Counters
    from runtime.hooks.ended import Ended
    from runtime.hooks.middleware import Gate
    from runtime.hooks.posting import Posting
    from runtime.hooks.records import Connections, Records
    from runtime.hooks.telemetry import Telemetry
    from runtime.providers import CountingRoutes

    records = Records(
        Connections(os.environ.get("PRAXIS_CUSTODIAN_URL", "http://custodian:8100")),
        Delivered("custodian-record-token"),
    )
    return Gate(
        app=app,
        counting=counting.Counting(
            routes=CountingRoutes.model_validate_json(COUNTING.read_text(encoding="utf-8")),
            forward=Posting(counting.TIMEOUT_S),
        ),
        policies=Policies.model_validate_json(POLICIES.read_text(encoding="utf-8")),
        key=Delivered("assertion-public-key"),
        master_key=Delivered("litellm-master-key"),
        inner_key=inner_key,
        salt=read_secret("litellm-salt-key").encode(),
        guard=Guard(),
        records=records,
        ended=Ended(records),
        counters=Counters(redis_ping()),
        telemetry=Telemetry(os.environ.get("PRAXIS_OTLP_ENDPOINT", "http://collector:4318/v1/traces")),
        max_bytes=int(os.environ.get("PRAXIS_MAX_REQUEST_MIB", "32")) * 2**20,
    )


def redis_ping() -> Callable[[], Awaitable[object]]:
    """A round trip to Redis over a connection that stays open; signs in as :func:`follow_redis_password` says."""
    from redis.asyncio import Redis

    client = Redis(
        host=os.environ["REDIS_HOST"],
        port=int(os.environ["REDIS_PORT"]),
        password=os.environ["REDIS_PASSWORD"],
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
    )

    async def ping() -> object:
        return await client.ping()

    return ping


def follow_redis_password(password: Delivered) -> None:
    """Let every new connection to Redis take the password as it is delivered then.

    Between its delivery and Redis's taking it lies a moment; a connection that is refused then is tried again.
    """
    from redis import credentials
    from redis.asyncio import connection
    from redis.exceptions import AuthenticationError

    connections: Any = connection.AbstractConnection
    provider: Any = credentials.UsernamePasswordCredentialProvider
    connect = connections.connect

    async def patient(self: Any) -> None:
        until = time.monotonic() + PASSWORD_PATIENCE_S
        while True:
            try:
                await connect(self)
            except AuthenticationError:
                if time.monotonic() > until:
                    raise
            else:
                return
            await asyncio.sleep(0.1)

    provider.get_credentials = lambda _: (password.value,)
    connections.connect = patient


def settled(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """``app``, which after its start takes what it has loaded out of the garbage collector's sight, and lets it begin,
    seldom.

    A full collection over LiteLLM's modules stops the process for most of a second. While they are loaded nothing is
    garbage: to look for it takes a third of the whole start.
    """

    async def wrapper(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return

        async def watched(message: dict[str, Any]) -> None:
            if message["type"] == "lifespan.startup.complete":
                gc.collect()
                gc.freeze()
                gc.set_threshold(GARBAGE, 20, 20)
                gc.enable()
            await send(message)

        await app(scope, receive, watched)

    return wrapper


def main() -> None:
    """Serve until SIGTERM."""
    gc.disable()  # until it is settled
    undumpable()
    wait_for_secrets()
    migrate()
    inner_key = f"sk-{secrets.token_hex(32)}"
    os.environ.update(environment(inner_key))
    follow_redis_password(Delivered("redis-password"))
    import uvicorn

    uvicorn.run(
        settled(application(inner_key)),
        host="0.0.0.0",  # noqa: S104 - inside its own networks
        port=PORT,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=25,
        timeout_keep_alive=KEEP_ALIVE_S,
        server_header=False,
    )


if __name__ == "__main__":
    main()
