"""The look at delivered secrets: each file in each service's memory, against the store, by keyed digests alone.

The agent's container has every service's folder, so one small program there, under the agent's own uid, digests the
files. The digests' key is made for this one look; no value leaves the container, and none goes in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from string import Template

import docker
from docker.errors import DockerException

from components.spec import SECRET, ServiceSpec
from infra.drift.asking import ask
from infra.drift.compare import Veil
from infra.drift.findings import Finding, Kind, Seen, Unseen
from infra.targets.on_host import AGENT

READY = ".ready"
"""What the agent writes last, beside the files."""
PROGRAM = f"""
import hashlib, hmac, json, pathlib, sys
key = bytes.fromhex(sys.argv[1])
print(json.dumps({{folder.name: {{
    file.name: hmac.new(key, file.read_bytes(), hashlib.sha256).hexdigest()
    for file in sorted(folder.iterdir()) if file.name != {READY!r}
}} for folder in sorted(pathlib.Path("/deliver").iterdir())}}))
"""


class _Named(Template):
    idpattern = "[a-z][a-z0-9-]*"


@dataclass(frozen=True)
class Judge:
    """Compares; looks at nothing. ``urns``: service -> its container's."""

    stack: str
    specs: tuple[ServiceSpec, ...]
    urns: Mapping[str, str]
    veil: Veil
    values: Mapping[str, str] = field(repr=False)

    def judged(self, live: Mapping[str, Mapping[str, str]], key: bytes) -> Iterator[Finding]:
        """Findings of each file that is not as the store has it. ``live``: service -> file -> digest under ``key``."""
        for spec in self.specs:
            if spec.secrets and spec.name in self.urns:
                yield from self._of(spec, live.get(spec.name, {}), key)

    def _of(self, spec: ServiceSpec, live: Mapping[str, str], key: bytes) -> Iterator[Finding]:
        for name in sorted(spec.secrets.keys() | live.keys()):
            if name not in spec.secrets:
                yield self._finding(spec.name, name, Kind.FOREIGN, None, "a file that nobody declared")
                continue
            if any(one not in self.values for one in SECRET.findall(spec.secrets[name])):
                continue  # expired or revoked: what was delivered before may stay
            content = _Named(spec.secrets[name]).substitute(self.values)
            if name not in live:
                yield self._finding(spec.name, name, Kind.MISSING, self.veil.digest(content), "missing")
            elif live[name] != digest(key, content):
                text = "another content, which is not shown"
                yield self._finding(spec.name, name, Kind.CHANGED, self.veil.digest(content), text)

    def _finding(self, service: str, path: str, kind: Kind, declared: str | None, live: str) -> Finding:
        return Finding(
            resource=f"secrets/{service}",
            path=path,
            kind=kind,
            declared=declared,
            live=live,
            urn=self.urns[service],
            repair=f"./praxis up {self.stack}",
        )


def digest(key: bytes, content: str) -> str:
    """As the program in the agent's container makes it."""
    return hmac.new(key, content.encode(), hashlib.sha256).hexdigest()


def look(client: docker.DockerClient, judge: Judge) -> Seen:
    """Every file that was delivered."""
    key = os.urandom(32)
    try:
        agent = client.containers.get(f"praxis-{judge.stack}-{AGENT}")
        answer = ask(agent, ["python3", "-c", PROGRAM, key.hex()])
        if answer.code != 0:
            raise ValueError(f"the program in the agent's container ended with exit code {answer.code}")
        return Seen(findings=tuple(judge.judged(json.loads(answer.said), key)))
    except (DockerException, ValueError) as error:
        return Seen(unseen=(Unseen(what="delivered secrets", why=" ".join(str(error).split())[:300]),))
