"""Recipes of images: every one in the repository is valid, and a wrong one says file, key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.supply import recipe
from infra.supply.artefacts import module_version
from infra.supply.content import folder_digest
from infra.supply.process import SupplyError
from infra.supply.recipe import IMAGES, load, names, vendors


@pytest.mark.parametrize("name", ["base", *names()])
def test_every_image_has_a_recipe_that_names_what_is_there(name: str) -> None:
    image = load(name, "source")
    for go, tool in image.tools:
        assert (tool.folder / "go.sum").is_file(), go.binary
        assert "-s -w" in tool.flags()[-1]
    if image.recipe.wheel is not None:
        assert (image.folder / image.recipe.wheel.lock).is_file()
    lines = (image.folder / "Dockerfile").read_text().splitlines()
    stages = [line for line in lines if line.startswith("FROM ")]
    assert lines.index("ARG BASE") < lines.index(stages[0])
    assert all(stage.split()[1] == "${BASE}" for stage in stages)


@pytest.mark.parametrize("name", ["base", *names("official")])
def test_no_build_needs_the_network(name: str) -> None:
    text = "".join(file.read_text() for file in (IMAGES / name).glob("*Dockerfile"))
    for program in ("apt-get", "pip install", "npm ", "curl ", "wget ", "uv "):
        assert program not in text, program


@pytest.mark.parametrize("name", names())
def test_every_lock_of_an_image_is_pinned_by_hash_and_names_no_host(name: str) -> None:
    for lock in (*IMAGES.glob(f"{name}/requirements.txt"), *IMAGES.glob(f"{name}/wheel.txt")):
        text = lock.read_text()
        pins = [line for line in text.splitlines() if "==" in line and not line.lstrip().startswith("#")]
        assert pins
        assert all(line.endswith("\\") for line in pins)
        assert "--hash=sha256:" in text
        assert "://" not in text


@pytest.mark.parametrize("name", vendors())
def test_what_is_taken_from_a_vendor_is_named_without_its_registry_where_that_is_the_default(name: str) -> None:
    vendor = vendors()[name]
    assert not vendor.image.startswith("docker.io/")
    assert ":" not in vendor.image
    assert vendor.tag not in ("", "latest")
    assert "{" not in vendor.tag


def test_official_builds_nothing_that_a_vendor_publishes() -> None:
    digests = dict.fromkeys(vendors(), f"sha256:{'0' * 64}")
    for name in names("official"):
        image = load(name, "official", digests=digests)
        assert image.tools == ()
        assert image.maven == ()
    assert {name for name in names("official") if not load(name, "official").vendor} == {
        "litellm",
        "mlflow",
        "model",
        "runtime",
    }


def test_the_key_follows_the_vendors_digest() -> None:
    def key(digest: str) -> str:
        return load("redis", "official", digests={"redis": digest}).key("a")

    assert len({key("sha256:1"), key("sha256:2"), load("redis", "source").key("a")}) == 3
    runtime = load("runtime", "official", digests={"redis": "sha256:1"})
    assert runtime.key("a") == load("runtime", "source").key("a"), "ours is made alike, over another base"


def _image(folder: Path, toml: str) -> None:
    folder.mkdir()
    (folder / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
    (folder / "image.toml").write_text(toml)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[debian]\npackages = 'x'\n", "debian.packages"),
        ("[debain]\npackages = ['x']\n", "debain: Extra inputs are not permitted"),
        ("[[maven]]\ncoordinate = 'a:b:1:zip'\nsha256 = 'abc'\nfolder = 'x'\n", "maven.0.sha256"),
        ("[[go]]\nbinary = 'x'\npackage = 'y'\nmode = '777'\n", "go.0.mode"),
        ("[debian\n", "image.toml"),
    ],
)
def test_a_wrong_recipe_says_what_is_wrong(tmp_path: Path, toml: str, said: str) -> None:
    _image(tmp_path / "x", toml)
    with pytest.raises(SupplyError, match=r"image\.toml") as caught:
        load("x", "source", tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("image = 'x'\ntag = '{NO_SUCH}'\n", "tag: Value error, names no pin of config/versions.py"),
        ("image = 'https://x'\ntag = '1'\n", "image: "),
        ("image = 'x'\n", "tag: Field required"),
    ],
)
def test_a_wrong_vendor_says_what_is_wrong(tmp_path: Path, toml: str, said: str) -> None:
    _image(tmp_path / "x", "")
    (tmp_path / "x" / "official.toml").write_text(toml)
    load("x", "source", tmp_path)
    with pytest.raises(SupplyError, match=r"official\.toml") as caught:
        load("x", "official", tmp_path)
    assert said in str(caught.value)


def test_what_the_official_build_alone_reads_makes_no_other_image_anew(tmp_path: Path) -> None:
    _image(tmp_path / "x", "")
    before = load("x", "source", tmp_path).key("a")
    (tmp_path / "x" / "official.toml").write_text("image = 'x'\ntag = '1'\n")
    (tmp_path / "x" / "official.Dockerfile").write_text("FROM scratch\n")
    assert load("x", "source", tmp_path).key("a") == before
    assert load("x", "official", tmp_path).key("a") != before


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match="image nothing: there is no"):
        load("nothing", "source", tmp_path)


def test_the_key_follows_parent_folder_and_choice_of_build() -> None:
    source, wheel = load("traefik", "source"), load("traefik", "wheel")
    assert source.key("a") == source.key("a")
    assert len({source.key("a"), source.key("b"), wheel.key("a")}) == 3
    assert wheel.tools == ()
    assert wheel.modes == source.modes == {"bin/traefik": 0o111}


def test_our_package_counts_only_where_it_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, redis = load("runtime", "source"), load("redis", "source")
    before = runtime.key("a"), redis.key("a")
    real = folder_digest
    monkeypatch.setattr(
        recipe, "folder_digest", lambda folder, **which: "other" if folder.name == "runtime" else real(folder, **which)
    )
    # The image's own folder is called runtime too, so redis is the one that must not move.
    assert runtime.key("a") != before[0]
    assert redis.key("a") == before[1]


def test_the_linked_version_is_the_required_one() -> None:
    assert module_version(IMAGES / "traefik/go.mod", "github.com/traefik/traefik/v3") == "3.6.12"
    assert "Version=3.6.12" in load("traefik", "source").tools[0][1].flags()[-1]
    with pytest.raises(SupplyError, match=r"does not require example\.org/x"):
        module_version(IMAGES / "traefik/go.mod", "example.org/x")
