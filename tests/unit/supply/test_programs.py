"""The vendor's programs: pinned, resumed, refused when they are others, and unpacked whole or not at all."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from config import versions
from infra.supply import programs
from infra.supply.artefacts import module_version
from infra.supply.engine import ENGINE
from infra.supply.process import SupplyError
from infra.supply.programs import CLI, PLUGINS, PROGRAMS, fetch, install, installed
from tests.unit.supply.released import Releases, archive, served

DOCKER = PLUGINS[0]
HERE: programs.Platform = "linux-amd64"


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Releases]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PRAXIS_CACHE", str(tmp_path / "cache"))
    with served() as playing:
        playing.publish()
        monkeypatch.setenv("PRAXIS_PULUMI_MIRROR", playing.url + "/")
        yield playing


def sha(program: programs.Program, of: programs.Platform = HERE) -> str:
    return hashlib.sha256(archive(program, of)).hexdigest()


def downloads(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache/downloads").glob("*"))


def test_what_is_official_is_of_the_sdks_releases() -> None:
    """The engine that is built is newer: the SDK's own release of it is in no registry."""
    assert CLI.version == versions.PULUMI_SDK == version("pulumi")
    assert {plugin.name: plugin.version for plugin in PLUGINS} == {
        "docker": version("pulumi-docker"),
        "keycloak": version("pulumi-keycloak"),
    }
    assert module_version(ENGINE.folder / "go.mod", ENGINE.version_module) == versions.PULUMI_ENGINE


def test_names_are_the_vendors() -> None:
    assert CLI.archive("linux-amd64") == f"pulumi-v{CLI.version}-linux-x64.tar.gz"
    assert CLI.archive("darwin-arm64") == f"pulumi-v{CLI.version}-darwin-arm64.tar.gz"
    assert DOCKER.archive("linux-amd64") == f"pulumi-resource-docker-v{DOCKER.version}-linux-amd64.tar.gz"
    assert [one.checksums for one in PROGRAMS] == [
        f"pulumi-{versions.PULUMI_SDK}-checksums.txt",
        f"pulumi-docker_{versions.PULUMI_DOCKER}_checksums.txt",
        f"pulumi-keycloak_{versions.PULUMI_KEYCLOAK}_checksums.txt",
    ]


def test_without_a_mirror_they_come_from_where_they_are_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRAXIS_PULUMI_MIRROR", raising=False)
    assert DOCKER.url("x") == f"{programs.PUBLISHED}/pulumi-docker/releases/download/v{DOCKER.version}/x"


def test_installed_whole_runnable_and_once(releases: Releases, tmp_path: Path) -> None:
    folder = tmp_path / "engine"
    install(CLI, HERE, sha(CLI), folder)
    said = subprocess.run([folder / "pulumi"], capture_output=True, text=True, check=True).stdout
    assert said == f"v{CLI.version} pulumi/pulumi {HERE}\n"
    assert (folder / "pulumi-language-python").stat().st_mode & 0o111
    install(CLI, HERE, sha(CLI), folder)
    assert len(releases.asked) == 1
    assert downloads(tmp_path) == []


def test_another_hash_in_the_lock_replaces_what_is_there(releases: Releases, tmp_path: Path) -> None:
    folder = tmp_path / "plugin"
    folder.mkdir()
    (folder / "pulumi-resource-docker").write_text("somebody's")
    assert not installed(folder, sha(DOCKER))
    install(DOCKER, HERE, sha(DOCKER), folder)
    assert installed(folder, sha(DOCKER))
    assert b"somebody's" not in (folder / "pulumi-resource-docker").read_bytes()


def test_another_file_than_the_pinned_is_refused_before_it_is_unpacked(releases: Releases, tmp_path: Path) -> None:
    releases.files[releases.path(DOCKER, DOCKER.archive(HERE))] = b"not even an archive"
    with pytest.raises(SupplyError, match="pinned is") as caught:
        install(DOCKER, HERE, sha(DOCKER), tmp_path / "plugin")
    assert "ask who serves it" in caught.value.fix
    assert not (tmp_path / "plugin").exists()
    assert downloads(tmp_path) == []


def test_a_half_answer_is_gone_on_with(releases: Releases) -> None:
    releases.broken_off = 2
    path = fetch(DOCKER, HERE, sha(DOCKER))
    assert path.read_bytes() == archive(DOCKER, HERE)
    assert [wanted is not None for _, wanted in releases.asked] == [False, True, True]


def test_a_half_file_of_an_earlier_run_is_gone_on_with(releases: Releases, tmp_path: Path) -> None:
    releases.broken_off = 9
    with pytest.raises(SupplyError, match="could not be fetched"):
        fetch(DOCKER, HERE, sha(DOCKER))
    kept = downloads(tmp_path)[0].stat().st_size
    assert 0 < kept < len(archive(DOCKER, HERE))
    releases.broken_off = 0
    assert fetch(DOCKER, HERE, sha(DOCKER)).read_bytes() == archive(DOCKER, HERE)
    assert releases.asked[-1][1] == f"bytes={kept}-"


def test_a_version_that_is_not_there_says_so(releases: Releases) -> None:
    releases.files.clear()
    with pytest.raises(SupplyError, match="404") as caught:
        fetch(DOCKER, HERE, sha(DOCKER))
    assert "PRAXIS_PULUMI_MIRROR" in caught.value.fix
    assert len(releases.asked) == 1, "what is not there is not asked for again"


def test_a_proxy_that_is_down_says_so(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("PRAXIS_PULUMI_MIRROR", "http://releases.invalid/pulumi")
    with pytest.raises(SupplyError, match="could not be fetched") as caught:
        fetch(DOCKER, HERE, sha(DOCKER))
    assert "HTTPS_PROXY" in caught.value.fix


def test_a_machine_that_nothing_is_published_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(SupplyError, match="riscv64") as caught:
        programs.this_platform()
    assert "supply: registries" in caught.value.fix
