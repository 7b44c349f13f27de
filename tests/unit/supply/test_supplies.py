"""Choosing a supply, remembering what the network offers, and what the disk holds."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from infra.supply import cache, supplies
from infra.supply.artefacts import drop_build_caches
from infra.supply.built import Built, built_images, image_table, record
from infra.supply.cache import size_of
from infra.supply.process import SupplyError
from infra.supply.supplies import Registries, container_registry_reached, supply_for


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PRAXIS_KEEP_BUILD_CACHES", raising=False)
    return tmp_path


def test_only_a_demo_takes_the_edge_out_of_a_wheel() -> None:
    demo, production = supply_for("auto", environment="demo"), supply_for("registries", environment="production")
    assert isinstance(demo, Registries)
    assert isinstance(production, Registries)
    assert (demo.edge_build, production.edge_build) == ("wheel", "source")


def test_official_says_what_to_set_instead() -> None:
    with pytest.raises(SupplyError, match="official is not available") as caught:
        supply_for("official")
    assert "supply: registries" in caught.value.fix


class _Unreached:
    """A daemon with no way to a registry."""

    asked = 0

    def __init__(self) -> None:
        self.images = self

    def get_registry_data(self, name: str) -> None:
        type(self).asked += 1
        raise DockerException("no such host")


def test_the_container_registry_is_asked_for_once(monkeypatch: pytest.MonkeyPatch, folders: Path) -> None:
    monkeypatch.setattr(docker, "from_env", lambda timeout: _Unreached())
    assert container_registry_reached() is False
    assert container_registry_reached() is False
    assert _Unreached.asked == 1
    assert json.loads((folders / "home/network.json").read_text())["container_registry"] is False


def test_the_table_keeps_what_others_wrote() -> None:
    record({"redis": Built(reference="praxis/redis:1", id="sha256:a")})
    record({"postgres": Built(reference="praxis/postgres:1", id="sha256:b")})
    record({"redis": Built(reference="praxis/redis:2", id="sha256:c")})
    assert built_images() == {"redis": "sha256:c", "postgres": "sha256:b"}
    assert image_table()["redis"].reference == "praxis/redis:2"


def test_an_unchanged_table_is_not_written_again(folders: Path) -> None:
    built = {"redis": Built(reference="praxis/redis:1", id="sha256:a")}
    record(built)
    (folders / "home/images.json").chmod(0o400)
    before = (folders / "home/images.json").stat()
    record(built)
    assert (folders / "home/images.json").stat().st_ino == before.st_ino


def test_no_images_yet_says_what_builds_them() -> None:
    with pytest.raises(SupplyError, match="no images have been built") as caught:
        built_images()
    assert "praxis up" in caught.value.fix


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "a").write_bytes(b"x" * 100_000)
    one = size_of(folder)
    (folder / "b").hardlink_to(folder / "a")
    assert size_of(folder) == one >= 100_000


def _fill(folders: Path) -> None:
    """A cache with a current and an old engine, and a read-only folder as Go leaves them."""
    made = folders / "cache"
    current, old, modules = (made / name for name in ("artefacts/current-1", "artefacts/old-1", "go/path/mod/x"))
    for folder in (current, old, modules):
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 5000)
    modules.chmod(0o555)


def test_prune_keeps_what_this_version_uses(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(folders)
    monkeypatch.setattr(cache, "_used_folders", lambda: {folders / "cache/artefacts/current-1"})
    monkeypatch.setattr(cache, "_images", lambda: iter(()))
    shown = {entry.name: entry.used for entry in cache.entries()}
    assert shown == {"artefacts/current-1": True, "artefacts/old-1": False, "go": False}
    assert cache.prune() >= 10_000
    assert {entry.name for entry in cache.entries()} == {"artefacts/current-1"}


def test_compilers_caches_go_and_binaries_stay(folders: Path) -> None:
    _fill(folders)
    drop_build_caches()
    assert sorted(path.name for path in (folders / "cache").iterdir()) == ["artefacts"]


def test_compilers_caches_stay_if_asked(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAXIS_KEEP_BUILD_CACHES", "1")
    _fill(folders)
    drop_build_caches()
    assert (folders / "cache/go").is_dir()


def test_a_daemon_of_another_architecture_is_refused_before_anything_is_built() -> None:
    class Arm:
        def version(self) -> dict[str, str]:
            return {"Arch": "arm64"}

    with pytest.raises(SupplyError, match="this Docker daemon runs arm64"):
        supplies._refuse_other_machines(Arm())  # type: ignore[arg-type]
