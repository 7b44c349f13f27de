"""Where the store is kept, as a setting: what the commands say, refuse, move, and never make anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from infra.places import kept_at
from runtime.store import Store, noted_in
from tests.places import Answer, Cluster, kubeconfig, served
from tests.unit.cli.conftest import Praxis

KEY = "anthropic-api-key"
Declare = Callable[..., None]


@pytest.fixture
def declare(praxis: Praxis, tmp_path: Path) -> Declare:
    """Write ``secrets`` of the stack file ``t`` anew."""
    file = tmp_path / "stacks" / "t.yaml"
    text = file.read_text().replace("\nsecrets:\n  store: file\n", "\n")

    def write(**settings: str) -> None:
        file.write_text(text + yaml.safe_dump({"secrets": settings}) if settings else text)

    return write


@pytest.fixture
def in_kubernetes(declare: Declare, way: Path) -> Callable[[str], None]:
    def write(name: str = "praxis") -> None:
        declare(store="kubernetes", namespace="gateway", name=name, kubeconfig=str(way))

    return write


def document(cluster: Cluster, name: str = "praxis") -> str:
    kept: str = cluster.secrets[name]["data"]["store.age"]
    return kept


def test_a_new_stack_begins_at_the_declared_place_and_says_so(
    praxis: Praxis, custody: Path, cluster: Cluster, in_kubernetes: Callable[[], None]
) -> None:
    in_kubernetes()
    listed = praxis("secrets", "list", "t", "--json")
    assert listed.exit_code == 0, listed.stderr
    assert "the store is kept in Secret 'gateway/praxis' in Kubernetes" in listed.stderr
    assert {row["state"] for row in json.loads(listed.stdout)} == {"set", "missing"}
    assert praxis("secrets", "set", "t", KEY, stdin="value-canary").exit_code == 0
    assert Store(custody).get(KEY) == "value-canary", "the copy, as the agent reads it"
    assert sorted(path.name for path in custody.iterdir()) == [
        "audit.head",
        "audit.jsonl",
        "host.key",
        "place.json",
        "store.age",
    ]
    assert "canary" not in json.dumps(cluster.secrets)
    assert praxis("secrets", "audit", "t").exit_code == 0


def test_list_says_that_the_file_keeps_it(praxis: Praxis, custody: Path) -> None:
    assert f"the store is kept in the file {custody}/store.age" in praxis("secrets", "list", "t").stderr


def test_a_store_is_not_left_behind_unnoticed_and_moves_when_told(
    praxis: Praxis, custody: Path, cluster: Cluster, in_kubernetes: Callable[[], None], declare: Declare
) -> None:
    praxis("secrets", "set", "t", KEY, stdin="value-canary")
    before = Store(custody).values()
    in_kubernetes()
    for command in (("secrets", "list", "t"), ("secrets", "rotate", "t", "redis-password"), ("preview", "t")):
        refused = praxis(*command)
        assert refused.exit_code == 2, refused.output
        assert "secrets: declares Secret 'gateway/praxis' in Kubernetes, but the store is kept in the file" in (
            refused.stderr
        )
        assert "move it with: ./praxis secrets move t" in refused.stderr
    assert cluster.secrets == {}

    moved = praxis("secrets", "move", "t")
    assert moved.exit_code == 0, moved.output
    assert "is kept in Secret 'gateway/praxis' in Kubernetes from now on" in moved.stderr
    assert "the file stays as a copy" in moved.stderr
    assert praxis("secrets", "list", "t").exit_code == 0
    assert Store(custody).values() == before

    again = praxis("secrets", "move", "t")
    assert (again.exit_code, "already" in again.stderr) == (0, True)

    declare()
    assert praxis("secrets", "list", "t").exit_code == 2
    back = praxis("secrets", "move", "t")
    assert back.exit_code == 0, back.output
    assert "Secret 'gateway/praxis' in Kubernetes is left as it was" in back.stderr
    assert noted_in(custody) is None
    assert Store(custody).values() == before
    assert "praxis" in cluster.secrets
    assert "canary" not in moved.output + back.output


def test_from_one_place_elsewhere_to_another_and_back_over_what_was_left(
    praxis: Praxis, custody: Path, cluster: Cluster, in_kubernetes: Callable[[str], None]
) -> None:
    in_kubernetes("one")
    praxis("secrets", "set", "t", KEY, stdin="value-1")
    in_kubernetes("two")
    assert praxis("secrets", "move", "t").exit_code == 0
    assert document(cluster, "one") == document(cluster, "two")
    praxis("secrets", "set", "t", KEY, stdin="value-2")
    in_kubernetes("one")
    refused = praxis("secrets", "move", "t")
    assert refused.exit_code == 2
    assert "holds another document; --replace writes over it" in refused.stderr
    assert praxis("secrets", "move", "t", "--replace").exit_code == 0
    assert document(cluster, "one") == document(cluster, "two")
    assert Store(custody).get(KEY) == "value-2"


def test_another_way_to_the_same_place_needs_no_move(
    praxis: Praxis, custody: Path, way: Path, in_kubernetes: Callable[[], None], declare: Declare
) -> None:
    in_kubernetes()
    assert praxis("secrets", "list", "t").exit_code == 0
    other = way.with_name("elsewhere")
    way.rename(other)
    declare(store="kubernetes", namespace="gateway", name="praxis", kubeconfig=str(other))
    assert praxis("secrets", "list", "t").exit_code == 0
    settled = kept_at("t")
    assert settled is not None
    assert settled.model_dump()["kubeconfig"] == str(other)


def test_a_place_that_is_away_is_one_message_and_changes_nothing(
    praxis: Praxis, custody: Path, cluster: Cluster, way: Path, in_kubernetes: Callable[[], None]
) -> None:
    in_kubernetes()
    praxis("secrets", "set", "t", KEY, stdin="value-1")
    before = {path.name: path.read_bytes() for path in custody.iterdir()}
    with served(cluster) as port:
        pass
    kubeconfig(way, port)
    for command in (
        ("secrets", "list", "t"),
        ("secrets", "set", "t", KEY),
        ("secrets", "rotate", "t", "redis-password"),
        ("preview", "t"),
        ("env", "t"),
    ):
        away = praxis(*command, stdin="value-2")
        assert away.exit_code == 3, away.output
        assert away.stderr.count("\n") == 1
        assert "Secret 'gateway/praxis' in Kubernetes: Kubernetes cannot be asked" in away.stderr
        assert away.stdout == ""
    assert {path.name: path.read_bytes() for path in custody.iterdir()} == before
    assert praxis("secrets", "audit", "t").exit_code == 0, "the record is here"


def test_a_place_that_refuses_is_a_failure(
    praxis: Praxis, custody: Path, cluster: Cluster, in_kubernetes: Callable[[], None]
) -> None:
    cluster.instead = Answer(403, {"message": "canary"})
    in_kubernetes()
    refused = praxis("secrets", "list", "t")
    assert refused.exit_code == 1
    assert "Kubernetes answers HTTP 403" in refused.stderr
    assert "canary" not in refused.output
    assert not custody.exists() or list(custody.iterdir()) == []


def test_a_lost_place_is_filled_again_from_the_copy(
    praxis: Praxis, custody: Path, cluster: Cluster, in_kubernetes: Callable[[], None], declare: Declare
) -> None:
    in_kubernetes()
    praxis("secrets", "set", "t", KEY, stdin="value-1")
    before = document(cluster)
    cluster.secrets.clear()
    lost = praxis("secrets", "list", "t")
    assert lost.exit_code == 1
    assert "./praxis secrets move STACK --from-copy puts it back" in lost.stderr
    assert cluster.secrets == {}
    assert praxis("secrets", "move", "t", "--from-copy").exit_code == 0
    assert document(cluster) == before
    assert praxis("secrets", "list", "t").exit_code == 0

    cluster.secrets.clear()
    declare()
    assert praxis("secrets", "move", "t").exit_code == 1
    assert praxis("secrets", "move", "t", "--from-copy").exit_code == 0
    assert praxis("secrets", "list", "t").exit_code == 0
    assert Store(custody).get(KEY) == "value-1"


def test_moves_that_make_no_sense(praxis: Praxis, custody: Path, in_kubernetes: Callable[[], None]) -> None:
    in_kubernetes()
    nothing = praxis("secrets", "move", "t")
    assert nothing.exit_code == 2
    assert "stack 't' has no store yet" in nothing.stderr
    assert not custody.exists()
    Store(custody).set("name", "value")
    no_copy = praxis("secrets", "move", "t", "--from-copy")
    assert no_copy.exit_code == 2
    assert "which is no copy" in no_copy.stderr


def test_a_key_that_was_lost_is_recovered_over_the_declared_place(
    praxis: Praxis, custody: Path, cluster: Cluster, in_kubernetes: Callable[[], None], tmp_path: Path
) -> None:
    import pyrage

    alice = pyrage.x25519.Identity.generate()
    (tmp_path / "alice.key").write_text(str(alice))
    in_kubernetes()
    assert praxis("secrets", "recipients", "t", "--add", str(alice.to_public())).exit_code == 0
    before = document(cluster)
    (custody / "host.key").unlink()
    assert praxis("secrets", "list", "t").exit_code == 1
    recovered = praxis("secrets", "recover", "t", "--identity", str(tmp_path / "alice.key"))
    assert recovered.exit_code == 0, recovered.output
    assert document(cluster) != before
    assert praxis("secrets", "list", "t").exit_code == 0


@pytest.mark.parametrize("text", ["{}", '{"identity": "x", "settings": {"store": "floppy"}}'])
def test_a_damaged_note_stops_everything(praxis: Praxis, custody: Path, text: str) -> None:
    praxis("secrets", "list", "t")
    before = (custody / "store.age").read_bytes()
    (custody / "place.json").write_text(text)
    result = praxis("secrets", "list", "t")
    assert result.exit_code == 1
    assert "place.json" in result.stderr
    assert (custody / "store.age").read_bytes() == before


def test_a_wrong_setting_is_named_before_anything_is_touched(praxis: Praxis, custody: Path, declare: Declare) -> None:
    declare(store="vault", address="https://vault.example:8200", path="praxis/t", region="eu-central-1")
    result = praxis("secrets", "list", "t")
    assert result.exit_code == 2
    assert "secrets.token_file: is missing: store: vault needs it" in result.stderr
    assert "secrets.region: unknown key with store: vault; allowed are: address, mount" in result.stderr
    assert not custody.exists()
