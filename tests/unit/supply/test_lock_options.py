"""What `make lock` asks uv for, of the host's packages and of each image's."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.paths import REPOSITORY
from infra.supply import locks
from infra.supply.python import IMAGE_PLATFORM


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Lock -> words of the command that would write it."""
    found: dict[str, list[str]] = {}

    def run(command: list[object], **_: object) -> None:
        words = [str(word) for word in command]
        found[words[words.index("-o") + 1].removeprefix(f"{REPOSITORY}/")] = words

    monkeypatch.setattr(locks, "run", run)
    monkeypatch.setattr(locks, "uv", lambda: Path("uv"))
    return found


def test_every_lock_is_written_with_hashes_and_without_an_index(asked: dict[str, list[str]]) -> None:
    locks.main([])
    assert {"locks/operate.txt", "locks/extras.txt", "locks/dev.txt", "images/runtime/requirements.txt"} <= set(asked)
    for words in asked.values():
        assert {"--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"} <= set(words)
    assert "--universal" in asked["locks/operate.txt"]
    assert "--all-extras" in asked["locks/extras.txt"]
    assert "--group" in asked["locks/dev.txt"]
    assert IMAGE_PLATFORM in asked["images/runtime/requirements.txt"]


def test_options_are_handed_on_and_an_image_adds_its_own(asked: dict[str, list[str]], tmp_path: Path) -> None:
    source = tmp_path / "requirements.in"
    source.write_text("# Why.\n# compile: --no-deps\n# compile: --override a/b.txt\npackage==1\n")
    assert locks._own_options(source) == ["--no-deps", "--override", "a/b.txt"]
    locks.main(["--upgrade"])
    assert all("--upgrade" in words for words in asked.values())
