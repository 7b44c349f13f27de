"""Dead links in the docs are found, live ones are not complained about."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.supply import checking


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(checking, "REPOSITORY", tmp_path)
    (tmp_path / "other.md").write_text("# A heading, with `code`\n")
    return tmp_path / "page.md"


def test_live_links(page: Path) -> None:
    page.write_text(
        "# Top\n[a](other.md) [b](other.md#a-heading-with-code) [c](#top) [d](https://example.org/x)\n"
        "```\n[not a link](nowhere.md)\n```\n"
    )
    assert list(checking.dead_links([page])) == []


def test_dead_links(page: Path) -> None:
    page.write_text("[a](gone.md) [b](other.md#gone) [c](#gone)\n")
    assert list(checking.dead_links([page])) == [
        "page.md: gone.md: no such file",
        "page.md: other.md#gone: no such heading",
        "page.md: #gone: no such heading",
    ]
