"""Where a secret must not be: every sink by name, and the search for every secret in it, by its real value.

A sink yields (place, content) pairs; nothing about the search knows Docker. Another target brings sinks of its own
under the same names: :data:`SINKS` is the list that a target has to answer for.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docker
import httpx
from docker.models.containers import Container

from components.observability import EXPERIMENT_ID
from infra.paths import REPOSITORY, home
from infra.supply.engine import pulumi_environment
from runtime.redaction import Patterns
from tests.proof import NAME, PORTS, USER_TOKEN, Proof

Found = Iterator[tuple[str, bytes]]
Sink = Callable[[Proof, Mapping[str, str]], Found]
"""Given the running stack and what is searched for (name -> value): some sinks are provoked with it."""

SINKS: dict[str, Sink] = {}
BLOCK, OVERLAP = 16 << 20, 1 << 10
PUBLIC = ("ca-cert", "tls-cert", "client-cert", "public-key")
"""How names in the store end whose values are no secrets."""


def sink(function: Sink) -> Sink:
    """Register a sink under its function's name."""
    SINKS[function.__name__.replace("_", " ")] = function
    return function


class Canaries(dict[str, str]):
    """Name -> value. A failing test shows its arguments: these it must not."""

    def __repr__(self) -> str:
        return f"Canaries of {', '.join(self)}"


def canaries(proof: Proof, more: Mapping[str, str]) -> Canaries:
    """Every secret in the store, the user's own token and ``more``."""
    stored = {name: value for name, value in proof.store.values().items() if not name.endswith(PUBLIC)}
    return Canaries({**stored, "user's-own-token": USER_TOKEN, **more})


class Search:
    """For values, in every form that :mod:`runtime.redaction` knows: plain, base64, URL-quoted, JSON-escaped."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._patterns = Patterns((name, value.encode()) for name, value in values.items())
        assert not self._patterns.too_short

    def names_in(self, content: bytes) -> set[str]:
        """Names of the secrets that ``content`` holds, also across lines that were wrapped or escaped."""
        return {name.decode().strip("[]") for _, _, name in self._patterns.matches(content)}

    def hits(self, found: Found) -> list[str]:
        """One line a hit, with no value in it."""
        return [f"{name} in {place}" for place, content in found for name in sorted(self.names_in(content))]


def containers(stack: str = NAME) -> list[Container]:
    """All containers of the stack, running or not."""
    return list(docker.from_env().containers.list(all=True, filters={"label": f"praxis.stack={stack}"}))


def inside(service: str, *command: str, user: str = "") -> bytes:
    """What a command prints in a service's container; both streams."""
    _, output = docker.from_env().containers.get(f"praxis-{NAME}-{service}").exec_run(list(command), user=user)
    assert isinstance(output, bytes)
    return output


@sink
def command_line(proof: Proof, values: Mapping[str, str]) -> Found:
    """What ``./praxis`` has printed since the stack's start, and what it prints when it is asked to show things."""
    for arguments in (
        ("preview", NAME),
        ("render", NAME),
        ("status", NAME, "--json"),
        ("secrets", "list", NAME, "--json"),
        ("secrets", "audit", NAME, "--json"),
        ("audit", "tail", NAME, "--json"),
        ("env", NAME),
        ("secrets", "set", NAME, "redis-password"),
    ):
        done = proof.praxis(*arguments, check=False, stdin=values["redis-password"])
        yield f"praxis {' '.join(arguments)}", f"{done.stdout}\n{done.stderr}".encode()
    yield "what was printed before", "\n".join(proof.said).encode()


@sink
def pulumi_state(proof: Proof, values: Mapping[str, str]) -> Found:
    """The state as exported, and every file of the back end: state, its copies, history, check points."""
    for arguments in (("stack", "export"), ("stack", "history", "--json"), ("preview", "--diff"), ("config", "--json")):
        done = subprocess.run(
            ["pulumi", *arguments, "--stack", NAME],
            env={**proof.environment, **pulumi_environment(NAME)},
            cwd=REPOSITORY,
            capture_output=True,
            check=True,
        )
        yield f"pulumi {' '.join(arguments)}", done.stdout + done.stderr
    for path in sorted((home() / "state").rglob("*")):
        if path.is_file() and NAME in str(path.relative_to(home())):
            content = path.read_bytes()
            yield str(path.relative_to(home())), gzip.decompress(content) if path.suffix == ".gz" else content


