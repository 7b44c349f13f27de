"""Networks and volumes by name: pure."""

from __future__ import annotations

from typing import Any

from infra.drift.findings import Kind
from infra.drift.networks import NETWORK, VOLUME, declared_in, missing

URN = "urn:pulumi:t::praxis::praxis:index:AiGateway$"


def state(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "urn": f"{URN}{kind}::{name}", "id": "1", "inputs": {"name": f"praxis-t-{name}"}, **more}


DEPLOYMENT = {
    "resources": [
        state(NETWORK, "network-data"),
        state(VOLUME, "volume-postgres"),
        state(VOLUME, "secrets-postgres"),
        state(NETWORK, "network-old", delete=True),
        state(VOLUME, "volume-only-begun", id=""),
        state("docker:index/container:Container", "service-postgres"),
    ]
}


def test_those_of_a_state_are_networks_and_volumes_that_were_made() -> None:
    assert [one.name for one in declared_in(DEPLOYMENT)] == [
        "praxis-t-network-data",
        "praxis-t-volume-postgres",
        "praxis-t-secrets-postgres",
    ]
    assert declared_in({}) == []


def test_what_is_not_there_is_found_under_its_own_name() -> None:
    # A volume of a network's name is no network.
    there = {NETWORK: {"praxis-t-volume-postgres"}, VOLUME: {"praxis-t-network-data", "praxis-t-secrets-postgres"}}
    found = list(missing("t", declared_in(DEPLOYMENT), there))
    assert [(one.resource, one.path, one.kind) for one in found] == [
        ("network/data", "state", Kind.MISSING),
        ("volume/postgres", "state", Kind.MISSING),
    ]
    assert all(one.urn for one in found)


def test_where_all_is_there_nothing_is_found() -> None:
    names = {one.name for one in declared_in(DEPLOYMENT)}
    assert list(missing("t", declared_in(DEPLOYMENT), {NETWORK: names, VOLUME: names})) == []
