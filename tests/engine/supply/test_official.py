"""``supply: official`` against a real registry: locked by tag, pulled and built by digest, and run.

The registry is Debian's, on loopback, and is the internal mirror of ``PRAXIS_REGISTRY_MIRROR``. What it holds stands
for the vendors' images: programs of our own images at the vendors' paths, under the vendors' settings. The vendors' own
bytes are the last test's, where a network has them.
"""

from __future__ import annotations

import io
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import docker
import httpx
import pytest
from docker.errors import ImageNotFound

from config import versions
from infra.supply import pins
from infra.supply.building import drop_inner_stages
from infra.supply.built import built_images
from infra.supply.choice import against_official
from infra.supply.host import connect
from infra.supply.images import ImageBuilder
from infra.supply.locking import lock
from infra.supply.pins import Pins
from infra.supply.process import SupplyError
from infra.supply.recipe import vendors
from infra.supply.registry import located
from infra.supply.root import ensure_programs
from infra.supply.supplies import Official
from tests.engine.supply.test_images import PASSWORDS, REDIS, Yard, postgres, probe, query, text, wait_until_ready
from tests.unit.supply.released import served

pytestmark = pytest.mark.timeout(900)
PATIENCE_S = 30.0
PATHS = {
    "traefik": "/usr/local/bin/traefik",
    "sso": "/bin/oauth2-proxy",
    "collector": "/otelcol-contrib",
    "keycloak": "/opt/keycloak",
}
"""Where the vendor's image has what we take out of it."""
OURS = {
    "traefik": "/usr/local/bin/traefik",
    "sso": "/usr/local/bin/oauth2-proxy",
    "collector": "/usr/local/bin/collector",
    "keycloak": "/opt/keycloak",
}
SETTINGS = 'ENTRYPOINT ["docker-entrypoint.sh"]\nCMD ["vendors-own"]\nUSER 999\nWORKDIR /data\nENV VENDORS=own\n'
"""What a vendor's image says of itself, and ours must not take over."""
DEFAULT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
"""What the daemon sets where an image does not."""
WHOLE = {
    "postgres": "RUN usermod -u 999 postgres && groupmod -g 999 postgres && chown -R 999:999 /var/lib/postgresql\n"
    f"VOLUME /var/lib/postgresql/data\n{SETTINGS}",
    "redis": f"VOLUME /data\n{SETTINGS}",
}
"""Images that are taken whole."""


@dataclass(frozen=True)
class Mirror:
    """The registry at ``prefix``, and the lock that was made of it."""

    prefix: str
    file: Path
    pins: Pins


def _free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of a registry of this test's own."""
    try:
        ensure_programs({"docker-registry": "docker-registry"}, print)
    except SupplyError as error:
        pytest.skip(f"no container registry to test with: {error}")
    folder, port = tmp_path_factory.mktemp("registry"), _free_port()
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/v2/", trust_env=False).status_code == 200:
                break
        except httpx.HTTPError:
            assert running.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.1)
    yield f"127.0.0.1:{port}"
    running.terminate()
    running.wait()


@pytest.fixture(scope="module")
def ours() -> dict[str, str]:
    """Our own images, which the stand-ins for the vendors' are made of."""
    builder = ImageBuilder(connect(), "wheel")
    return {name: builder.build(name).id for name in (*PATHS, *WHOLE)}


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patching:
        yield patching


def built(client: docker.DockerClient, dockerfile: str, tag: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile.encode()))
    buffer.seek(0)
    for message in client.api.build(fileobj=buffer, custom_context=True, tag=tag, rm=True, forcerm=True, decode=True):
        assert "error" not in message, message


def _published(client: docker.DockerClient, ours: Mapping[str, str]) -> Iterator[str]:
    """Push what stands for each vendor's image to the mirror; the names under which this machine has them."""
    base = ImageBuilder(client, "source").base()
    root = client.images.get(f"praxis/root:{base.reference.rpartition(':')[2]}")
    for name, vendor in vendors().items():
        tag = f"{located(vendor.image)}:{vendor.tag}"
        if name in PATHS:
            built(client, f"FROM {ours[name]} AS ours\nFROM scratch\nCOPY --from=ours {OURS[name]} {PATHS[name]}\n"
                  + SETTINGS, tag)  # fmt: skip
        elif name in WHOLE:
            built(client, f"FROM {ours[name]}\nUSER 0\n{WHOLE[name]}", tag)
        else:  # Debian's; and for what nothing of ours stands, something to be locked
            root.tag(tag)
        for message in client.images.push(tag, stream=True, decode=True):
            assert "error" not in message, message
        yield tag


