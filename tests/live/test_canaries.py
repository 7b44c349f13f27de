"""No generated secret is anywhere that it should not be: searched for by its real value."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from infra.cli.engine import select
from infra.supply.engine import pulumi_environment
from tests.proof import NAME, Proof

PUBLIC = {"ca-cert", "edge-tls-cert", "assertion-public-key", "chain-public-key"}


@pytest.fixture(scope="module")
def canaries(proof: Proof, alice: str) -> dict[str, bytes]:
    values = {name: value for name, value in proof.store.values().items() if name not in PUBLIC}
    found = {name: _needle(value) for name, value in values.items()}
    return {**found, "alice's virtual key": alice.encode()}


def _needle(value: str) -> bytes:
    """A PEM is searched for by a line from its middle, for it may be stored with other line ends."""
    lines = value.strip().splitlines()
    return lines[len(lines) // 2].encode() if len(lines) > 1 else value.encode()


def containers() -> list[Container]:
    return list(docker.from_env().containers.list(all=True, filters={"label": f"praxis.stack={NAME}"}))


def sinks(proof: Proof) -> Iterator[tuple[str, bytes]]:
    yield "what the command line printed", "\n".join(proof.said).encode()
    state = subprocess.run(
        ["pulumi", "stack", "export", "--stack", NAME],
        env={**proof.environment, **pulumi_environment(NAME)},
        cwd=select(NAME).workspace.work_dir,
        capture_output=True,
        check=True,
    )
    yield "Pulumi's state", state.stdout
    for container in containers():
        yield f"inspect of {container.name}", json.dumps(container.attrs).encode()
        yield f"logs of {container.name}", container.logs()
        yield (
            f"environment and arguments of {container.name}",
            json.dumps(container.top(ps_args="-eo pid,args")).encode(),
        )
        assert container.image
        yield f"history of {container.name}'s image", json.dumps(container.image.history()).encode()


def test_every_sink_is_free_of_every_secret(proof: Proof, canaries: dict[str, bytes]) -> None:
    assert len(canaries) > 15
    found = [
        f"{name} in {sink}" for sink, content in sinks(proof) for name, value in canaries.items() if value in content
    ]
    assert found == []


def test_writable_layers_hold_no_secret(proof: Proof, canaries: dict[str, bytes]) -> None:
    found = []
    for container in containers():
        mounts = [str(mount["Destination"]) for mount in container.attrs["Mounts"]]
        for change in container.diff() or []:
            # A folder that only leads to a mount is read through to what is mounted there, which is no layer.
            if change["Kind"] == 2 or any(f"{mount}/".startswith(f"{change['Path']}/") for mount in mounts):
                continue
            stream, _ = container.get_archive(str(change["Path"]))
            content = b"".join(stream)
            found += [f"{name} in {container.name}:{change['Path']}" for name, v in canaries.items() if v in content]
    assert found == []


def test_the_scan_finds_what_is_there(canaries: dict[str, bytes], proof: Proof) -> None:
    """The search itself works: the secrets are where they belong."""
    (postgres,) = [c for c in containers() if c.name == f"praxis-{NAME}-postgres"]
    code, output = postgres.exec_run(["cat", "/run/secrets/litellm-db-password"])
    assert code == 0
    assert canaries["litellm-db-password"] in output
