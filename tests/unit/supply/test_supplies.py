"""Choosing a supply, remembering what the network offers, and what the disk holds."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from config import versions
from infra.supply import building, cache, pins, programs, supplies
from infra.supply.artefacts import drop_build_caches
from infra.supply.built import Built, built_images, image_table, record
from infra.supply.cache import size_of
from infra.supply.engine import pulumi_environment
from infra.supply.pins import PinnedProgram, Pins
from infra.supply.process import SupplyError
from infra.supply.supplies import Official, Registries, supply_for
from tests.unit.supply.released import archive, served


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PRAXIS_KEEP_BUILD_CACHES", raising=False)
    return tmp_path


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> Pins:
    """A lock of the programs that are played here."""
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Pins(
        programs={
            one.name: PinnedProgram(
                version=one.version,
                sha256={of: hashlib.sha256(archive(one, of)).hexdigest() for of in programs.PLATFORMS},
            )
            for one in programs.PROGRAMS
        }
    )


def test_only_a_demo_takes_the_edge_out_of_a_wheel() -> None:
    demo, production = supply_for("auto", environment="demo"), supply_for("registries", environment="production")
    assert isinstance(demo, Registries)
    assert isinstance(production, Registries)
    assert (demo.edge_build, production.edge_build) == ("wheel", "source")


def test_official_without_a_lock_says_what_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pins, "complete", partial(pins.complete, tmp_path / "official.json"))
    with pytest.raises(SupplyError, match=r"official\.json, which is not there") as caught:
        supply_for("official")
    assert caught.value.fix == "write it: ./praxis lock"


def test_the_two_engines_share_no_plugins(locked: Pins) -> None:
    registries, official = supply_for("registries"), Official(locked)
    assert registries.engine.home != official.engine.home
    assert registries.engine.folder != official.engine.folder
    environment = pulumi_environment("one", engine=official.engine)
    assert environment["PATH"].startswith(f"{official.engine.folder}:")
    assert environment["PULUMI_HOME"] == str(official.engine.home)
    assert environment["PULUMI_PYTHON_CMD"] == sys.executable


def test_the_vendors_programs_are_got_and_ours_is_put_beside_them(
    locked: Pins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of ``ready`` but the images, which need a registry."""
    monkeypatch.setattr(supplies, "ensure_docker", lambda say: None)
    monkeypatch.setattr(supplies, "connect", lambda: None)
    monkeypatch.setattr(supplies, "refuse_other_machines", lambda client: None)

    def only_jobs(client: object, builder: object, jobs: dict[str, Callable[[], object]], *_: object) -> None:
        for job in jobs.values():
            job()

    monkeypatch.setattr(supplies, "build_missing", only_jobs)
    official = Official(locked)
    assert not official.engine_ready()
    with served() as releases:
        releases.publish()
        monkeypatch.setenv("PRAXIS_PULUMI_MIRROR", releases.url)
        official.ready(print)
        official.ready(print)
    assert official.engine_ready()
    assert len(releases.asked) == 3
    assert official.engine.program.is_file()
    found = {path.parent.name: path for path in (official.engine.home / "plugins").glob("*/pulumi-resource-*")}
    assert set(found) == {
        f"resource-docker-v{versions.PULUMI_DOCKER}",
        f"resource-keycloak-v{versions.PULUMI_KEYCLOAK}",
        f"resource-litellm-v{versions.PULUMI_LITELLM}",
    }
    stand_in = [name for name, path in found.items() if b"infra.plugins.standins" in path.read_bytes()]
    assert stand_in == []


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
        building.refuse_other_machines(Arm())  # type: ignore[arg-type]