@pytest.fixture(scope="module")
def mirror(
    registry: str, ours: dict[str, str], patch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mirror]:
    """A registry with every vendor's image, and nothing of them left on this machine; and the lock."""
    folder = tmp_path_factory.mktemp("official")
    patch.setenv("PRAXIS_REGISTRY_MIRROR", f"{registry}/all")
    patch.setenv("PRAXIS_HOME", str(folder / "home"))
    patch.delenv("PRAXIS_KEEP_BUILD_CACHES", raising=False)
    client = connect()
    for tag in list(_published(client, ours)):
        client.images.remove(tag, force=True)
    for name in ("HTTP_PROXY", "http_proxy"):
        patch.delenv(name, raising=False)
    with served() as releases:
        releases.publish()
        patch.setenv("PRAXIS_PULUMI_MIRROR", releases.url)
        file = folder / "official.json"
        lock(client, print, upgrade=False, file=file)
        yield Mirror(f"{registry}/all", file, pins.complete(file))


@pytest.fixture(scope="module")
def official(mirror: Mirror) -> Iterator[dict[str, str]]:
    """Image name -> id, as the official build makes them; deleted in the end."""
    client = connect()
    builder = ImageBuilder(client, "official", mirror.pins.digests())
    made = {name: builder.build(name) for name in (*PATHS, *WHOLE)}
    yield {name: each.id for name, each in made.items()}
    drop_inner_stages(client)
    for reference in (*(each.reference for each in made.values()), *builder.underneath()):
        try:
            client.images.remove(reference, force=True)
        except ImageNotFound:
            continue


def test_the_lock_has_the_digests_of_the_registry(mirror: Mirror) -> None:
    accepted = "application/vnd.docker.distribution.manifest.v2+json"
    for name, vendor in vendors().items():
        host, _, path = located(vendor.image).partition("/")
        answer = httpx.head(
            f"http://{host}/v2/{path}/manifests/{vendor.tag}", headers={"Accept": accepted}, trust_env=False
        )
        assert answer.headers["docker-content-digest"] == mirror.pins.images[name].digest, name
    assert mirror.prefix not in mirror.file.read_text()


def test_what_was_pulled_is_gone_when_it_was_used(official: dict[str, str], mirror: Mirror) -> None:
    left = {digest for image in connect().images.list() for digest in image.attrs.get("RepoDigests") or ()}
    assert not [digest for digest in left if digest.startswith(mirror.prefix)]


@pytest.mark.parametrize("name", [*PATHS, *WHOLE])
def test_both_ways_end_in_images_that_run_alike(ours: dict[str, str], official: dict[str, str], name: str) -> None:
    client = connect()
    first, second = (client.images.get(images[name]).attrs["Config"] for images in (ours, official))
    for key in ("Entrypoint", "Cmd", "WorkingDir", "StopSignal", "Volumes", "ExposedPorts"):
        assert (second.get(key) or None) == (first.get(key) or None), key
    assert {second["User"], first["User"]} <= {"", "0"}, "a service says itself as whom it runs"
    # What only Python reads is of the base, which PostgreSQL's and Redis' own file systems have none of.
    ignored = {key for key in _env(first) if key.startswith("PYTHON")} if name in WHOLE else set()
    assert {**DEFAULT, **_env(second)} == {
        key: value for key, value in {**DEFAULT, **_env(first)}.items() if key not in ignored
    }


def _env(config: Mapping[str, list[str]]) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in config["Env"])


