"""Where the secret store may be declared to be, and how each mistake in it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from config import SettingsError, load_stack
from config.secrets import SecretsFile, SecretsPlace
from infra.paths import STACKS
from infra.places import place_of

LAPTOP = (STACKS / "laptop.yaml").read_text().replace("\nsecrets:\n  store: file\n", "\n")
LINE = LAPTOP.count("\n") + 1

GOOD: dict[str, dict[str, Any]] = {
    "aws-secrets-manager": {"name": "praxis/laptop", "region": "eu-central-1"},
    "azure-key-vault": {"vault_url": "https://example.vault.azure.net", "name": "praxis-laptop"},
    "vault": {"address": "https://vault.example:8200", "path": "praxis/laptop", "token_file": "~/.vault-token"},
    "kubernetes": {"namespace": "gateway", "name": "praxis", "context": "prod", "kubeconfig": "/etc/kube"},
}


def problems(tmp_path: Path, secrets: Any) -> list[str]:
    (tmp_path / "t.yaml").write_text(f"{LAPTOP}secrets: {json.dumps(secrets)}\n")
    with pytest.raises(SettingsError) as caught:
        load_stack("t", tmp_path)
    return [str(problem).removeprefix(f"{tmp_path}/t.yaml:{LINE}: ") for problem in caught.value.problems]


def test_the_file_unless_declared() -> None:
    assert load_stack("laptop", STACKS).secrets == SecretsFile()


@pytest.mark.parametrize("store", GOOD)
def test_each_place_is_loaded_and_reached_by_what_it_declares(tmp_path: Path, store: str) -> None:
    (tmp_path / "t.yaml").write_text(LAPTOP + yaml.safe_dump({"secrets": {"store": store, **GOOD[store]}}))
    settings = load_stack("t", tmp_path).secrets
    place = place_of(settings)
    assert place is not None
    assert place.settings["store"] == store
    assert GOOD[store]["name" if "name" in GOOD[store] else "path"] in place.backend.where
    adapter: TypeAdapter[SecretsPlace] = TypeAdapter(SecretsPlace)
    assert adapter.validate_python(dict(place.settings)) == settings, "place.json is read again"


def test_every_field_but_the_way_in_tells_places_apart() -> None:
    adapter: TypeAdapter[SecretsPlace] = TypeAdapter(SecretsPlace)
    for store, fields in GOOD.items():
        base = adapter.validate_python({"store": store, **fields}).identity()
        for name, value in fields.items():
            other = adapter.validate_python({"store": store, **fields, name: value.replace("a", "b", 1)})
            if value != value.replace("a", "b", 1):
                assert (other.identity() == base) is (name in ("token_file", "kubeconfig")), (store, name)


@pytest.mark.parametrize("field", ["mount", "namespace"])
def test_mount_and_namespace_of_vault_tell_places_apart(field: str) -> None:
    adapter: TypeAdapter[SecretsPlace] = TypeAdapter(SecretsPlace)
    base = {"store": "vault", **GOOD["vault"]}
    assert adapter.validate_python(base).identity() != adapter.validate_python({**base, field: "x"}).identity()


@pytest.mark.parametrize(
    ("store", "change", "said"),
    [
        ("file", {"region": "eu-central-1"}, "secrets.region: unknown key with store: file; allowed are: store"),
        ("s3", {}, "secrets: no such 'store': 's3'; there are: store: file, store: aws-secrets-manager, "),
        (None, {}, "secrets: 'store' is missing; there are: store: file, "),
        ("aws-secrets-manager", {"region": None}, "secrets.region: is missing: store: aws-secrets-manager needs it"),
        ("aws-secrets-manager", {"region": "Frankfurt"}, "secrets.region: must be a region of AWS"),
        ("aws-secrets-manager", {"name": "a b"}, "secrets.name: must be letters, digits and /_+=.@-"),
        ("azure-key-vault", {"vault_url": "http://x.vault.azure.net"}, "secrets.vault_url: must be https://NAME."),
        ("azure-key-vault", {"name": "a/b"}, "secrets.name: must be letters, digits and dashes"),
        ("azure-key-vault", {"region": "x"}, "secrets.region: unknown key with store: azure-key-vault; allowed are: "),
        ("vault", {"adress": "x"}, "secrets.adress: unknown key with store: vault; did you mean 'address'?"),
        ("vault", {"address": "http://vault.example:8200"}, "secrets.address: must be an https:// address: the token"),
        ("vault", {"address": "https://u:canary@vault.example"}, "secrets.address: must be https://host:port"),
        ("vault", {"path": "/praxis"}, "secrets.path: must be names with / between them"),
        ("vault", {"token_file": "token"}, "secrets.token_file: must be an absolute path"),
        ("vault", {"token": "canary"}, "secrets.token: unknown key with store: vault; did you mean 'token_file'?"),
        ("kubernetes", {"namespace": "A"}, "secrets.namespace: must be lower case letters, digits and dashes"),
        ("kubernetes", {"name": None}, "secrets.name: is missing: store: kubernetes needs it"),
        ("kubernetes", {"kubeconfig": "kube"}, "secrets.kubeconfig: must be an absolute path"),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, store: str | None, change: dict[str, Any], said: str) -> None:
    declared = {"store": store, **GOOD.get(store or "", {}), **change}
    (found,) = problems(tmp_path, {key: value for key, value in declared.items() if value is not None})
    assert found.startswith(said)
    assert "canary" not in found


def test_what_is_no_mapping_is_named(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, "vault")
    assert found.startswith("secrets: ")


def test_vault_on_this_host_may_be_asked_without_tls(tmp_path: Path) -> None:
    declared = {"store": "vault", **GOOD["vault"], "address": "http://127.0.0.1:8200"}
    (tmp_path / "t.yaml").write_text(LAPTOP + yaml.safe_dump({"secrets": declared}))
    assert load_stack("t", tmp_path).secrets.model_dump()["address"] == "http://127.0.0.1:8200"
