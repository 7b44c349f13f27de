"""Images of the data layer in real containers, under the conditions that the target gives them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from infra.supply.built import built_images
from infra.supply.host import connect
from infra.supply.images import ImageBuilder
from infra.supply.recipe import names
from infra.supply.supplies import supply_for

POSTGRES, REDIS = 61001, 61002
PATIENCE_S = 60.0


@dataclass
class Yard:
    """Containers, volumes and a network of one test, gone after it."""

    client: docker.DockerClient
    folder: Path
    images: dict[str, str]
    name: str = field(default_factory=lambda: f"praxis-test-{uuid.uuid4().hex[:8]}")
    _containers: list[Container] = field(default_factory=list)

    def files(self, name: str, content: dict[str, str], *, ready: bool = True) -> str:
        """A folder with these files, to be mounted."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for file, text in ({**content, ".ready": ""} if ready else content).items():
            (folder / file).write_text(text)
            (folder / file).chmod(0o444)
        folder.chmod(0o755)
        return str(folder)

    def start(self, image: str, uid: int, **options: object) -> Container:
        """A container as the Docker target makes it."""
        container = self.client.containers.run(
            self.images[image],
            detach=True,
            user=f"{uid}:{uid}",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs={"/tmp": "size=16m,mode=1777"},
            network=self.name,
            init=True,
            **options,  # type: ignore[call-overload]
        )
        self._containers.append(container)
        return container  # type: ignore[no-any-return]

    def clear(self) -> None:
        for container in self._containers:
            container.remove(force=True, v=True)
        self.client.networks.get(self.name).remove()
        for volume in self.client.volumes.list(filters={"name": self.name}):
            volume.remove()


@pytest.fixture(scope="module")
def images() -> dict[str, str]:
    supply_for("registries", environment="demo").ready(print)
    return built_images()


@pytest.fixture
def yard(tmp_path: Path, images: dict[str, str]) -> Iterator[Yard]:
    made = Yard(connect(), tmp_path, images)
    # A network with no way out, like those of the services.
    made.client.networks.create(made.name, internal=True)
    tmp_path.chmod(0o755)
    yield made
    made.clear()


def probe(container: Container, *words: str) -> bool:
    return bool(container.exec_run(["probe", *words]).exit_code == 0)


def wait_until_ready(container: Container, *words: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not probe(container, *words):
        container.reload()
        assert container.status == "running", container.logs().decode()
        assert time.monotonic() < deadline, container.logs().decode()
        time.sleep(0.2)


def postgres(yard: Yard, secrets: str, databases: str = "one\ntwo\n") -> Container:
    config = yard.files("config", {"databases": databases}, ready=False)
    return yard.start(
        "postgres",
        POSTGRES,
        mem_limit="288m",
        volumes={
            secrets: {"bind": "/run/secrets", "mode": "ro"},
            config: {"bind": "/etc/praxis", "mode": "ro"},
            yard.name: {"bind": "/var/lib/postgresql/data", "mode": "rw"},
        },
    )


PASSWORDS = {"postgres-password": "super-1", "one-db-password": "it's \\ 1", "two-db-password": "two-1"}


def text(output: object) -> str:
    """What a command in a container printed."""
    assert isinstance(output, bytes)
    return output.decode().strip()


def query(container: Container, role: str, database: str, password: str, sql: str = "select 1") -> tuple[int, str]:
    host = next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]
    result = container.exec_run(
        ["psql", "-h", host, "-U", role, "-d", database, "-At", "-c", sql], environment={"PGPASSWORD": password}
    )
    return int(result.exit_code or 0), text(result.output)


def test_postgres_roles_reach_their_own_database_only(yard: Yard) -> None:
    container = postgres(yard, yard.files("secrets", PASSWORDS))
    wait_until_ready(container, "5432")
    container.reload()
    assert query(container, "one", "one", PASSWORDS["one-db-password"]) == (0, "1")
    assert query(container, "one", "one", "wrong")[0] != 0
    for database in ("two", "postgres", "template1"):
        code, said = query(container, "one", database, PASSWORDS["one-db-password"])
        assert code != 0, database
        assert "permission denied for database" in said, database
    code, said = query(container, "postgres", "postgres", PASSWORDS["postgres-password"])
    assert code != 0
    assert "rejects connection" in said
    assert container.exec_run(["psql", "-U", "postgres", "-Atc", "select 1"]).output == b"1\n"


