"""Content hashes: same content, same name; anything that can change a build changes it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from infra.supply.content import digest_of, files_of, folder_digest


def _fill(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM x\n")
    (folder / "inner/start").write_text("#!/bin/sh\n")
    return folder


def test_two_copies_have_one_digest(tmp_path: Path) -> None:
    assert folder_digest(_fill(tmp_path / "a")) == folder_digest(_fill(tmp_path / "b"))


def test_content_path_and_executable_bit_count(tmp_path: Path) -> None:
    first = folder_digest(_fill(tmp_path / "a"))
    (tmp_path / "a/inner/start").write_text("#!/bin/bash\n")
    changed = folder_digest(tmp_path / "a")
    (tmp_path / "a/inner/start").chmod(0o755)
    executable = folder_digest(tmp_path / "a")
    (tmp_path / "a/inner/start").rename(tmp_path / "a/inner/begin")
    renamed = folder_digest(tmp_path / "a")
    assert len({first, changed, executable, renamed}) == 4


def test_what_cannot_end_in_a_build_does_not_count(tmp_path: Path) -> None:
    first = folder_digest(_fill(tmp_path))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/x.cpython-311.pyc").write_bytes(b"1")
    (tmp_path / "README.md").write_text("words")
    assert folder_digest(tmp_path) == first
    assert [path.name for path in files_of(tmp_path)] == ["Dockerfile", "start"]


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_no_two_lists_run_together(left: list[str], right: list[str]) -> None:
    assert (digest_of(left) == digest_of(right)) == (left == right)
