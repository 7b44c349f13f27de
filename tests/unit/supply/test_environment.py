"""The environment for plain ``pulumi``: one engine, one state, and a passphrase that only its owner can read."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.supply.engine import ENGINE, pulumi_environment


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_it_names_files_never_a_secret(home: Path) -> None:
    environment = pulumi_environment("one")
    passphrase = (home / "stacks/one/passphrase").read_text().strip()
    assert len(passphrase) == 64
    assert not any(passphrase in value for value in environment.values())
    assert environment["PULUMI_CONFIG_PASSPHRASE_FILE"] == str(home / "stacks/one/passphrase")
    assert environment["PULUMI_BACKEND_URL"] == f"file://{home}/state?metadata=skip"
    assert environment["PATH"].startswith(f"{ENGINE.path().parent}:")
    assert environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


def test_the_passphrase_is_made_once_and_differs_by_stack(home: Path) -> None:
    pulumi_environment("one")
    first = (home / "stacks/one/passphrase").read_bytes()
    pulumi_environment("one")
    pulumi_environment("two")
    assert (home / "stacks/one/passphrase").read_bytes() == first
    assert (home / "stacks/two/passphrase").read_bytes() != first


def test_nobody_else_may_look(home: Path) -> None:
    pulumi_environment("one")
    assert (home / "stacks/one/passphrase").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "state").stat().st_mode & 0o777 == 0o700
