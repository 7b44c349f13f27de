"""Each kind of drift, made by hand: found under its name with nothing else; all of it mended by one ``up``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.live.changing.by_hand import KINDS
from tests.proof import NAME, Proof


@pytest.fixture(scope="module")
def found() -> set[str]:
    """What has been made by hand so far, by the names under which it must be found."""
    return set()


def test_a_stack_that_nobody_touched_has_no_drift(proof: Proof) -> None:
    assert drift(proof, 0)["findings"] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_under_its_name_and_adds_nothing_else(proof: Proof, kind: str, found: set[str]) -> None:
    """Nothing is mended in between: each is found beside all that were made before it."""
    KINDS[kind].make(proof)
    report = drift(proof, 7)
    assert places(report) - found == KINDS[kind].found - found
    found |= KINDS[kind].found
    assert places(report) == found
    text = json.dumps(report)
    assert "by-hand" not in text
    assert "Mars" not in text, "nobody declared the variable, so its value is not shown"


@pytest.mark.timeout(900)
def test_one_up_mends_them_all(proof: Proof) -> None:
    proof.praxis("up", NAME, "--yes")
    assert drift(proof, 0)["findings"] == []


def test_an_intruder_is_not_removed_without_a_yes(proof: Proof) -> None:
    KINDS["stranger"].make(proof)
    refused = proof.praxis("up", NAME, check=False, stdin="n\n")
    assert refused.returncode == 1
    assert "not removed" in refused.stderr
    proof.praxis("up", NAME, "--yes")


def drift(proof: Proof, expected: int) -> dict[str, Any]:
    done = proof.praxis("drift", NAME, "--json", check=False)
    assert done.returncode == expected, done.stdout + done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["unseen"] == []
    return report


def places(report: dict[str, Any]) -> frozenset[str]:
    return frozenset(f"{one['resource']}/{one['path']}" for one in report["findings"])
