"""Fetching from a Maven repository: pinned, resumed, and unpacked without leaving its folder."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.supply.maven import fetch, unpack
from infra.supply.process import SupplyError

CONTENT = bytes(range(256)) * 64
SHA = hashlib.sha256(CONTENT).hexdigest()
COORDINATE = "org.example:thing:1.2:zip"


class Repository(BaseHTTPRequestHandler):
    """Serves one file, whole or from an offset, and keeps what it was asked."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        if self.path != "/maven/org/example/thing/1.2/thing-1.2.zip":
            self.send_error(404)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        self.wfile.write(CONTENT[begin:])

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Repository]]:
    handler = type("Handler", (Repository,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PRAXIS_MAVEN_REPOSITORY", f"http://127.0.0.1:{server.server_port}/maven")
    monkeypatch.setenv("PRAXIS_CACHE", str(tmp_path / "cache"))
    yield handler
    server.shutdown()
    server.server_close()


def test_fetched_once_then_kept(repository: type[Repository]) -> None:
    assert fetch(COORDINATE, SHA).read_bytes() == CONTENT
    assert fetch(COORDINATE, SHA).read_bytes() == CONTENT
    assert repository.asked == [("/maven/org/example/thing/1.2/thing-1.2.zip", None)]


def test_a_broken_off_download_goes_on(repository: type[Repository], tmp_path: Path) -> None:
    partial = tmp_path / "cache/downloads" / f"{SHA[:16]}-thing-1.2.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:1000])
    assert fetch(COORDINATE, SHA).read_bytes() == CONTENT
    assert repository.asked[0][1] == "bytes=1000-"


def test_another_file_than_the_pinned_is_refused_and_not_kept(repository: type[Repository], tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match="pinned is 000"):
        fetch(COORDINATE, "0" * 64)
    assert list((tmp_path / "cache/downloads").iterdir()) == []


def test_what_is_not_served_says_so(repository: type[Repository]) -> None:
    with pytest.raises(SupplyError, match="404") as caught:
        fetch("org.example:other:1:zip", SHA)
    assert "settings.xml" in caught.value.fix


def test_unpacked_without_the_top_folder_and_with_modes(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        entry = zipfile.ZipInfo("thing-1.2/bin/run.sh")
        entry.external_attr = 0o100755 << 16
        bundle.writestr(entry, "#!/bin/sh\n")
        bundle.writestr("thing-1.2/lib/x.jar", b"x")
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/bin/run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/lib/x.jar").read_bytes() == b"x"


def test_a_path_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("thing/../../evil", b"x")
    with pytest.raises(SupplyError, match="would leave the folder"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "evil").exists()