@pytest.mark.parametrize(("name", "command", "said"), [
    ("traefik", ["traefik", "version"], "Version:"),
    ("sso", ["oauth2-proxy", "--version"], f"oauth2-proxy {versions.OAUTH2_PROXY}"),
    ("collector", ["collector", "--version"], "version"),
    ("keycloak", ["/opt/keycloak/bin/kc.sh", "--version"], f"Keycloak {versions.KEYCLOAK}"),
])  # fmt: skip
def test_the_vendors_program_runs_as_the_service_runs_it(
    official: dict[str, str], name: str, command: list[str], said: str
) -> None:
    uid = {"traefik": 61009, "sso": 61010, "collector": 61005, "keycloak": 61003}[name]
    output = connect().containers.run(
        official[name],
        command[1:],
        entrypoint=command[:1],
        user=f"{uid}:{uid}",
        read_only=True,
        cap_drop=["ALL"],
        network_mode="none",
        tmpfs={"/tmp": "size=64m,mode=1777"},
        remove=True,
    )
    assert said in text(output)


def test_who_may_read_a_program_is_the_same(official: dict[str, str]) -> None:
    for name in ("traefik", "sso"):
        mode = connect().containers.run(
            official[name], ["-c", "%a %u", OURS[name]], entrypoint=["stat"], network_mode="none", remove=True
        )
        assert text(mode) == "111 0", name


@pytest.fixture
def yard(tmp_path: Path, official: dict[str, str]) -> Iterator[Yard]:
    made = Yard(connect(), tmp_path, official)
    made.client.networks.create(made.name, internal=True)
    tmp_path.chmod(0o755)
    yield made
    made.clear()


def test_postgres_of_the_vendor_serves_our_roles_over_a_volume_of_ours(yard: Yard) -> None:
    container = postgres(yard, yard.files("secrets", PASSWORDS))
    wait_until_ready(container, "5432")
    container.reload()
    assert query(container, "one", "one", PASSWORDS["one-db-password"]) == (0, "1")
    assert query(container, "one", "two", PASSWORDS["one-db-password"])[0] != 0
    owner = container.exec_run(["stat", "-c", "%u:%g %a", "/var/lib/postgresql/data"]).output
    assert text(owner) == "61001:61001 700"
    assert {mount["Destination"] for mount in container.attrs["Mounts"]} == {
        "/etc/praxis", "/run/secrets", "/var/lib/postgresql/data"
    }  # fmt: skip


def test_redis_of_the_vendor_knows_the_delivered_users_and_has_no_volume(yard: Yard) -> None:
    acl = "user default on >pass-1 ~* &* +@all -@admin -@dangerous +info +client\n"
    secrets = yard.files("secrets", {"users.acl": acl})
    container = yard.start("redis", REDIS, mem_limit="48m", volumes={secrets: {"bind": "/run/secrets", "mode": "ro"}})
    wait_until_ready(container, "6379")
    assert probe(container, "6379")
    said = container.exec_run(["redis-cli", "ping"], environment={"REDISCLI_AUTH": "pass-1"}).output
    assert "PONG" in text(said)
    container.reload()
    assert [mount["Destination"] for mount in container.attrs["Mounts"]] == ["/run/secrets"]


def test_a_tag_that_moved_does_not_move_a_build(mirror: Mirror, ours: dict[str, str]) -> None:
    client = connect()
    vendor = vendors()["redis"]
    tag = f"{located(vendor.image)}:{vendor.tag}"
    built(client, f"FROM {ours['redis']}\nLABEL another=one\n", tag)
    for message in client.images.push(tag, stream=True, decode=True):
        assert "error" not in message, message
    client.images.remove(tag, force=True)
    before = mirror.file.read_text()
    assert lock(client, print, upgrade=False, file=mirror.file) == []
    assert mirror.file.read_text() == before
    changes = lock(client, print, upgrade=True, file=mirror.file)
    assert [change.partition(":")[0] for change in changes] == ["redis"]


def test_the_vendors_own_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a network has them: the vendors' images and programs themselves, whole."""
    for name in ("PRAXIS_REGISTRY_MIRROR", "PRAXIS_PULUMI_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    if against := against_official():
        pytest.skip(f"the vendors' own images, command line and plugins: {against}")
    supply = Official(pins.complete())
    supply.ready(print)
    environment = {**os.environ, "PULUMI_HOME": str(supply.engine.home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    said = subprocess.run(
        [supply.engine.program, "plugin", "ls", "--json"], capture_output=True, text=True, check=True, env=environment
    ).stdout
    assert all(f'"name": "{plugin}"' in said for plugin in ("docker", "keycloak", "litellm"))
    assert set(built_images()) >= {*PATHS, *WHOLE}
