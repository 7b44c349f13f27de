"""A provider of the tests' own, and the authority that its certificate comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container

from infra.supply.built import built_images
from runtime.store import CaCert, EcKey, ServerCert

NAMES = ("api.anthropic.com", "api.openai.com", "generativelanguage.googleapis.com")
CORPORATE = "login.corporate.test"
"""Host of the company directory that the tests play (:mod:`tests.corporate`)."""
AUTHORITY, CERTIFICATE = "authority.pem", "provider.pem"
SERVER = Path(__file__).with_name("server.py")


def certify(folder: Path) -> str:
    """Write a certificate of what the tests play, and its key, into ``folder``, once; returns the authority's (PEM)."""
    authority = folder / AUTHORITY
    if authority.exists():
        return authority.read_text()
    values = {"ca-key": EcKey().make({}), "key": EcKey().make({})}
    values["ca-cert"] = CaCert("ca-key", common_name="Provider of the tests").make(values)
    certificate = ServerCert("key", ca_key="ca-key", ca_cert="ca-cert", names=(*NAMES, CORPORATE)).make(values)
    file = folder / CERTIFICATE
    file.write_text(certificate + values["key"])
    file.chmod(0o644)
    authority.write_text(values["ca-cert"])
    return values["ca-cert"]


@dataclass(frozen=True)
class Provider:
    """The running provider."""

    container: Container

    def seen(self) -> list[dict[str, Any]]:
        """Every request that has arrived: path, headers (names in lower case), body."""
        code, output = self.container.exec_run(["cat", "/tmp/seen.jsonl"])
        assert isinstance(output, bytes)
        return [json.loads(line) for line in output.splitlines()] if code == 0 else []

    def asked(self, text: str, path: str = "/v1/messages") -> list[dict[str, Any]]:
        """Those of :meth:`seen` with ``text`` in their body that asked for ``path``."""
        seen = [one for one in self.seen() if text in json.dumps(one["body"])]
        return [one for one in seen if one["path"].partition("?")[0] == path]


def start(stack: str, folder: Path) -> Provider:
    """Run the provider on the stack's outside network, under the vendors' names."""
    client = docker.from_env()
    name = f"praxis-test-provider-{stack}"
    for left in client.containers.list(all=True, filters={"name": f"^/{name}$"}):
        left.remove(force=True)
    container = client.containers.create(
        built_images()["runtime"],
        name=name,
        entrypoint=["python3", "/provider/server.py", f"/certificates/{CERTIFICATE}"],
        volumes={
            str(SERVER.parent): {"bind": "/provider", "mode": "ro"},
            str(folder): {"bind": "/certificates", "mode": "ro"},
        },
        tmpfs={"/tmp": "mode=1777"},
        read_only=True,
        restart_policy={"Name": "always"},  # a test starts the daemon again
        network=None,
    )
    client.networks.get("bridge").disconnect(container, force=True)
    client.networks.get(f"praxis-{stack}-outside").connect(container, aliases=list(NAMES))
    container.start()
    return Provider(container)
