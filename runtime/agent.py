"""The secrets agent: opens the store and fills one tmpfs a service, at each start and whenever the store changes.

It has a uid of its own, no capability and no network. The folders are mounted so that what it writes belongs to the
service's group (setgid), so it needs no right to give files away.
"""

from __future__ import annotations

import json
import os
import signal
import string
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from runtime.store import Store, StoreError
from runtime.with_secrets import READY, undumpable

CUSTODY = Path("/custody")
MANIFEST = Path("/etc/praxis/delivery.json")
POLL_S = 1.0
FILE_MODE = 0o440


class DeliveryError(Exception):
    """Nothing was delivered; the message names the service and the secret, never a value."""


class _Template(string.Template):
    idpattern = "[a-z][a-z0-9-]*"


@dataclass(frozen=True)
class Receiver:
    """One service: where its files go, and what is in them (templates over secret names)."""

    name: str
    folder: Path
    files: Mapping[str, str]


def receivers(manifest: str) -> list[Receiver]:
    """The services of a manifest.

    Raises:
        DeliveryError: it is not one.
    """
    try:
        services = json.loads(manifest)["services"]
        return [Receiver(entry["name"], Path(entry["folder"]), dict(entry["files"])) for entry in services]
    except (ValueError, KeyError, TypeError):
        raise DeliveryError("the manifest is not a list of services with name, folder and files") from None


def filled(receiver: Receiver, secrets: Mapping[str, str]) -> dict[str, str]:
    """File name -> content.

    Raises:
        DeliveryError: a secret is missing, expired or revoked.
    """
    try:
        return {file: _Template(template).substitute(secrets) for file, template in receiver.files.items()}
    except KeyError as error:
        raise DeliveryError(f"{receiver.name} needs the secret '{error.args[0]}', which is not set") from None
    except StoreError as error:
        raise DeliveryError(f"{receiver.name}: {error}") from None
    except ValueError:
        raise DeliveryError(f"{receiver.name}: a template has a '$' that names no secret") from None


def in_memory(folder: Path) -> bool:
    """Whether ``folder`` is on a tmpfs: a secret must never get onto a disk (proc(5), mountinfo)."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, rest = line.partition(" - ")
        if mount.split()[2] == wanted:
            return rest.split()[0] in ("tmpfs", "ramfs")
    return False


def deliver(everybody: list[Receiver], secrets: Mapping[str, str]) -> None:
    """Write every file of every service, each in one step, and ``.ready`` last.

    Raises:
        DeliveryError: a secret is missing (then nothing was written), or a folder is none to write to.
    """
    contents = [(receiver, filled(receiver, secrets)) for receiver in everybody]
    for receiver, files in contents:
        try:
            if not in_memory(receiver.folder):
                raise DeliveryError(f"{receiver.name}: {receiver.folder} is not in memory (tmpfs)")
            for name, content in {**files, READY: ""}.items():
                _write(receiver.folder / name, content)
            for stale in set(os.listdir(receiver.folder)) - files.keys() - {READY}:
                (receiver.folder / stale).unlink()
        except OSError as error:
            raise DeliveryError(f"{receiver.name}: cannot write {receiver.folder}: {error.strerror}") from None


def _write(path: Path, content: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    partial.rename(path)


def watch(custody: Path, manifest: Path) -> None:
    """Deliver now and after each change of the store, for ever.

    Raises:
        DeliveryError: the first delivery failed. A later one that fails is said, and the old secrets stay.
    """
    everybody, seen = receivers(manifest.read_text(encoding="utf-8")), -1
    store = Store(custody)
    while True:
        changed = (custody / "store.age").stat().st_mtime_ns
        if changed != seen:
            try:
                deliver(everybody, store.values())
                sys.stderr.write(f"delivered to {len(everybody)} services\n")
            except (DeliveryError, StoreError) as error:
                if seen == -1:
                    raise
                sys.stderr.write(f"the changed store was not delivered: {error}\n")
            seen = changed
        time.sleep(POLL_S)


def main() -> None:
    """Run until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.umask(0)
    undumpable()
    try:
        watch(CUSTODY, MANIFEST)
    except (DeliveryError, StoreError) as error:
        sys.exit(f"secrets agent: {error}")
    except OSError as error:
        sys.exit(f"secrets agent: {error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
