"""``./praxis lock``: asks the registry for the digest of each vendor's image and the vendor for its checksums.

The plugins' published checksums are SHA-1, and the command line's are SHA-256. So each archive is fetched once, held
against what is published for it, and pinned by its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import docker

from infra.supply import pins, registry
from infra.supply.debian import scratch
from infra.supply.fetching import download
from infra.supply.pins import PinnedImage, PinnedProgram, Pins
from infra.supply.process import SupplyError
from infra.supply.programs import FIX, PLATFORMS, PROGRAMS, Platform, Program
from infra.supply.progress import Say
from infra.supply.recipe import vendors

ALGORITHMS = {40: "sha1", 64: "sha256"}
"""Number of hexadecimal digits -> what the vendor's checksum was made by."""


def lock(client: docker.DockerClient, say: Say, *, upgrade: bool, file: Path | None = None) -> list[str]:
    """Write the lock: pins that fit stay, unless ``upgrade``; what is no longer wanted goes. All of it, or nothing.

    Returns what has changed, one line each.
    Raises:
        SupplyError: a registry or the vendor's site does not answer, or serves what it does not vouch for.
    """
    file = file or pins.PINS
    known = pins.read(file)
    images = {}
    for name, vendor in vendors().items():
        image = known.images.get(name)
        if image is None or upgrade or not image.fits(vendor):
            say(f"asking for {vendor.image}:{vendor.tag}")
            image = PinnedImage(tag=vendor.tag, digest=registry.digest_of(client, vendor.image, vendor.tag))
        images[name] = image
    programs = {}
    for program in PROGRAMS:
        archives = known.programs.get(program.name)
        # A published version never changes: only another version is worth a look.
        if archives is None or not archives.fits(program):
            say(f"fetching {program.name} {program.version}")
            archives = PinnedProgram(version=program.version, sha256=dict(_hashes(program)))
        programs[program.name] = archives
    made = Pins(images=images, programs=programs)
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(made.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(file)
    return list(_changes(known, made))


def _hashes(program: Program) -> Iterator[tuple[Platform, str]]:
    with TemporaryDirectory(prefix="lock-", dir=scratch()) as name:
        listed = Path(name) / "checksums"
        download(program.checksums, program.url(program.checksums), listed, fix=FIX)
        published = parsed(listed.read_text(encoding="utf-8"))
        for of in PLATFORMS:
            archive, path = program.archive(of), Path(name) / of
            if archive not in published:
                raise SupplyError(f"{program.checksums}: has no checksum of {archive}", fix="choose another version")
            download(archive, program.url(archive), path, fix=FIX)
            yield of, verified(path, archive, published[archive])


def parsed(text: str) -> dict[str, str]:
    """File name -> checksum, out of lines as ``shasum`` writes them."""
    words = [line.split() for line in text.splitlines()]
    return {each[1].removeprefix("*").removeprefix("./"): each[0].lower() for each in words if len(each) == 2}


def verified(path: Path, name: str, published: str) -> str:
    """The SHA-256 of a file that is what the vendor published. Raises :class:`SupplyError` if it is not."""
    algorithm = ALGORITHMS.get(len(published))
    if algorithm is None:
        raise SupplyError(f"{name}: the published checksum '{published}' is neither SHA-256 nor SHA-1")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != published:
            raise SupplyError(
                f"{name}: {algorithm} is {found}, published is {published}", fix="do not use it: ask who serves it"
            )
        file.seek(0)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _changes(old: Pins, new: Pins) -> Iterator[str]:
    for name, image in new.images.items():
        before = old.images.get(name)
        if before != image:
            yield f"{name}: {before.tag if before else '-'} -> {image.tag} ({image.digest[:19]}…)"
    for name, program in new.programs.items():
        held = old.programs.get(name)
        if held != program:
            yield f"{name}: {held.version if held else '-'} -> {program.version}"
    yield from (
        f"{name}: no longer wanted"
        for name in (*old.images, *old.programs)
        if name not in {**new.images, **new.programs}
    )
