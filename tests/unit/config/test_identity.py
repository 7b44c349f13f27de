"""Directories: what each kind is made of, and what is wrong with one, said with file, line and key."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config import SettingsError, load_stack
from config.identity import EntraDirectory
from config.stack import Stack
from infra.paths import STACKS
from tests.stacks import CERTIFICATE, DIRECTORIES, federated


def raw_stack() -> dict[str, Any]:
    raw: dict[str, Any] = yaml.safe_load((STACKS / "laptop.yaml").read_text())
    raw["identity"] = {"directories": deepcopy(DIRECTORIES)}
    return raw


def load(folder: Path, raw: dict[str, Any]) -> Stack:
    (folder / "one.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return load_stack("one", folder)


def test_the_secrets_are_an_operators_to_set(tmp_path: Path) -> None:
    assert load(tmp_path, raw_stack()).secret_names() == [
        "entra-client-secret", "google-client-secret", "okta-client-secret", "partner-client-secret"
    ]  # fmt: skip


def test_the_addresses_follow_from_tenant_and_domain() -> None:
    at = {name: each.endpoints() for name, each in federated().identity.openid().items()}
    assert at["acme"].issuer == "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"
    assert at["acme"].keys.endswith("/discovery/v2.0/keys")
    assert (at["daughter"].issuer, at["daughter"].token) == (
        "https://daughter.okta.com",
        "https://daughter.okta.com/oauth2/v1/token",
    )
    assert at["school"].authorization.endswith("?hd=school.example.com")
    assert at["partner"].user_info == "https://login.partner.example.com/realms/staff/me"


def test_oktas_other_authorization_servers() -> None:
    own = {**DIRECTORIES["daughter"], "authorization_server": "default"}
    (okta,) = federated(**{**dict.fromkeys(DIRECTORIES), "daughter": own}).identity.openid().values()
    assert okta.endpoints().issuer == "https://daughter.okta.com/oauth2/default"
    assert okta.endpoints().keys == "https://daughter.okta.com/oauth2/default/v1/keys"


@pytest.mark.parametrize(
    ("directory", "change", "key", "says"),
    [
        ("acme", {"kind": "ldap"}, "", "no such 'kind': 'ldap'; there are: kind: entra"),
        ("acme", {"tenant": None}, "tenant", "is missing: kind: entra needs it"),
        ("acme", {"tenant": "common"}, "tenant", "must be the id of one tenant"),
        ("acme", {"tenant": "acme.example.com"}, "tenant", "must be the id of one tenant"),
        ("acme", {"client_secret": "hunter2"}, "client_secret", "must name a secret as secret://name"),
        ("acme", {"domain": "x.okta.com"}, "domain", "unknown key with kind: entra"),
        ("acme", {"roles": {}}, "roles", "at least 1"),
        ("acme", {"roles": {"engineer": []}}, "roles.engineer", "at least 1"),
        ("acme", {"departments": None}, "departments", "is missing"),
        ("acme", {"roles": {"pilot": ["P"]}}, "roles.pilot", "no role 'pilot'; declared are: engineer, analyst"),
        ("old", {"departments": {"legal": ["L"]}}, "departments.legal", "no department 'legal'"),
        ("school", {"role": "pilot"}, "role", "no role 'pilot'"),
        ("school", {"department": "legal"}, "department", "no department 'legal'"),
        ("daughter", {"domain": "https://daughter.okta.com"}, "domain", "String should match pattern"),
        ("partner", {"token_url": "http://login.partner.example.com/token"}, "token_url", "must be an https://"),
        ("partner", {"keys_url": "https://user:word@partner.example.com/"}, "keys_url", "without credentials"),
        ("partner", {"keys_url": "https://partner.example.com/keys?tenant=1"}, "keys_url", "without a query"),
        ("old", {"sign_in_url": "http://old.example.com/"}, "sign_in_url", "must be an https://"),
        ("old", {"signing_certificate": "MIIB"}, "signing_certificate", "one certificate in PEM form"),
        ("old", {"signing_certificate": CERTIFICATE * 2}, "signing_certificate", "and nothing else"),
        ("daughter", {"client_secret": "secret://entra-client-secret"}, "client_secret",
         "is that of directory 'acme' already"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, directory: str, change: dict[str, Any], key: str, says: str) -> None:
    raw = raw_stack()
    raw["identity"]["directories"][directory] = {
        name: value for name, value in {**DIRECTORIES[directory], **change}.items() if value is not None
    }
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, raw)
    path = ".".join(filter(None, ("identity.directories", directory, key)))
    (found,) = (str(problem) for problem in caught.value.problems if problem.key == path)
    assert found.startswith(f"{tmp_path / 'one.yaml'}:")
    assert says in found
    assert "hunter2" not in found


def test_a_models_key_is_not_a_directorys_secret(tmp_path: Path) -> None:
    raw = raw_stack()
    raw["models"]["gpt"] = {
        "provider": "openai",
        "api_key": "secret://okta-client-secret",
        "price_usd_per_million_tokens": {"input": 1, "output": 1},
    }
    with pytest.raises(SettingsError, match=r"daughter.client_secret: .* is that of model 'gpt' already"):
        load(tmp_path, raw)


@given(tenant=st.one_of(st.text(max_size=40), st.uuids().map(str)))
def test_a_tenant_is_one_place_of_one_address(tenant: str) -> None:
    try:
        directory = EntraDirectory.model_validate({**DIRECTORIES["acme"], "tenant": tenant})
    except ValueError:
        return
    assert directory.endpoints().token.split("/")[3] == tenant
