"""The secrets agent: opens the store and fills one tmpfs a service.

It does so at each of its starts, whenever the store changes, and when a secret expires. All files of all services are
delivered or none is, but for those that a service runs without (a provider's key): one whose secret may not be used
is taken away, and the rest goes on.

It has a uid of its own, no capability and no network. The folders are mounted so that what it writes belongs to the
service's group (setgid), so it needs no right to give files away.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import string
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from runtime.store import State, Store, StoreError, utc_now
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
    """One service: where its files go, and what is in them (templates over secret names).

    ``optional``: files that it runs without.
    """

    name: str
    folder: Path
    files: Mapping[str, str]
    optional: frozenset[str] = frozenset()


def receivers(manifest: str) -> list[Receiver]:
    """The services of a manifest.

    Raises:
        DeliveryError: it is not one.
    """
    try:
        services = json.loads(manifest)["services"]
        return [
            Receiver(entry["name"], Path(entry["folder"]), dict(entry["files"]), frozenset(entry.get("optional", ())))
            for entry in services
        ]
    except (ValueError, KeyError, TypeError):
        raise DeliveryError("the manifest is not a list of services with name, folder and files") from None


def filled(receiver: Receiver, file: str, secrets: Mapping[str, str]) -> str:
    """The content of one file.

    Raises:
        DeliveryError: a secret is missing, expired or revoked.
    """
    try:
        return _Template(receiver.files[file]).substitute(secrets)
    except KeyError as error:
        raise DeliveryError(f"{receiver.name} needs the secret '{error.args[0]}', which is not set") from None
    except StoreError as error:
        raise DeliveryError(f"{receiver.name}: {error}") from None
    except ValueError:
        raise DeliveryError(f"{receiver.name}: a template has a '$' that names no secret") from None


def withheld(receiver: Receiver, secrets: Mapping[str, str]) -> dict[str, str]:
    """Of the optional files those that cannot be filled -> why."""
    found = {}
    for file in sorted(receiver.optional & receiver.files.keys()):
        try:
            filled(receiver, file, secrets)
        except DeliveryError as error:
            found[file] = str(error)
    return found


def in_memory(folder: Path) -> bool:
    """Whether ``folder`` is on a tmpfs: a secret must never get onto a disk (proc(5), mountinfo)."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        mount, _, rest = line.partition(" - ")
        if mount.split()[2] == wanted:
            return rest.split()[0] in ("tmpfs", "ramfs")
    return False


def deliver(everybody: list[Receiver], secrets: Mapping[str, str]) -> list[str]:
    """Write every file of every service, each in one step, and ``.ready`` last; nothing if one cannot be written.

    An optional file that cannot be filled is taken away first, whatever becomes of the others.

    Returns:
        For each file that was left out, why.

    Raises:
        DeliveryError: a secret is missing, or a folder is none to write to; then nothing was written.
    """
    without = [(receiver, withheld(receiver, secrets)) for receiver in everybody]
    for receiver, left_out in without:
        _take_away(receiver, left_out)
    contents = [
        (receiver, {file: filled(receiver, file, secrets) for file in receiver.files if file not in left_out})
        for receiver, left_out in without
    ]
    try:
        for receiver, files in contents:
            _lay_ready(receiver, {**files, READY: ""})
    except DeliveryError:
        for receiver, _ in contents:
            _clear(receiver.folder)
        raise
    for receiver, files in contents:
        _put_in_place(receiver, [*files, READY])
    return [f"left out: {why}" for _, left_out in without for why in left_out.values()]


def _take_away(receiver: Receiver, files: Iterable[str]) -> None:
    try:
        for file in files:
            (receiver.folder / file).unlink(missing_ok=True)
    except OSError as error:
        raise DeliveryError(f"{receiver.name}: cannot change {receiver.folder}: {error.strerror}") from None


def _lay_ready(receiver: Receiver, files: Mapping[str, str]) -> None:
    """Write every file under another name. What cannot be written (no room) fails here, before anything has changed."""
    try:
        if not in_memory(receiver.folder):
            raise DeliveryError(f"{receiver.name}: {receiver.folder} is not in memory (tmpfs)")
        for name, content in files.items():
            _write(_partial(receiver.folder / name), content)
    except OSError as error:
        raise DeliveryError(f"{receiver.name}: cannot write {receiver.folder}: {error.strerror}") from None


def _put_in_place(receiver: Receiver, names: Sequence[str]) -> None:
    """Each file in one step, in this order; then take away what is no longer declared."""
    try:
        for name in names:
            _partial(receiver.folder / name).rename(receiver.folder / name)
        for stale in set(os.listdir(receiver.folder)) - set(names):
            (receiver.folder / stale).unlink()
    except OSError as error:
        raise DeliveryError(f"{receiver.name}: cannot write {receiver.folder}: {error.strerror}") from None


def _clear(folder: Path) -> None:
    with suppress(OSError):
        for left in folder.glob(".*.partial"):
            left.unlink()


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _write(path: Path, content: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


def next_expiry(store: Store) -> datetime.datetime | None:
    """When the next of the secrets that are good now will not be any more; ``None`` if none expires.

    Raises:
        StoreError: the store cannot be read.
    """
    known = store.metadata().values()
    return min((each.expires for each in known if each.state is State.SET and each.expires), default=None)


def watch(custody: Path, manifest: Path) -> None:
    """Deliver now, after each change of the store, and when a secret has expired, for ever.

    Raises:
        DeliveryError: the first delivery failed. A later one that fails is said, and the old secrets stay.
    """
    everybody, seen, expiry = receivers(manifest.read_text(encoding="utf-8")), -1, None
    store = Store(custody)
    while True:
        changed = (custody / "store.age").stat().st_mtime_ns
        if changed != seen or (expiry is not None and expiry <= utc_now()):
            try:
                expiry = next_expiry(store)
                left_out = deliver(everybody, store.values())
                _say(f"delivered to {len(everybody)} services", *left_out)
            except (DeliveryError, StoreError) as error:
                if seen == -1:
                    raise
                _say(f"the changed store was not delivered: {error}")
                expiry = None if isinstance(error, StoreError) else expiry
            seen = changed
        time.sleep(POLL_S)


def _say(*lines: str) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))


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
