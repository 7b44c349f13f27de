"""What asking the custodian costs at the edge: the same Traefik, upstream and client, with and without forward-auth.

``python -m tests.bench.bench_edge [--json FILE]`` from the repository's root, with images built. It brings the tests'
own stack (``proof``) up and takes it down again. A second Traefik stands beside the stack's own, with its middlewares,
and asks the stack's custodian, which looks a virtual key up and signs as for every request; behind it, in LiteLLM's
place, answers an upstream after 20 ms. Ends with status 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import yaml
from docker.models.containers import Container

from components.blueprint import blueprint
from infra.supply.built import built_images
from tests.bench.bench_egress import PARTS, Way, free_port, measure
from tests.bench.report import tell
from tests.bench.stack import running
from tests.proof import NAME, Proof

PATH = "/v1/messages"
PORT = 8080
FRONT, PUBLIC = f"praxis-{NAME}-front", f"praxis-{NAME}-public"


def routes(proof: Proof) -> dict[str, Any]:
    """The stack's own way in for requests to models, to the upstream; and the same without the custodian."""
    edge = next(spec for spec in blueprint(proof.stack, NAME).services if spec.name == "edge")
    http = yaml.safe_load(edge.config_files["dynamic/routes.yaml"])["http"]
    asked = {**http["routers"]["api"], "service": "upstream", "entryPoints": ["http"]}
    bare = {
        **asked,
        "rule": f"Path(`/bare{PATH}`)",
        "middlewares": [*(name for name in asked["middlewares"] if name != "authenticate"), "strip-bare"],
    }
    return {
        "http": {
            "routers": {"asked": asked, "bare": bare},
            "middlewares": http["middlewares"] | {"strip-bare": {"stripPrefix": {"prefixes": ["/bare"]}}},
            "services": http["services"]
            | {"upstream": {"loadBalancer": {"servers": [{"url": "http://upstream:8000"}]}}},
        }
    }


@contextmanager
def beside(proof: Proof, folder: Path) -> Iterator[str]:
    """The second Traefik and its upstream; yields the base URL."""
    static = {
        "entryPoints": {"http": {"address": f":{PORT}"}},
        "providers": {"file": {"filename": "/bench/dynamic.yaml", "watch": False}},
        "log": {"level": "ERROR"},
    }
    (folder / "traefik.yaml").write_text(yaml.safe_dump(static))
    (folder / "dynamic.yaml").write_text(yaml.safe_dump(routes(proof)))
    folder.chmod(0o755)
    port, started, client = free_port(), list[Container](), docker.from_env()
    try:
        upstream = ["python3", "/bench/egress_parts.py", "upstream", "8000", "0.0.0.0"]  # noqa: S104 - in a container
        started.append(_part("runtime", upstream, PARTS, network="none"))
        client.networks.get("none").disconnect(started[0])
        client.networks.get(FRONT).connect(started[0], aliases=["upstream"])
        traefik = ["traefik", "--configFile=/bench/traefik.yaml"]
        started.append(_part("traefik", traefik, folder, network=PUBLIC, ports={f"{PORT}/tcp": ("127.0.0.1", port)}))
        client.networks.get(FRONT).connect(started[1])
        for container in started:
            container.start()
        yield f"http://127.0.0.1:{port}"
    finally:
        for container in started:
            container.remove(force=True)


def _part(image: str, command: list[str], folder: Path, **more: Any) -> Container:
    made: Container = docker.from_env().containers.create(
        built_images()[image],
        entrypoint=command,
        user="61012:61012",
        volumes={str(folder): {"bind": "/bench", "mode": "ro"}},
        **more,
    )
    return made


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=None, metavar="FILE")
    chosen = parser.parse_args()
    with running() as proof, tempfile.TemporaryDirectory() as folder:
        headers = {"x-api-key": proof.token("alice", "--kind", "virtual-key")}
        with beside(proof, Path(folder)) as url:
            figures = asyncio.run(measure(Way(url, headers), PATH))
    return tell("Edge", figures, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
