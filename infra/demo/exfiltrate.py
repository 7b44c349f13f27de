"""``praxis demo exfiltrate``: runs the hostile program where an attacker would be, and searches what it got.

The search is done on the operator's side with the real values, so a secret in any form that the program could print
is found by name; the program itself is told none.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import docker
from docker.errors import NotFound
from docker.models.containers import Container
from docker.types import LogConfig

PROGRAM = Path(__file__).with_name("hostile.py")
SHORT = 12
"""Values below this length would be found by chance."""
NOBODY = "65534:65534"


@dataclass
class Probe:
    """What one kind of attempt came to."""

    tried: int = 0
    read: int = 0
    bytes: int = 0
    reached: list[str] = field(default_factory=list)
    """Network only: what could be connected to."""
    found: dict[str, str] = field(default_factory=dict)
    """Name of a secret -> where its value was."""


Findings = dict[str, Probe]


def search(lines: Iterable[bytes], values: Mapping[str, str]) -> Findings:
    """What the program's output holds of ``values`` (name -> secret), by kind of attempt."""
    wanted = {name: value.strip().encode() for name, value in values.items() if len(value.strip()) >= SHORT}
    findings: Findings = {}
    for line in lines:
        told: dict[str, Any] = json.loads(line)
        probe = findings.setdefault(told["probe"], Probe())
        probe.tried += 1
        if "data" not in told:
            continue
        data = base64.b64decode(told["data"])
        probe.read += 1
        probe.bytes += len(data)
        if told["probe"] == "network":
            probe.reached.append(told["where"])
        for name, value in wanted.items():
            if value in data:
                probe.found.setdefault(name, told["where"])
    return findings


def in_litellm(stack: str) -> Iterator[bytes]:
    """The program's lines from inside LiteLLM's container, with LiteLLM's uid."""
    container: Container = docker.from_env(timeout=600).containers.get(f"praxis-{stack}-litellm")
    user = container.attrs["Config"]["User"]
    _, output = container.exec_run(["python3", "-c", PROGRAM.read_text(encoding="utf-8")], user=user, stream=True)
    return _lines(cast(Iterable[bytes], output))


def on_the_host(stack: str) -> Iterator[bytes]:
    """The program's lines as an ordinary user of this machine: an agent that somebody lets run on it.

    It sees the host's processes, network and files, and has no right but those of a user in no group.
    """
    client = docker.from_env(timeout=600)
    image = client.containers.get(f"praxis-{stack}-custodian").attrs["Image"]
    name = f"praxis-{stack}-hostile"
    with suppress(NotFound):
        client.containers.get(name).remove(force=True)
    container = client.containers.create(
        image,
        name=name,
        entrypoint=["python3", "-c", PROGRAM.read_text(encoding="utf-8"), "/host"],
        user=NOBODY,
        network_mode="host",
        pid_mode="host",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        volumes={"/": {"bind": "/host", "mode": "ro"}},
        log_config=LogConfig(type="none"),  # what it reads is for the search alone, not for a file
    )
    try:
        output = container.attach(stdout=True, stderr=False, stream=True)
        container.start()
        yield from _lines(output)
    finally:
        container.remove(force=True)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line.startswith(b"{"))
