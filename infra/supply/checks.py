"""What ``praxis doctor`` looks at on this machine: each check says what it found and, if need be, what to do."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import docker
import httpx
from docker.errors import DockerException

from infra.paths import cache
from infra.supply.building import all_built
from infra.supply.host import docker_error, port_error
from infra.supply.process import SupplyError
from infra.supply.python import uv
from infra.supply.recipe import load
from infra.supply.registries import ca_bundle, debian_sources, maven_repository, uv_environment
from infra.supply.registry import container_registry_reached
from infra.supply.supplies import Supply

MEMORY_MIB = 4096
"""The hard limits of the small profile add up to 3.5 GiB; the rest is for the engine and its plugins."""
DISK_GB = 20
"""While building: compilers' caches (12), images (5), and room to unpack."""
DISK_BUILT_GB = 2
CLOCK_S = 30.0
"""Tokens are valid from the second they are made, and assertions for sixty seconds."""
TIMEOUT_S = 5.0
DAEMON_FROM = (20, 10)


@dataclass(frozen=True, kw_only=True)
class Check:
    """``ok``: nothing to do; ``found``: what is there; ``fix``: what to do if not ok."""

    name: str
    ok: bool
    found: str
    fix: str = ""


def run_checks(
    supply: Callable[[], Supply], images: Collection[str], *, ports: Iterable[int] = (), official: bool = False
) -> list[Check]:
    """Every check, in an order in which they are worth mending.

    Args:
        supply: tells where the parts come from, or raises :class:`SupplyError`.
        images: names of those that are needed.
        ports: host ports that must be free.
        official: whether the stack file asks for that supply.

    Never raises: what could not be looked at is a check that is not ok.
    """
    built = _all_built(supply, images)
    answer = _registry_answer()
    makers: list[tuple[str, Callable[[], Check]]] = [
        ("engine", lambda: _engine(supply)),
        ("docker", _docker),
        ("images", lambda: _images(built)),
        *((f"port {port}", lambda port=port: _port(port)) for port in ports),
        ("memory", _memory),
        ("disk", lambda: _disk(built)),
        ("clock", lambda: _clock(answer)),
        ("python registry", lambda: _python_registry(built)),
        ("maven registry", lambda: _maven_registry(answer, built)),
        ("debian archive", lambda: _debian_archive(built)),
        ("container registry", lambda: _container_registry(needed=official)),
        ("name resolution", _names),
    ]
    return [_guarded(name, make) for name, make in makers]


def _guarded(name: str, make: Callable[[], Check]) -> Check:
    try:
        return make()
    except (SupplyError, OSError, DockerException, httpx.HTTPError) as error:
        return Check(name=name, ok=False, found=f"could not look: {error}", fix="mend what it says, then look again")


def _engine(chosen: Callable[[], Supply]) -> Check:
    try:
        supply = chosen()
    except SupplyError as error:
        return Check(name="engine", ok=False, found=str(error), fix=error.fix)
    if not supply.engine_ready():
        found = f"Pulumi's engine is not here yet (supply: {supply.name})"
        return Check(name="engine", ok=False, found=found, fix="./praxis up STACK gets it")
    said = subprocess.run([supply.engine.program, "version"], capture_output=True, text=True, check=False)
    if said.returncode != 0:
        return Check(
            name="engine", ok=False, found=f"it does not start: {said.stderr.strip()}", fix="./praxis cache prune"
        )
    return Check(name="engine", ok=True, found=f"Pulumi {said.stdout.strip()} (supply: {supply.name})")


def _docker() -> Check:
    error = docker_error()
    if error:
        return Check(
            name="docker", ok=False, found=error, fix="start the daemon; ./praxis up STACK installs and starts it"
        )
    version = str(docker.from_env().version()["Version"])
    number = tuple(int(part) for part in version.split("+", maxsplit=1)[0].split(".")[:2])
    return Check(
        name="docker",
        ok=number >= DAEMON_FROM,
        found=f"daemon {version}",
        fix=f"install Docker {'.'.join(map(str, DAEMON_FROM))} or newer",
    )


def _all_built(supply: Callable[[], Supply], images: Collection[str]) -> bool | None:
    """Whether all images of this version are here; None if the daemon does not say."""
    try:
        return all_built(supply().builder(docker.from_env(timeout=int(TIMEOUT_S))), images)
    except (DockerException, SupplyError, OSError):
        return None


def _images(built: bool | None) -> Check:
    if built is None:
        return Check(name="images", ok=False, found="could not look", fix="see engine and docker")
    found = "all of this version" if built else "some are not built, or not of this version"
    return Check(name="images", ok=built, found=found, fix="./praxis up STACK makes what is missing")


