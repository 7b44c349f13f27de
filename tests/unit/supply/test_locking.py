"""The lock of ``supply: official``: written from what is published, kept where it fits, held against what is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import docker
import pytest
from docker.errors import APIError, NotFound

from infra.supply import locking, pins
from infra.supply.pins import Pins
from infra.supply.process import SupplyError
from infra.supply.programs import CLI, PLATFORMS, PLUGINS
from infra.supply.recipe import vendors
from tests.unit.supply.released import Releases, archive, served
from tests.unit.supply.test_programs import sha


class Registry:
    """A daemon that asks a registry; ``contents`` is the digest that it has for every tag."""

    def __init__(self) -> None:
        self.images = self
        self.content, self.asked = "a", list[str]()

    def get_registry_data(self, name: str) -> Registry:
        self.asked.append(name)
        return self

    @property
    def id(self) -> str:
        return f"sha256:{self.content * 64}"


class Absent(Registry):
    def get_registry_data(self, name: str) -> Registry:
        raise NotFound("no such image")


class Unreached(Registry):
    def get_registry_data(self, name: str) -> Registry:
        raise APIError("500 Server Error", explanation="dial tcp: lookup failed")


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Releases]:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("PRAXIS_REGISTRY_MIRROR", raising=False)
    monkeypatch.setenv("PRAXIS_CACHE", str(tmp_path / "cache"))
    with served() as playing:
        playing.publish()
        monkeypatch.setenv("PRAXIS_PULUMI_MIRROR", playing.url)
        yield playing


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "official.json"


def lock(registry: Registry, file: Path, *, upgrade: bool = False) -> list[str]:
    return locking.lock(cast(docker.DockerClient, registry), lambda _: None, upgrade=upgrade, file=file)


def test_it_pins_every_image_and_program(releases: Releases, file: Path) -> None:
    registry = Registry()
    changes = lock(registry, file)
    made = pins.complete(file)
    assert (
        set(made.images) == set(vendors()) >= {"base", "traefik", "redis", "postgres", "keycloak", "collector", "sso"}
    )
    assert sorted(registry.asked) == sorted(f"{each.image}:{each.tag}" for each in vendors().values())
    assert made.programs["pulumi"].sha256 == {of: sha(CLI, of) for of in PLATFORMS}
    assert made.programs["keycloak"].sha256 == {of: sha(PLUGINS[1], of) for of in PLATFORMS}
    assert len(changes) == len(made.images) + len(made.programs)


def test_it_names_no_registry(releases: Releases, file: Path) -> None:
    lock(Registry(), file)
    text = file.read_text()
    assert "quay" not in text
    assert "://" not in text
    assert all("/" not in name for name in json.loads(text)["images"])


def test_pins_that_fit_stay_unless_all_are_asked_for_again(releases: Releases, file: Path) -> None:
    registry = Registry()
    lock(registry, file)
    registry.content, asked = "b", len(releases.asked)
    assert lock(registry, file) == []
    assert pins.read(file).images["traefik"].digest == f"sha256:{'a' * 64}"
    assert len(lock(registry, file, upgrade=True)) == len(vendors())
    assert pins.read(file).images["traefik"].digest == f"sha256:{'b' * 64}"
    assert len(releases.asked) == asked, "a published version does not change"


def test_another_tag_and_what_is_no_longer_wanted(releases: Releases, file: Path) -> None:
    registry = Registry()
    lock(registry, file)
    held = json.loads(file.read_text())
    held["images"]["traefik"]["tag"] = "v0"
    held["images"]["old"] = held["images"]["redis"]
    file.write_text(json.dumps(held))
    assert list(pins.read(file).gaps()) == [f"traefik:{vendors()['traefik'].tag}"]
    with pytest.raises(SupplyError, match=r"does not pin: traefik:v"):
        pins.complete(file)
    registry.asked.clear()
    changes = lock(registry, file)
    assert registry.asked == [f"traefik:{vendors()['traefik'].tag}"]
    assert changes[0].startswith("traefik: v0 -> v")
    assert changes[1] == "old: no longer wanted"
    assert pins.complete(file).images.keys() == vendors().keys()


@pytest.mark.parametrize(("registry", "said", "fix"), [
    (Absent(), "no such image", "official.toml"),
    (Unreached(), "dial tcp: lookup failed", "PRAXIS_REGISTRY_MIRROR"),
])  # fmt: skip
def test_a_registry_that_cannot_serve_leaves_the_lock_as_it_was(
    releases: Releases, file: Path, registry: Registry, said: str, fix: str
) -> None:
    with pytest.raises(SupplyError, match=said) as caught:
        lock(registry, file)
    assert fix in caught.value.fix
    assert not file.exists()


def test_an_archive_that_the_vendor_does_not_vouch_for_is_not_pinned(releases: Releases, file: Path) -> None:
    spoiled = releases.path(PLUGINS[0], PLUGINS[0].archive("linux-arm64"))
    releases.files[spoiled] = archive(PLUGINS[0], "linux-amd64")
    with pytest.raises(SupplyError, match=r"linux-arm64\.tar\.gz: sha1 is"):
        lock(Registry(), file)
    assert not file.exists()


def test_a_checksum_of_no_known_kind_is_refused(releases: Releases, file: Path) -> None:
    releases.files[releases.path(CLI, CLI.checksums)] = f"abc  {CLI.archive('linux-amd64')}\n".encode()
    with pytest.raises(SupplyError, match="neither SHA-256 nor SHA-1"):
        lock(Registry(), file)


def test_an_archive_without_a_checksum_is_refused(releases: Releases, file: Path) -> None:
    releases.files[releases.path(CLI, CLI.checksums)] = b""
    with pytest.raises(SupplyError, match="has no checksum of pulumi-v"):
        lock(Registry(), file)


@pytest.mark.parametrize("text", ["{", '{"images": {"redis": {"tag": "7", "digest": "sha256:short"}}}', '{"other": 1}'])
def test_what_is_no_lock_is_named(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SupplyError, match=r"official\.json: ") as caught:
        pins.read(file)
    assert "./praxis lock" in caught.value.fix


def test_without_a_lock_there_is_one_message_with_the_fix(file: Path) -> None:
    assert pins.read(file) == Pins()
    with pytest.raises(SupplyError, match="which is not there") as caught:
        pins.complete(file)
    assert caught.value.fix == "write it: ./praxis lock"
