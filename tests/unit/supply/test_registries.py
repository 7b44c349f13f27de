"""A host says once how it reaches its registries; each tool is told in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.supply.registries import (
    ca_bundle,
    debian_sources,
    maven_repository,
    pip_settings,
    proxy_variables,
    uv_environment,
)

MIRROR = "https://mirror.example/simple"


def test_pip_settings_later_files_and_variables_win(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text("[global]\nindex-url = https://old.example/simple\ncert = /old.crt\n")
    second.write_text(f"[global]\nindex-url = {MIRROR}\n[install]\ntrusted-host = mirror.example\n")
    found = pip_settings({"PIP_CERT": "/new.crt"}, (first, second, tmp_path / "missing.conf"))
    assert found == {"index-url": MIRROR, "cert": "/new.crt", "trusted-host": "mirror.example"}


def test_uv_is_told_what_pip_knows() -> None:
    told = uv_environment({}, {"index-url": MIRROR, "cert": "/ca.crt", "proxy": "http://proxy.example:3128"})
    assert told["UV_DEFAULT_INDEX"] == MIRROR
    assert told["SSL_CERT_FILE"] == "/ca.crt"
    assert told["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert "UV_INDEX" not in told


def test_what_uv_was_told_itself_stays() -> None:
    assert "UV_DEFAULT_INDEX" not in uv_environment({"UV_DEFAULT_INDEX": "https://own.example"}, {"index-url": MIRROR})


def test_several_extra_indexes_come_one_after_the_other() -> None:
    told = uv_environment({}, {"extra-index-url": "https://a.example\n  https://b.example"})
    assert told["UV_INDEX"] == "https://a.example https://b.example"


def test_proxies_in_both_spellings() -> None:
    found = proxy_variables({"https_proxy": "http://p.example", "NO_PROXY": "localhost"})
    assert found == {
        "HTTPS_PROXY": "http://p.example",
        "https_proxy": "http://p.example",
        "NO_PROXY": "localhost",
        "no_proxy": "localhost",
    }


def test_the_bundle_that_the_variables_name_comes_first(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("x")
    assert ca_bundle({"SSL_CERT_FILE": str(tmp_path / "missing"), "REQUESTS_CA_BUNDLE": str(bundle)}) == bundle


SETTINGS = """<settings xmlns="http://maven.apache.org/SETTINGS/1.0.0"><mirrors>
<mirror><id>one</id><mirrorOf>{covers}</mirrorOf><url>https://mirror.example/maven/</url></mirror>
</mirrors></settings>"""


@pytest.mark.parametrize("covers", ["central", "*", "external:*", "snapshots,central", "*,!internal"])
def test_mavens_mirror_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covers: str) -> None:
    monkeypatch.delenv("PRAXIS_MAVEN_REPOSITORY", raising=False)
    file = tmp_path / "settings.xml"
    file.write_text(SETTINGS.format(covers=covers))
    assert maven_repository(file) == "https://mirror.example/maven"


@pytest.mark.parametrize("covers", ["snapshots", "*,!central"])
def test_a_mirror_of_something_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, covers: str) -> None:
    monkeypatch.delenv("PRAXIS_MAVEN_REPOSITORY", raising=False)
    file = tmp_path / "settings.xml"
    file.write_text(SETTINGS.format(covers=covers))
    assert "mirror.example" not in maven_repository(file)


def test_a_named_maven_repository_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAXIS_MAVEN_REPOSITORY", "https://own.example/maven/")
    assert maven_repository(tmp_path / "none.xml") == "https://own.example/maven"


def test_a_named_debian_mirror_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRAXIS_DEBIAN_MIRROR", "http://m.example/debian http://m.example/security")
    assert debian_sources("bookworm").splitlines() == [
        "deb http://m.example/debian bookworm main",
        "deb http://m.example/debian bookworm-updates main",
        "deb http://m.example/security bookworm-security main",
    ]


RELEASE = "ID=debian\nVERSION_CODENAME=bookworm\n"
STANZAS = """# comment
Types: deb deb-src
URIs: http://m.example/debian
Suites: bookworm bookworm-updates sid
Components: main contrib
Signed-By: /usr/share/keyrings/x.gpg

Types: deb
Enabled: no
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def test_a_host_of_the_same_suite_gives_its_own_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRAXIS_DEBIAN_MIRROR", raising=False)
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "os-release").write_text(RELEASE)
    (tmp_path / "apt/sources.list").write_text(
        "deb [arch=amd64 signed-by=/x.gpg] http://l.example/d bookworm main # own\n"
    )
    (tmp_path / "apt/sources.list.d/debian.sources").write_text(STANZAS)
    assert debian_sources("bookworm", etc=tmp_path).splitlines() == [
        "deb http://l.example/d bookworm main",
        "deb http://m.example/debian bookworm main contrib",
        "deb http://m.example/debian bookworm-updates main contrib",
    ]


def test_a_host_of_another_suite_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRAXIS_DEBIAN_MIRROR", raising=False)
    (tmp_path / "os-release").write_text("ID=ubuntu\nVERSION_CODENAME=noble\n")
    assert debian_sources("bookworm", etc=tmp_path) == ""