def _port(port: int) -> Check:
    error = port_error(port)
    fix = f"end what listens there (ss -ltnp 'sport = :{port}'), or choose another port in the stack file"
    return Check(name=f"port {port}", ok=not error, found=error or "free", fix=fix if error else "")


def _memory() -> Check:
    file = Path("/proc/meminfo")
    if not file.is_file():
        return Check(name="memory", ok=True, found="not a Linux host: the Docker machine's own setting counts")
    fields = dict(line.split(":", 1) for line in file.read_text(encoding="ascii").splitlines())
    total = int(fields["MemTotal"].split()[0]) // 1024
    return Check(
        name="memory",
        ok=total >= MEMORY_MIB,
        found=f"{total} MiB in all",
        fix=f"{MEMORY_MIB} MiB are needed: add memory",
    )


def _disk(built: bool | None) -> Check:
    need = DISK_BUILT_GB if built else DISK_GB
    folder = next(path for path in (cache(), *cache().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free / 1e9
    fix = f"{need} GB are needed: free some (./praxis cache prune), or set PRAXIS_CACHE to a folder on another disk"
    return Check(name="disk", ok=free >= need, found=f"{free:.0f} GB free at {folder}", fix=fix)


def _registry_answer() -> httpx.Response | None:
    """The answer of the repository that Maven uses: any, since its date is what the clock is held against."""
    return _ask(maven_repository() + "/")


def _ask(url: str) -> httpx.Response | None:
    bundle = ca_bundle()
    try:
        trust = ssl.create_default_context(cafile=str(bundle) if bundle else None)
        return httpx.head(url, timeout=TIMEOUT_S, verify=trust, follow_redirects=True)
    except (httpx.HTTPError, OSError):
        return None


def _clock(answer: httpx.Response | None) -> Check:
    date = answer.headers.get("date") if answer is not None else None
    if date is None:
        return Check(name="clock", ok=True, found="nothing to compare it with (no registry was reached)")
    off = abs(time.time() - parsedate_to_datetime(date).timestamp())
    return Check(
        name="clock", ok=off <= CLOCK_S, found=f"{off:.0f} s off a registry's", fix="set it: timedatectl set-ntp true"
    )


def _reached(name: str, reached: bool, built: bool | None, fix: str) -> Check:
    """A registry matters only while something is left to build."""
    if reached:
        return Check(name=name, ok=True, found="reached")
    return Check(
        name=name, ok=bool(built), found="not reached" + (" (nothing is left to build)" if built else ""), fix=fix
    )


def _python_registry(built: bool | None) -> Check:
    result = subprocess.run(
        [uv(), "pip", "compile", "--quiet", "--no-cache", "--no-deps", "-"],
        input=b"uv\n",
        env={**os.environ, **uv_environment()},
        capture_output=True,
        check=False,
    )
    return _reached(
        "python registry", result.returncode == 0, built, "set index-url in pip.conf, and HTTPS_PROXY if needed"
    )


def _maven_registry(answer: httpx.Response | None, built: bool | None) -> Check:
    return _reached("maven registry", answer is not None, built, "set a mirror in ~/.m2/settings.xml, or HTTPS_PROXY")


def _debian_archive(built: bool | None) -> Check:
    root = load("base", "source").recipe.root
    suite = root.suite if root else ""
    kept = cache() / "debian" / f"{suite}.list"
    lines = (debian_sources(suite) or (kept.read_text(encoding="utf-8") if kept.is_file() else "")).split()
    url = next((word for word in lines if word.startswith("http")), None)
    if url is None:
        return Check(name="debian archive", ok=True, found="the package tools' own default")
    return _reached(
        "debian archive",
        _ask(f"{url.rstrip('/')}/dists/{suite}/Release") is not None,
        built,
        "set PRAXIS_DEBIAN_MIRROR",
    )


def _container_registry(*, needed: bool) -> Check:
    name = "container registry"
    if container_registry_reached():
        return Check(name=name, ok=True, found="reached")
    if needed:
        fix = "set PRAXIS_REGISTRY_MIRROR to a mirror that is, or supply: registries in the stack file"
        return Check(name=name, ok=False, found="not reached, and supply: official needs it", fix=fix)
    return Check(name=name, ok=True, found="not reached: everything is built from package registries")


def _names() -> Check:
    try:
        socket.getaddrinfo("localhost", None, socket.AF_INET)
    except OSError:
        return Check(name="name resolution", ok=False, found="localhost does not resolve", fix="add it to /etc/hosts")
    try:
        socket.getaddrinfo("console.localhost", None)
    except OSError:
        found = "*.localhost in browsers only; for other tools, put 127.0.0.1 id.localhost … into /etc/hosts"
        return Check(name="name resolution", ok=True, found=found)
    return Check(name="name resolution", ok=True, found="localhost and *.localhost resolve")
