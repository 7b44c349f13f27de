"""Where vendors' images are fetched from: their own registry, or the mirrors that an internal network has."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
from docker.errors import APIError, DockerException, ImageNotFound

from infra.supply.process import SupplyError
from infra.supply.registry import container_registry_reached, located, pull

DIGEST = f"sha256:{'d' * 64}"
OWN, OWNED, ELSEWHERE, PORT = "redis", "otel/collector", "quay.io/keycloak/keycloak", "127.0.0.1:5000/x"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PRAXIS_REGISTRY_MIRROR", raising=False)
    return tmp_path / "home"


def test_without_a_mirror_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [located(each) for each in (OWN, OWNED, ELSEWHERE, PORT)] == [OWN, OWNED, ELSEWHERE, PORT]


def test_one_mirror_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAXIS_REGISTRY_MIRROR", "mirror.test:5000/all/")
    assert [located(each) for each in (OWN, OWNED, ELSEWHERE)] == [
        "mirror.test:5000/all/library/redis",
        "mirror.test:5000/all/otel/collector",
        "mirror.test:5000/all/keycloak/keycloak",
    ]


def test_a_mirror_for_each_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAXIS_REGISTRY_MIRROR", "docker.io=m.test/hub quay.io=m.test/quay")
    assert located(OWN) == "m.test/hub/library/redis"
    assert located(ELSEWHERE) == "m.test/quay/keycloak/keycloak"
    assert located(PORT) == PORT, "a registry that no mirror is named for is asked itself"


@pytest.mark.parametrize("value", ["https://mirror.test", "quay.io=", "=mirror.test"])
def test_what_is_no_prefix_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PRAXIS_REGISTRY_MIRROR", value)
    with pytest.raises(SupplyError, match="PRAXIS_REGISTRY_MIRROR") as caught:
        located(OWN)
    assert "no https://" in caught.value.fix


class Daemon:
    """A daemon with some images, and a registry that has every one for ``architecture``."""

    def __init__(self, *there: str, architecture: str = "amd64", fails: bool = False) -> None:
        self.images = self
        self._there, self._fails, self.pulled = set(there), fails, list[tuple[str, str]]()
        self._image = SimpleNamespace(attrs={"Architecture": architecture})

    def get(self, reference: str) -> Any:
        if reference not in self._there:
            raise ImageNotFound("none")
        return self._image

    def pull(self, name: str, tag: str) -> Any:
        if self._fails:
            raise APIError("500", explanation="unauthorized: authentication required")
        self.pulled.append((name, tag))
        return self._image


def have(daemon: Daemon) -> Any:
    return pull(cast(docker.DockerClient, daemon), OWN, DIGEST)


def test_an_image_is_pulled_by_digest_and_one_that_is_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAXIS_REGISTRY_MIRROR", "m.test")
    reference = f"m.test/library/redis@{DIGEST}"
    empty, full = Daemon(), Daemon(reference)
    assert (have(empty).reference, have(empty).new) == (reference, True)
    assert empty.pulled[0] == ("m.test/library/redis", DIGEST)
    assert (have(full).reference, have(full).new) == (reference, False)
    assert full.pulled == []


def test_one_for_another_machine_is_refused() -> None:
    with pytest.raises(SupplyError, match="is for arm64, not for amd64"):
        have(Daemon(architecture="arm64"))


def test_a_pull_that_fails_says_what_the_registry_said() -> None:
    with pytest.raises(SupplyError, match="authentication required") as caught:
        have(Daemon(fails=True))
    assert "docker login" in caught.value.fix


class _Unreached:
    """A daemon with no way to a registry."""

    asked = 0

    def __init__(self) -> None:
        self.images = self

    def get_registry_data(self, name: str) -> None:
        type(self).asked += 1
        raise DockerException("no such host")


def test_the_registry_is_asked_for_once_for_each_mirror(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(docker, "from_env", lambda timeout: _Unreached())
    assert container_registry_reached() is False
    assert container_registry_reached() is False
    assert _Unreached.asked == 1
    assert json.loads((home / "network.json").read_text())["container_registry"] is False
    monkeypatch.setenv("PRAXIS_REGISTRY_MIRROR", "m.test")
    assert container_registry_reached() is False
    assert _Unreached.asked == 2