def test_postgres_takes_over_new_passwords_and_keeps_data(yard: Yard) -> None:
    first = postgres(yard, yard.files("secrets", PASSWORDS))
    wait_until_ready(first, "5432")
    first.reload()
    assert query(first, "one", "one", PASSWORDS["one-db-password"], "create table kept as select 7 as n")[0] == 0
    begin = time.monotonic()
    first.stop(timeout=30)
    assert time.monotonic() - begin < 10, "a fast shutdown must not wait for clients"
    first.reload()
    assert first.attrs["State"]["ExitCode"] == 0
    second = postgres(yard, yard.files("changed", PASSWORDS | {"one-db-password": "rotated"}))
    wait_until_ready(second, "5432")
    second.reload()
    assert query(second, "one", "one", PASSWORDS["one-db-password"])[0] != 0
    assert query(second, "one", "one", "rotated", "select n from kept") == (0, "7")
    assert "was not properly shut down" not in second.logs().decode()


def test_postgres_logs_neither_passwords_nor_statements(yard: Yard) -> None:
    container = postgres(yard, yard.files("secrets", PASSWORDS))
    wait_until_ready(container, "5432")
    container.reload()
    query(container, "one", "one", PASSWORDS["one-db-password"], "select 'canary-in-a-statement' from nowhere")
    said = container.logs().decode()
    assert "nowhere" in said
    assert "canary-in-a-statement" not in said
    assert not any(password in said for password in PASSWORDS.values())


@pytest.mark.parametrize(
    ("secrets", "databases", "said"),
    [
        ({"postgres-password": "x"}, "one\n", "the secret one-db-password is missing"),
        (PASSWORDS, "one; drop\n", "is not a name"),
    ],
)
def test_postgres_says_what_it_lacks(yard: Yard, secrets: dict[str, str], databases: str, said: str) -> None:
    container = postgres(yard, yard.files("secrets", secrets), databases)
    assert container.wait(timeout=PATIENCE_S)["StatusCode"] == 1
    assert said in container.logs().decode()


def test_redis_knows_only_the_delivered_users(yard: Yard) -> None:
    acl = "user default on >pass-1 ~* &* +@all -@admin -@dangerous +info +client\n"
    secrets = yard.files("secrets", {"users.acl": acl})
    container = yard.start("redis", REDIS, mem_limit="48m", volumes={secrets: {"bind": "/run/secrets", "mode": "ro"}})
    wait_until_ready(container, "6379")

    def cli(password: str, *words: str) -> str:
        result = container.exec_run(["redis-cli", *words], environment={"REDISCLI_AUTH": password})
        return text(result.output)

    assert "PONG" in cli("pass-1", "ping")
    assert "WRONGPASS" in cli("pass-2", "ping")
    assert "NOPERM" in cli("pass-1", "flushall")
    assert "NOPERM" in cli("pass-1", "config", "get", "*")
    assert "noeviction" in cli("pass-1", "info", "memory")


def test_a_service_without_its_secrets_ends_with_one_line(yard: Yard) -> None:
    secrets = yard.files("secrets", {"users.acl": "user default on nopass\n"}, ready=False)
    container = yard.start("redis", REDIS, volumes={secrets: {"bind": "/run/secrets", "mode": "ro"}})
    assert container.wait(timeout=90)["StatusCode"] == 1
    assert container.logs().decode().count("\n") == 1
    assert "no secrets were delivered to /run/secrets within 60 s" in container.logs().decode()


@pytest.mark.parametrize("name", names())
def test_no_image_holds_this_hosts_settings(images: dict[str, str], name: str) -> None:
    """No sources, certificates or proxies of the host; no secret in the history; no package lists."""
    client = connect()
    image = client.images.get(images[name])
    environment = image.attrs["Config"]["Env"]
    assert not [entry for entry in environment if "proxy" in entry.lower() or "INDEX" in entry]
    assert "://" not in str([layer["CreatedBy"] for layer in image.history()])
    script = (
        "set -e; cd /etc; for f in apt/sources.list apt/sources.list.d apt/build-ca.crt pip.conf "
        "apt/apt.conf.d/90build apt/apt.conf.d/99mmdebstrap /root/.npmrc /root/.m2 /root/.config; do "
        "if [ -e $f ]; then echo $f; fi; done; find /var/lib/apt/lists -type f -size +0; "
        "sha256sum /etc/ssl/certs/ca-certificates.crt | cut -d' ' -f1"
    )
    options: dict[str, object] = {
        "entrypoint": ["/bin/sh", "-c", script],
        "network_mode": "none",
        "remove": True,
        "user": "0",
    }
    said = client.containers.run(images[name], **options).decode().split()  # type: ignore[call-overload]
    base = client.containers.run("praxis/base:" + _base_key(client), **options).decode().split()  # type: ignore[call-overload]
    assert len(said) == 1, said
    assert said == base


def _base_key(client: docker.DockerClient) -> str:
    return ImageBuilder(client, "source").base().reference.rpartition(":")[2]
