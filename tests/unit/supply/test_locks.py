"""The locks of the host: complete, pinned by hash, and silent about where packages come from."""

from __future__ import annotations

import itertools
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.paths import REPOSITORY
from infra.supply.python import LOCKS

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
DEPENDENCIES = PROJECT["project"]["dependencies"]


def pins(name: str) -> dict[str, str]:
    """Package -> version of a lock."""
    found: dict[str, str] = {}
    for line in (LOCKS / name).read_text(encoding="utf-8").splitlines():
        if line and line[0].isalnum():
            package, _, version = line.partition(";")[0].rstrip(" \\").partition("==")
            found[canonicalize_name(package.strip())] = version.strip()
    return found


@pytest.mark.parametrize("name", ["operate.txt", "extras.txt", "dev.txt", "uv.txt", "go.txt"])
def test_every_pin_has_a_hash_and_no_host_is_named(name: str) -> None:
    text = (LOCKS / name).read_text(encoding="utf-8")
    blocks = text.replace("\\\n", " ").splitlines()
    entries = [line for line in blocks if line and line[0].isalnum()]
    assert entries
    assert all("==" in line and "--hash=sha256:" in line for line in entries)
    assert "://" not in text
    assert not [line for line in blocks if line.startswith("-")]


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("operate.txt", DEPENDENCIES),
        ("extras.txt", [*DEPENDENCIES, *itertools.chain(*PROJECT["project"]["optional-dependencies"].values())]),
        ("dev.txt", [*DEPENDENCIES, *PROJECT["dependency-groups"]["dev"]]),
    ],
)
def test_the_lock_satisfies_what_is_declared(lock: str, wanted: list[str]) -> None:
    locked = pins(lock)
    for requirement in map(Requirement, wanted):
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, requirement
        assert requirement.specifier.contains(version), f"{requirement} is locked to {version}"


def test_development_runs_on_what_operators_get() -> None:
    operate, extras, dev = pins("operate.txt"), pins("extras.txt"), pins("dev.txt")
    assert {name: dev.get(name) for name in operate} == operate
    assert {name: extras.get(name) for name in operate} == operate
    both = extras.keys() & dev.keys()
    assert {name: dev[name] for name in both} == {name: extras[name] for name in both}
    assert {"boto3", "azure-identity", "azure-keyvault-secrets", "kubernetes"} <= both
