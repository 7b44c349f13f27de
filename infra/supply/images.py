"""Builds the images, each named by what it is made of; what is there already is not built again.

The legacy builder of the Docker daemon is enough: no BuildKit, and no network during a build. A container registry is
asked by the ``official`` build alone, for vendors' images by digest.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound
from docker.models.images import Image as DockerImage

from infra.paths import cache
from infra.supply import registry
from infra.supply.built import Built
from infra.supply.context import assembled, packed
from infra.supply.debian import import_root, install_packages
from infra.supply.pins import PINS
from infra.supply.process import LAST_LINES, SupplyError
from infra.supply.recipe import BASE, OFFICIAL, Build, Debian, Image, load, names


class ImageBuilder:
    """Builds any of the images. Safe to use from several threads, which then share what is under the images.

    ``digests``: image name -> digest of the vendor's image, for the ``official`` build.
    """

    def __init__(self, client: docker.DockerClient, build: Build, digests: Mapping[str, str] | None = None) -> None:
        self._client = client
        self._how = build
        self._digests = digests or {}
        self._base_lock = threading.Lock()

    def names(self) -> tuple[str, ...]:
        """Every image that it builds, but the base."""
        return names(self._how)

    def image(self, name: str) -> Image:
        """Recipe and folder of ``name``. Raises :class:`SupplyError`."""
        return load(name, self._how, digests=self._digests)

    def present(self, name: str) -> Built | None:
        """What is there of ``name`` exactly as it would be built now, if it is."""
        base = self._find(self._base_tag())
        return None if base is None else self._find(self.image(name).tag(base.id))

    def build(self, name: str) -> Built:
        """The image ``name``, built if it is not there. Raises :class:`SupplyError`."""
        base = self.base()
        image = self.image(name)
        tag = image.tag(base.id)
        return self._find(tag) or self._build(image, self._with_packages(image, base), tag)

    def base(self) -> Built:
        """The image under all others."""
        with self._base_lock:
            tag = self._base_tag()
            found = self._find(tag)
            if found is not None:
                return found
            image = self.image(BASE)
            if image.recipe.root is None:
                raise SupplyError("images/base/image.toml: has no [root]")
            root = _root_tag(tag)
            if self._find(root) is None and image.vendor is None:
                import_root(self._client, image.recipe.root, root)
            elif self._find(root) is None:
                packages = Debian(packages=image.recipe.root.packages)
                with self._taken(image) as slim:
                    install_packages(self._client, slim, packages, image.recipe.root.suite, root, own_sources=True)
            return self._build(image, root, tag)

    def underneath_missing(self) -> bool:
        """Whether the image under all others is yet to be made."""
        return self._find(self._base_tag()) is None

    def underneath(self) -> set[str]:
        """References of the base, its root, and each image's Debian packages, as a build would use them now."""
        tag = self._base_tag()
        found, base = {tag, _root_tag(tag)}, self._find(tag)
        for name in self.names() if base is not None else ():
            image = self.image(name)
            if image.debian is not None and base is not None:
                found.add(_packages_tag(image, base))
        return found

    def _base_tag(self) -> str:
        return self.image(BASE).tag("")

    def _with_packages(self, image: Image, base: Built) -> str:
        """The image to build on: the base, or the base with the Debian packages that ``image`` asks for."""
        if image.debian is None:
            return base.id
        root = self.image(BASE).recipe.root
        tag = _packages_tag(image, base)
        if self._find(tag) is None:
            suite, own = root.suite if root else "", self._how == "official"
            install_packages(self._client, base.id, image.debian, suite, tag, own_sources=own)
        return tag

    def _build(self, image: Image, parent: str, tag: str) -> Built:
        taken = self._taken(image) if image.dockerfile == OFFICIAL else nullcontext("")
        with taken as vendor, assembled(image) as context, packed(context, image.modes) as archive:
            try:
                said = self._client.api.build(
                    fileobj=archive,
                    custom_context=True,
                    tag=tag,
                    dockerfile=image.dockerfile,
                    buildargs={"BASE": parent} | ({"VENDOR": vendor} if vendor else {}),
                    network_mode="none",
                    rm=True,
                    forcerm=True,
                    decode=True,
                    use_config_proxy=False,
                    labels={"praxis.image": image.name},
                )
                _finish(said, image, cache() / "logs" / f"{image.name}-build.log")
            except APIError as error:
                raise SupplyError(f"building image {image.name}: {error.explanation or error}") from None
        built = self._find(tag)
        if built is None:
            raise SupplyError(f"building image {image.name}: the builder ended without an image")
        return built

    @contextmanager
    def _taken(self, image: Image) -> Iterator[str]:
        """The vendor's image, by digest, while something is taken out of it. One that was there before stays."""
        if image.vendor is None or not image.vendor_digest:
            raise SupplyError(f"image {image.name}: {PINS.name} pins no vendor's image for it", fix="./praxis lock")
        pulled = registry.pull(self._client, image.vendor.image, image.vendor_digest)
        try:
            yield pulled.reference
        finally:
            if pulled.new and not os.environ.get("PRAXIS_KEEP_BUILD_CACHES"):
                with suppress(APIError):  # the base stands on its layers, which stay
                    self._client.images.remove(pulled.reference)

    def _find(self, tag: str) -> Built | None:
        try:
            return Built(reference=tag, id=str(self._client.images.get(tag).id))
        except ImageNotFound:
            return None


def untagged(client: docker.DockerClient) -> list[str]:
    """Ids of inner stages and broken-off builds on our base; other people's untagged images stay theirs."""

    def layers(image: DockerImage) -> list[str]:
        return list(image.attrs["RootFS"]["Layers"])

    bases = [layers(image) for image in client.images.list(f"praxis/{BASE}")]
    found = client.images.list(filters={"dangling": True})
    return [str(image.id) for image in found if any(layers(image)[: len(base)] == base for base in bases)]


def _finish(said: Any, image: Image, log: Path) -> None:
    """Follow the builder's messages to their end; keep them in ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    with log.open("w", encoding="utf-8") as file:
        for message in said:
            text = str(message.get("stream") or message.get("error") or "")
            file.write(text)
            lines += [line for line in text.splitlines() if line.strip()]
            if "error" in message:
                last = "\n".join(f"    {line}" for line in lines[-LAST_LINES:])
                raise SupplyError(f"building image {image.name} failed\n{last}", fix=f"see {log}")


def _root_tag(base_tag: str) -> str:
    return f"praxis/root:{base_tag.rpartition(':')[2]}"


def _packages_tag(image: Image, base: Built) -> str:
    return f"praxis/{image.name}-packages:{image.packages_key(base.id)}"