@sink
def delivered_config(proof: Proof, values: Mapping[str, str]) -> Found:
    """Config files on the host's disk, which are mounted into the services."""
    for path in sorted((home() / "stacks" / NAME / "config").rglob("*")):
        if path.is_file():
            yield str(path.relative_to(home())), path.read_bytes()


@sink
def inspection(proof: Proof, values: Mapping[str, str]) -> Found:
    """What Docker tells of containers, images, volumes and networks."""
    client = docker.from_env()
    for container in containers():
        yield f"inspect of {container.name}", json.dumps(container.attrs).encode()
        assert container.image
        yield f"history of {container.name}'s image", json.dumps(container.image.history()).encode()
        yield f"inspect of {container.name}'s image", json.dumps(container.image.attrs).encode()
    for kind in (client.volumes, client.networks):
        for one in kind.list(filters={"label": f"praxis.stack={NAME}"}):
            yield f"inspect of {one.name}", json.dumps(one.attrs).encode()


@sink
def logs(proof: Proof, values: Mapping[str, str]) -> Found:
    """Everything that the services have printed, as their log drivers keep it."""
    for container in containers():
        yield f"log of {container.name}", container.logs()


@sink
def processes(proof: Proof, values: Mapping[str, str]) -> Found:
    """Command line and first environment of every process on the host, as root sees them: of other programs too, for
    what started a service could hold what it was given. No exception is known: no service is given a secret so."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for kind in ("cmdline", "environ"):
            try:
                content = Path(f"/proc/{pid}/{kind}").read_bytes()
                name = Path(f"/proc/{pid}/comm").read_text().strip()
            except OSError:
                continue  # it has ended, or we are not root
            yield f"{kind} of {name} ({pid})", content


@sink
def error_pages(proof: Proof, values: Mapping[str, str]) -> Found:
    """What the edge and its admin entry answer to requests that carry a secret and are refused."""
    key = values["alice's-virtual-key"]
    carried: tuple[dict[str, str], ...] = (
        {},
        {"authorization": f"Bearer {key}"},
        {"x-praxis-key": key, "authorization": f"Bearer {USER_TOKEN}"},
        {"x-api-key": values["litellm-master-key"]},
    )
    asked: tuple[tuple[str, str, bytes], ...] = (
        ("POST", "/v1/chat/completions", b"{"),
        ("POST", "/v1/chat/completions", b'{"model": "none", "messages": []}'),
        ("POST", "/v1/messages", b'{"model": "claude", "max_tokens": 1, "messages": [{"role": "user", "content": 1}]}'),
        ("POST", "/v1/messages", b'{"model": "smollm2", "messages": "' + key.encode() + b'"}'),
        ("GET", "/v1/models/x", b""),
        ("DELETE", "/v1/chat/completions", b""),
        ("GET", "/errors/500", b""),
        ("GET", "/ping", b""),
        ("GET", "/api/rawdata", b""),
        ("GET", "/dashboard/", b""),
        ("GET", "/litellm/get/config/callbacks", b""),
        ("GET", "/custodian/records", b""),
        ("GET", "/admin/", b""),
    )
    for port in (PORTS["http_port"], PORTS["admin_port"]):
        for headers in carried:
            for method, path, body in asked:
                url = f"http://127.0.0.1:{port}{path}"
                answer = httpx.request(method, url, headers=headers, content=body, timeout=60, trust_env=False)
                told = json.dumps(list(answer.headers.multi_items())).encode()
                # The body of a request may come back in an answer to the one who sent it: then it is no leak.
                shown = answer.content.replace(key.encode(), b"") if key.encode() in body else answer.content
                yield f"{method} {path} on {port} with {', '.join(headers) or 'nothing'}", told + b"\n" + shown


@sink
def inner_apis(proof: Proof, values: Mapping[str, str]) -> Found:
    """What the services tell those who may talk to them inside: ping and no more of Traefik, metrics, health."""
    for service, ports in (
        ("edge", (8082, 8090)),
        ("egress", (8082, 8200)),
        ("custodian", (8100,)),
        ("mlflow", (5000,)),
    ):
        for port in ports:
            for path in ("/ping", "/metrics", "/api/rawdata", "/api/http/middlewares", "/debug/vars", "/healthz"):
                script = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3"
                yield f"{path} on {service}:{port}", inside(service, "timeout", "5", "bash", "-c", script)


@sink
def traces(proof: Proof, values: Mapping[str, str]) -> Found:
    """Every trace of the trace store through its API, and the whole of its database."""
    script = (
        "import json, urllib.request as u\n"
        "base, token = 'http://127.0.0.1:5000/ajax-api/3.0/mlflow/traces', ''\n"
        "place = {'type': 'MLFLOW_EXPERIMENT', 'mlflow_experiment': {'experiment_id': '" + EXPERIMENT_ID + "'}}\n"
        "while True:\n"
        "    body = {'locations': [place], 'max_results': 100, **({'page_token': token} if token else {})}\n"
        "    head = {'content-type': 'application/json'}\n"
        "    page = json.load(u.urlopen(u.Request(base + '/search', json.dumps(body).encode(), head), timeout=30))\n"
        "    for one in page.get('traces', []):\n"
        "        print(json.dumps(one))\n"
        "        print(u.urlopen(base + '/get?trace_id=' + one['trace_id'], timeout=30).read().decode())\n"
        "    token = page.get('next_page_token')\n"
        "    if not token: break"
    )
    told = inside("mlflow", "python3", "-c", script)
    assert b"trace_id" in told, told[-500:]
    yield "MLflow's API", told
    yield "MLflow's database", dump("mlflow")


@sink
def audit(proof: Proof, values: Mapping[str, str]) -> Found:
    """The audit chain as exported, and the database that it is kept in with the records."""
    export = proof.praxis("audit", "export", NAME).stdout
    assert export
    yield "audit export", export.encode()
    yield "the custodian's database", dump("custodian")


def dump(database: str) -> bytes:
    """All content of a database, as SQL."""
    said = inside("postgres", "pg_dump", "-h", "/tmp", "-U", "postgres", "--inserts", database)
    assert b"PostgreSQL database dump complete" in said, said[-500:]
    return said


@sink
def writable_layers(proof: Proof, values: Mapping[str, str]) -> Found:
    """What is written in a container's own layer, which is on the host's disk."""
    for container in containers():
        mounts = [str(mount["Destination"]) for mount in container.attrs["Mounts"]]
        there = [str(change["Path"]) for change in container.diff() or [] if change["Kind"] != 2]
        for path in there:
            # A folder is listed for what is new in it, which is listed too; all else in it is the image's. One that
            # only leads to a mount is read through to what is mounted there, which is no layer.
            if any(each.startswith(f"{path}/") for each in (*there, *(f"{mount}/" for mount in mounts))):
                continue
            stream, _ = container.get_archive(path)
            yield f"{container.name}:{path}", b"".join(stream)


@sink
def image_layers(proof: Proof, values: Mapping[str, str]) -> Found:
    """The files of every image, all layers, in blocks that overlap by more than a key's line. There are gigabytes of
    them, so each value is looked for as it is, and of a PEM a line from its middle."""
    lines = [value.strip().splitlines() for value in values.values()]
    plain = [each[len(each) // 2].encode() for each in lines]
    client = docker.from_env()
    for image in sorted({str(container.attrs["Image"]) for container in containers()}):
        block, tags = b"", client.images.get(image).tags
        for chunk in client.images.get(image).save(chunk_size=BLOCK):
            block = block[-OVERLAP:] + chunk
            yield f"layers of {tags}", block if any(each in block for each in plain) else b""


@sink
def data_on_disk(proof: Proof, values: Mapping[str, str]) -> Found:
    """Volumes, as root sees their files on the host's disk, but for databases (see :func:`limits`) and tmpfs."""
    for container in containers():
        for mount in container.attrs["Mounts"]:
            if mount["Type"] == "volume" and "secrets" not in mount["Name"] and "postgres" not in mount["Name"]:
                for path in sorted(Path(mount["Source"]).rglob("*")):
                    if path.is_file() and not path.is_symlink():
                        yield f"{mount['Name']}: {path.name}", path.read_bytes()


def limits() -> list[str]:
    """Where a secret is on purpose, and is not searched for."""
    return [
        "Keycloak's database holds the clients' secrets, as Keycloak keeps them",
        "the tmpfs of each service holds what that service is given",
    ]


def dumpable(stack: str = NAME) -> list[str]:
    """Processes of the stack of which a crash would leave a core file: neither closed nor limited to none."""
    found: list[str] = []
    for container in containers(stack):
        if container.status != "running":
            continue
        for pid, arguments in container.top(ps_args="-eo pid,args")["Processes"]:
            try:
                limit = next(
                    line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line
                )
            except (OSError, StopIteration):
                continue
            if limit.split()[5] not in ("0", "1"):
                found.append(f"{container.name}: {arguments[:60]}")
    return found
