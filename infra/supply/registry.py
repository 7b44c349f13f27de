"""The container registry, as the Docker daemon reaches it: its mirrors, proxies and sign-ins are the daemon's own.

``PRAXIS_REGISTRY_MIRROR`` names internal mirrors, for networks that reach no other: one prefix for every image
(``mirror.example.com/hub``), or one for each registry (``docker.io=mirror.example.com/hub quay.io=…``), separated by
spaces. Digests are of the content, so a lock holds for a mirror as well.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from infra.paths import home
from infra.supply.process import SupplyError
from infra.supply.python import IMAGE_ARCHITECTURE
from infra.supply.recipe import BASE, vendors

PROBE_TIMEOUT_S = 10
DEFAULT = "docker.io"
"""How the registry is called in settings that an image without a registry in its name comes from."""
FIX = "check the network and the daemon's proxy settings; sign in (docker login); or set PRAXIS_REGISTRY_MIRROR"


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A vendor's image on this machine; ``new`` if it was not there before."""

    reference: str
    new: bool


def located(image: str) -> str:
    """The name under which an image is fetched here: its own, or that at the mirror.

    Raises:
        SupplyError: ``PRAXIS_REGISTRY_MIRROR`` cannot be used.
    """
    first, slash, rest = image.partition("/")
    elsewhere = bool(slash) and ("." in first or ":" in first)
    registry, path = (first, rest) if elsewhere else (DEFAULT, image)
    mirrors = _mirrors()
    prefix = mirrors.get(registry, mirrors.get("", ""))
    if not prefix:
        return image
    # What has no owner in its name belongs to "library": the default registry knows that, a mirror need not.
    return f"{prefix}/{path if '/' in path or elsewhere else f'library/{path}'}"


def _mirrors() -> dict[str, str]:
    """Registry -> prefix; the key of one prefix for all is empty."""
    found: dict[str, str] = {}
    for word in os.environ.get("PRAXIS_REGISTRY_MIRROR", "").split():
        registry, equals, prefix = word.rpartition("=")
        if "://" in word or not prefix or (equals and not registry):
            raise SupplyError(
                f"PRAXIS_REGISTRY_MIRROR: '{word}' is no prefix of an image's name",
                fix="HOST/PATH for all images, or REGISTRY=HOST/PATH for each registry; no https://",
            )
        found[registry] = prefix.rstrip("/")
    return found


def digest_of(client: docker.DockerClient, image: str, tag: str) -> str:
    """The digest (``sha256:…``) that the registry has for a tag now. Raises :class:`SupplyError`."""
    name = f"{located(image)}:{tag}"
    try:
        return str(client.images.get_registry_data(name).id)
    except NotFound:
        raise SupplyError(
            f"{name}: the registry has no such image", fix="correct its official.toml in images/"
        ) from None
    except (DockerException, OSError) as error:
        raise SupplyError(f"{name}: the registry does not say its digest: {_said(error)}", fix=FIX) from None


def pull(client: docker.DockerClient, image: str, digest: str) -> Pulled:
    """Have the image of this digest on this machine.

    Raises:
        SupplyError: it cannot be had, or is for another kind of machine.
    """
    name = located(image)
    reference = f"{name}@{digest}"
    try:
        try:
            found, new = client.images.get(reference), False
        except ImageNotFound:
            found, new = client.images.pull(name, tag=digest), True
    except (DockerException, OSError) as error:
        raise SupplyError(f"{reference} could not be pulled: {_said(error)}", fix=FIX) from None
    architecture = str(found.attrs["Architecture"])
    if architecture != IMAGE_ARCHITECTURE:
        raise SupplyError(f"{reference} is for {architecture}, not for {IMAGE_ARCHITECTURE}", fix="./praxis lock")
    return Pulled(reference=reference, new=new)


def container_registry_reached() -> bool:
    """Whether the daemon reaches the registry: asked once for each mirror setting, then remembered in ``PRAXIS_HOME``.

    The daemon is asked for the manifest of the image that is needed first.
    """
    file, mirror = _memory_file(), os.environ.get("PRAXIS_REGISTRY_MIRROR", "")
    if file.is_file():
        known = json.loads(file.read_text(encoding="utf-8"))
        if known.get("mirror", "") == mirror:
            return bool(known["container_registry"])
    base = vendors()[BASE]
    try:
        docker.from_env(timeout=PROBE_TIMEOUT_S).images.get_registry_data(f"{located(base.image)}:{base.tag}")
        reached = True
    except (DockerException, OSError):
        reached = False
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    memory = {"container_registry": reached, "mirror": mirror, "asked_at": int(time.time())}
    file.write_text(json.dumps(memory) + "\n", encoding="utf-8")
    return reached


def _said(error: Exception) -> str:
    return str(error.explanation or error) if isinstance(error, APIError) else str(error)


def _memory_file() -> Path:
    return home() / "network.json"
