"""What goes to the daemon: one order, one owner, modes as the recipe says; and what apt in a container is given."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from infra.supply import debian
from infra.supply.context import packed
from infra.supply.process import SupplyError


def _entries(context: Path, modes: dict[str, int]) -> list[tarfile.TarInfo]:
    with packed(context, modes) as file, tarfile.open(fileobj=file) as archive:
        return archive.getmembers()


def test_a_context_packs_the_same_whoever_made_it(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").write_bytes(b"x")
    (tmp_path / "bin/tool").chmod(0o700)
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / "Dockerfile").chmod(0o660)
    found = _entries(tmp_path, {})
    assert [(entry.name, oct(entry.mode)) for entry in found] == [
        ("Dockerfile", "0o644"),
        ("bin", "0o755"),
        ("bin/tool", "0o755"),
    ]
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in found} == {(0, 0, "root", 0)}


def test_a_program_that_nobody_may_read(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").write_bytes(b"x")
    assert {entry.name: entry.mode for entry in _entries(tmp_path, {"bin/tool": 0o111})}["bin/tool"] == 0o111


def test_what_a_step_made_is_packed_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "engine/node_modules").mkdir(parents=True)
    (tmp_path / "engine/node_modules/x.js").write_text("1")
    assert "engine/node_modules/x.js" in [entry.name for entry in _entries(tmp_path, {})]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with a mirror, a proxy that needs a password, and a bundle of its own."""
    bundle = tmp_path / "ca.crt"
    bundle.write_text("certificates")
    monkeypatch.setenv("PRAXIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example:3128")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("PRAXIS_DEBIAN_MIRROR", "https://mirror.example/debian")
    return tmp_path


def test_apt_is_given_sources_proxy_and_bundle_as_files(host: Path) -> None:
    files = debian._apt_files("bookworm", own=False)
    assert files["etc/apt/sources.list"].startswith(b"deb https://mirror.example/debian bookworm main\n")
    settings = files["etc/apt/apt.conf.d/90build"].decode()
    assert 'Acquire::https::Proxy "http://user:secret@proxy.example:3128";' in settings
    assert "Acquire::http::Proxy" not in settings
    assert 'CaInfo "/etc/apt/build-ca.crt"' in settings
    assert files["etc/apt/build-ca.crt"] == b"certificates"


def test_the_files_are_packed_as_they_are_named(host: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(debian._archive({"etc/apt/x": b"abc"}))) as archive:
        member = archive.getmember("etc/apt/x")
        content = archive.extractfile(member)
        assert content is not None
        assert content.read() == b"abc"
        assert member.mode == 0o644


def test_without_a_known_source_it_says_what_to_set(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRAXIS_DEBIAN_MIRROR")
    monkeypatch.setattr(debian, "debian_sources", lambda _: "")
    with pytest.raises(SupplyError, match="not known where Debian bookworm comes from") as caught:
        debian._apt_files("bookworm", own=False)
    assert "PRAXIS_DEBIAN_MIRROR" in caught.value.fix


def test_a_host_without_debian_uses_what_the_base_was_made_from(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "debian_sources", lambda _: "")
    (host / "cache/debian").mkdir(parents=True)
    (host / "cache/debian/bookworm.list").write_text("deb http://default.example bookworm main\n")
    assert (
        debian._apt_files("bookworm", own=False)["etc/apt/sources.list"]
        == b"deb http://default.example bookworm main\n"
    )


def test_a_vendors_image_has_sources_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(debian, "debian_sources", lambda suite: "")
    monkeypatch.setattr(
        debian, "_kept_sources", lambda suite: tmp_path / "none"
    )  # a base that was built here keeps some
    assert "etc/apt/sources.list" not in debian._apt_files("bookworm", own=True)
    monkeypatch.setattr(debian, "debian_sources", lambda suite: "deb http://mirror.example bookworm main\n")
    files = debian._apt_files("bookworm", own=True)
    assert files["etc/apt/sources.list"] == b"deb http://mirror.example bookworm main\n"
    assert b'Dir::Etc::SourceParts "-";' in files["etc/apt/apt.conf.d/90build"], "and a mirror takes their place"
