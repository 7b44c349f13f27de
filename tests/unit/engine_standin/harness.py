"""The engine stand-in as a process, and the database it talks to as a container."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from docker.models.containers import Container

from infra.paths import cache

SOURCE = Path(__file__).parents[3] / "images" / "litellm" / "engine"
DATA = Path(__file__).parent / "data"
SCHEMA = DATA / "schema.prisma"
MIGRATIONS = DATA / "migrations"
UID = 61001
ROLES = ("litellm", "keycloak", "mlflow", "custodian")


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(true: Callable[[], bool], seconds: float, what: str) -> None:
    """Return once `true` holds; raises TimeoutError naming `what` if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def install(target: Path) -> Path:
    """Put the engine with its npm packages into `target`, the packages from a cache by the hash of their lock."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    kept = cache() / "engine-standin" / sha256(lock).hexdigest()[:16]
    if not kept.is_dir():
        building = target / "npm"
        building.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, building)
        command = ["npm", "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=building, check=True, capture_output=True, timeout=300)
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(building, kept)
    engine = target / "engine"
    shutil.copytree(SOURCE, engine, ignore=shutil.ignore_patterns("node_modules"))
    (engine / "node_modules").symlink_to(kept / "node_modules")
    return engine


@dataclass(frozen=True)
class Database:
    """A running PostgreSQL of our image."""

    container: Container
    port: int
    password_file: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """What tells the engine how to reach it."""
        return {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PRAXIS_DB_PASSWORD_FILE": str(self.password_file),
        }

    def restart(self) -> None:
        """Restart it at once, as after a crash, and return when it answers again."""
        self.container.restart(timeout=1)
        self.wait()

    def stop(self) -> None:
        """Stop it."""
        self.container.stop(timeout=1)

    def start(self) -> None:
        """Start it again."""
        self.container.start()
        self.wait()

    def wait(self) -> None:
        """Return once the database accepts connections over TCP."""
        ask = ["pg_isready", "-h", "127.0.0.1", "-U", "litellm", "-d", "litellm"]
        wait_until(lambda: self.container.exec_run(ask).exit_code == 0, 60, "PostgreSQL")

    def sql(self, statement: str) -> str:
        """Run a statement as the role litellm; its rows as text."""
        command = ["psql", "-h", "127.0.0.1", "-U", "litellm", "-d", "litellm", "-Atqc", statement]
        done = self.container.exec_run(command, environment={"PGPASSWORD": self.password_file.read_text()})
        assert isinstance(done.output, bytes)
        assert done.exit_code == 0, done.output.decode()
        return done.output.decode().strip()


def migrate(engine_folder: Path, database: Database, folder: Path = MIGRATIONS) -> subprocess.CompletedProcess[str]:
    """Run the migrations in `folder` against `database`."""
    return subprocess.run(
        ["node", engine_folder / "migrate.mjs", folder],
        env={"PATH": os.environ["PATH"]} | dict(database.environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class PrismaError(Exception):
    """Errors in an answer of the engine."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(json.dumps(errors))
        facing = errors[0]["user_facing_error"]
        self.code: str | None = facing.get("error_code")
        self.message: str = facing["message"]
        self.meta: dict[str, Any] = facing["meta"]


class Engine:
    """A running engine, spoken to as Prisma's Python client does."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.port = free_port()
        self.process = subprocess.Popen(
            [folder / "query-engine", "-p", str(self.port), "--enable-metrics", "--enable-raw-queries"],
            env={"PATH": os.environ["PATH"], "PRISMA_DML_PATH": str(SCHEMA), "PRISMA_ENGINE_PROTOCOL": "graphql"}
            | dict(environment),
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    def ready(self) -> bool:
        """Whether /status says it may be used."""
        try:
            return "Errors" not in self.client.get("/status").json()
        except httpx.TransportError:
            return False

    def post(self, path: str, body: object = None, transaction: str | None = None) -> dict[str, Any]:
        """POST to it. Raises :class:`PrismaError` for an answer of errors."""
        headers = {"X-transaction-id": transaction} if transaction else {}
        answer = self.client.post(path, content=json.dumps(body) if body is not None else None, headers=headers)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        if content.get("errors"):
            raise PrismaError(content["errors"])
        return content

    def query(self, text: str, transaction: str | None = None) -> Any:
        """The `result` of one GraphQL document."""
        body = {"query": text, "variables": {}, "operation_name": "query"}
        return self.post("/", body, transaction)["data"]["result"]

    def raw(self, sql: str, *parameters: object) -> dict[str, Any]:
        """Columns, types and rows of a raw query."""
        arguments = f"query: {json.dumps(sql)} parameters: {json.dumps(json.dumps(parameters))}"
        result: dict[str, Any] = self.query(f"mutation {{ result: queryRaw ({arguments}) }}")
        return result

    def rss_mib(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def close(self) -> None:
        """End it."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
