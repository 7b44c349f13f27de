"""Each kind of drift, made by hand: found under its name with nothing else, mended by ``up``, and gone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.live.changing.by_hand import KINDS
from tests.proof import NAME, Proof


def test_a_stack_that_nobody_touched_has_no_drift(proof: Proof) -> None:
    assert drift(proof, 0)["findings"] == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_found_alone_and_mended(proof: Proof, kind: str) -> None:
    """Whatever of it were not mended would be found beside the next kind, or by the last look below."""
    KINDS[kind].make(proof)
    assert places(drift(proof, 7)) == KINDS[kind].found
    proof.praxis("up", NAME, "--yes")


def test_of_all_that_was_mended_nothing_is_left(proof: Proof) -> None:
    assert drift(proof, 0)["findings"] == []


@pytest.mark.timeout(900)
def test_all_at_once(proof: Proof) -> None:
    for kind in (
        "litellm",
        "realm",
        "database",
        *(kind for kind in KINDS if kind not in ("litellm", "realm", "database")),
    ):
        KINDS[kind].make(proof)
    report = drift(proof, 7)
    assert places(report) == frozenset().union(*(kind.found for kind in KINDS.values()))
    text = json.dumps(report)
    assert "by-hand" not in text
    assert "Mars" not in text, "nobody declared the variable, so its value is not shown"
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
