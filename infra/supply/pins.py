"""The lock of ``supply: official``: the digest of each vendor's image, the SHA-256 of each of the vendor's programs.

``./praxis lock`` writes it (:mod:`infra.supply.locking`). It names tags and versions beside the hashes, so that a pin
that is no longer wanted shows; where an image comes from stands in its official.toml, not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from infra.paths import REPOSITORY
from infra.supply.process import SupplyError
from infra.supply.programs import PLATFORMS, PROGRAMS, Platform, Program
from infra.supply.recipe import Vendor, vendors
from runtime.contract import problems

PINS = REPOSITORY / "locks" / "official.json"
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PinnedImage(_Part):
    """What ``tag`` was when it was locked."""

    tag: str
    digest: Digest

    def fits(self, wanted: Vendor) -> bool:
        """Whether it is of the tag that is wanted now."""
        return self.tag == wanted.tag


class PinnedProgram(_Part):
    """The archives of one version, by the machine that they are for."""

    version: str
    sha256: dict[Platform, Sha256]

    def fits(self, wanted: Program) -> bool:
        """Whether it is the version that is wanted now, for every machine."""
        return self.version == wanted.version and set(self.sha256) == set(PLATFORMS)


class Pins(_Part):
    """The whole lock."""

    images: dict[str, PinnedImage] = Field(default_factory=dict)
    programs: dict[str, PinnedProgram] = Field(default_factory=dict)

    def gaps(self) -> Iterator[str]:
        """What is wanted and not pinned, or pinned at another tag or version."""
        for name, vendor in vendors().items():
            image = self.images.get(name)
            if image is None or not image.fits(vendor):
                yield f"{vendor.image}:{vendor.tag}"
        for program in PROGRAMS:
            pinned = self.programs.get(program.name)
            if pinned is None or not pinned.fits(program):
                yield f"{program.name} {program.version}"

    def digests(self) -> dict[str, str]:
        """Image name -> digest of the vendor's."""
        return {name: image.digest for name, image in self.images.items()}


def read(file: Path = PINS) -> Pins:
    """What the lock holds; nothing if there is none. Raises :class:`SupplyError` if it is no lock."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Pins()
    try:
        return Pins.model_validate_json(text)
    except ValidationError as error:
        fix = f"delete it and write it anew: ./praxis lock ({file.name})"
        raise SupplyError(f"{file}: {problems(error)}", fix=fix) from None


def complete(file: Path = PINS) -> Pins:
    """The lock, which pins everything that is wanted. Raises :class:`SupplyError` if it does not."""
    pins = read(file)
    missing = list(pins.gaps())
    if not file.is_file():
        raise SupplyError(f"supply: official needs {_shown(file)}, which is not there", fix="write it: ./praxis lock")
    if missing:
        raise SupplyError(f"{_shown(file)} does not pin: {', '.join(missing)}", fix="complete it: ./praxis lock")
    return pins


def _shown(file: Path) -> str:
    return str(file.relative_to(REPOSITORY) if file.is_relative_to(REPOSITORY) else file)
