"""Where the encrypted document is kept: every backend keeps the same promises, and none sees a secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import respx
from moto import mock_aws

from runtime.store import (
    Backend,
    ConflictError,
    KeyVaultBackend,
    KubernetesBackend,
    Place,
    SecretsManagerBackend,
    Store,
    StoreError,
    UnreachableError,
    VaultBackend,
)
from runtime.store.backend import FileBackend
from runtime.store.backends.aws import AWS_MAX_BYTES
from runtime.store.backends.vault import VAULT_MAX_BYTES
from runtime.store.folder import Folder
from tests.places import Caller, Cluster, KeyVault, kubeconfig, served

ADDRESS = "https://vault.example:8200"
URL = f"{ADDRESS}/v1/secret/data/praxis/laptop"
CONFLICT = "check-and-set parameter did not match the current version"


class Vault:
    """Answers as Vault's documented key-value engine (version 2) does, for one secret."""

    def __init__(self) -> None:
        self.version = 0
        self.data: dict[str, str] | None = None
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.headers.get("X-Vault-Token") != "token-canary":
            return httpx.Response(403, json={"errors": ["permission denied"]})
        if request.method == "GET":
            return self._read()
        body = json.loads(request.content)
        if body["options"]["cas"] != self.version:
            return httpx.Response(400, json={"errors": [CONFLICT]})
        self.version, self.data = self.version + 1, body["data"]
        return httpx.Response(200, json={**_envelope(), "data": self._metadata()})

    def _read(self) -> httpx.Response:
        if self.version == 0:
            return httpx.Response(404, json={"errors": []})
        status = 200 if self.data is not None else 404
        return httpx.Response(status, json={**_envelope(), "data": {"data": self.data, "metadata": self._metadata()}})

    def _metadata(self) -> dict[str, Any]:
        return {
            "created_time": "2030-01-01T00:00:00.000000000Z",
            "custom_metadata": None,
            "deletion_time": "" if self.data is not None else "2030-01-02T00:00:00.000000000Z",
            "destroyed": False,
            "version": self.version,
        }


def _envelope() -> dict[str, Any]:
    return {
        "request_id": "5f4bfb1c-0000-0000-0000-000000000000",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    }


@pytest.fixture
def vault() -> Iterator[Vault]:
    answers = Vault()
    with respx.mock(assert_all_called=False) as router:
        router.route(url=URL).mock(side_effect=answers)
        yield answers


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("token-canary\n")
    return path


@pytest.fixture
def vault_backend(vault: Vault, token_file: Path) -> VaultBackend:
    return VaultBackend(ADDRESS, "praxis/laptop", token_file)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        yield


@pytest.fixture
def file_backend(tmp_path: Path) -> FileBackend:
    (tmp_path / "kept").mkdir(mode=0o700)
    (tmp_path / "kept" / "custody").mkdir(mode=0o755)
    return FileBackend(Folder(tmp_path / "kept" / "custody"))


@pytest.fixture
def aws_backend(aws: None) -> SecretsManagerBackend:
    return SecretsManagerBackend("praxis/laptop", "eu-west-1")


@pytest.fixture
def azure_backend(key_vault: KeyVault) -> KeyVaultBackend:
    return KeyVaultBackend(key_vault.url, "praxis-laptop", credential=Caller())


@pytest.fixture
def kubernetes_backend(tmp_path: Path) -> Iterator[KubernetesBackend]:
    with served(Cluster()) as port:
        yield KubernetesBackend("gateway", "praxis", kubeconfig=kubeconfig(tmp_path / "kubeconfig", port))


@pytest.fixture(params=["file", "aws", "vault", "azure", "kubernetes"])
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.getfixturevalue(f"{request.param}_backend")
    return found


def elsewhere(backend: Backend) -> Place:
    return Place(identity="elsewhere", settings={}, backend=backend)


def test_a_save_replaces_the_version_that_it_expects_and_no_other(backend: Backend) -> None:
    assert backend.load() is None
    backend.save(b"\0one", None)
    first = backend.load()
    assert first is not None
    assert first.content == b"\0one"
    with pytest.raises(ConflictError, match="written by somebody else meanwhile"):
        backend.save(b"stale", None)
    backend.save(b"two", first.version)
    second = backend.load()
    assert second is not None
    assert second.content == b"two"
    assert second.version != first.version
    with pytest.raises(ConflictError, match="written by somebody else meanwhile"):
        backend.save(b"stale", first.version)
    assert backend.load() == second


def test_a_store_works_over_it(backend: Backend, tmp_path: Path) -> None:
    store = Store(tmp_path / "stack" / "custody", audited=True, place=elsewhere(backend))
    assert store.metadata() == {}
    store.set("name", "canary-1")
    store.set("name", "canary-2")
    assert store.get("name") == "canary-2"
    assert store.record_problems() == []
    kept = backend.load()
    assert kept is not None
    assert b"canary" not in kept.content
    assert (tmp_path / "stack" / "custody" / "store.age").read_bytes() == kept.content
    (tmp_path / "stack" / "custody" / "host.key").unlink()
    with pytest.raises(StoreError, match=r"host\.key is missing"):
        store.set("name", "new")
    assert backend.load() == kept


def test_a_writer_that_comes_too_late_changes_nothing(backend: Backend, tmp_path: Path) -> None:
    store = Store(tmp_path / "stack" / "custody", audited=True, place=elsewhere(backend))
    store.set("name", "one")

    class Overtaken:
        """Somebody on another host writes between load and save."""

        where = backend.where
        load = backend.load

        def save(self, content: bytes, expected: str | None) -> None:
            backend.save(b"of somebody else", expected)
            backend.save(content, expected)

    late = Store(tmp_path / "stack" / "custody", audited=True, place=elsewhere(Overtaken()))
    with pytest.raises(ConflictError):
        late.set("name", "two")
    kept = backend.load()
    assert kept is not None
    assert kept.content == b"of somebody else"
    assert [line["action"] for line in store.records()[-2:]] == ["set", "failed"]


def test_aws_keeps_the_version_before_and_says_what_it_refuses(aws: None) -> None:
    backend = SecretsManagerBackend("praxis/laptop", "eu-west-1")
    with pytest.raises(StoreError, match=f"can hold {AWS_MAX_BYTES} bytes"):
        backend.save(b"x" * (AWS_MAX_BYTES + 1), None)
    backend.save(b"one", None)
    first = backend.load()
    assert first is not None
    backend.save(b"two", first.version)
    client = boto3.client("secretsmanager", region_name="eu-west-1")
    before = client.get_secret_value(SecretId="praxis/laptop", VersionStage="AWSPREVIOUS")
    assert before["VersionId"] == first.version
    client.delete_secret(SecretId="praxis/laptop")
    with pytest.raises(StoreError, match="AWS refuses get_secret_value: InvalidRequestException"):
        backend.load()
    client.create_secret(Name="text", SecretString="canary")
    with pytest.raises(StoreError, match="is not a store: it holds text"):
        SecretsManagerBackend("text", "eu-west-1").load()


def test_aws_that_cannot_be_asked_is_never_an_empty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    backend = SecretsManagerBackend("praxis/laptop", "eu-west-1")
    with pytest.raises(StoreError, match=r"AWS cannot be asked: .*credentials") as caught:
        backend.load()
    assert not isinstance(caught.value, UnreachableError)
    with served(Cluster()) as port:
        pass
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with pytest.raises(UnreachableError, match=r"AWS cannot be asked: Could not connect"):
        backend.load()


def test_vault_is_asked_as_it_documents(vault: Vault, token_file: Path) -> None:
    backend = VaultBackend(ADDRESS, "praxis/laptop", token_file, namespace="team")
    backend.save(b"\0one", None)
    (request,) = vault.requests
    assert request.method == "POST"
    assert json.loads(request.content) == {"options": {"cas": 0}, "data": {"document": "AG9uZQ=="}}
    assert request.headers["X-Vault-Namespace"] == "team"
    assert "token-canary" not in str(request.url)


def respond(status: int, body: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, json=body)


def _unreachable(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (respond(403, {"errors": ["permission denied"]}), "HTTP 403: permission denied"),
        (respond(503, {"errors": ["Vault is sealed"]}), "HTTP 503: Vault is sealed"),
        (respond(500, {}), "HTTP 500: no reason given"),
        (respond(200, {"data": {"data": {"other": "x"}, "metadata": {"version": 1}}}), "is not a store"),
        (respond(200, {"data": {"data": {"document": "?"}, "metadata": {"version": 1}}}), "is not a store"),
        (respond(404, {"data": {"data": None, "metadata": {"version": 2}}}), "is deleted: undelete it"),
        (lambda _: httpx.Response(502, text="<html>"), "HTTP 502 and no JSON"),
        (_unreachable, r"cannot be asked \(ConnectError\)"),
    ],
)
def test_vault_that_cannot_answer_is_never_an_empty_store(
    token_file: Path, answer: Callable[[httpx.Request], httpx.Response], said: str
) -> None:
    backend = VaultBackend(ADDRESS, "praxis/laptop", token_file)
    with respx.mock:
        respx.get(URL).mock(side_effect=answer)
        with pytest.raises(StoreError, match=said) as caught:
            backend.load()
    assert "canary" not in str(caught.value)


def test_vault_that_does_not_answer_is_unreachable_and_what_is_too_large_is_not_sent(token_file: Path) -> None:
    backend = VaultBackend(ADDRESS, "praxis/laptop", token_file)
    with respx.mock:
        respx.get(URL).mock(side_effect=_unreachable)
        with pytest.raises(UnreachableError):
            backend.load()
        with pytest.raises(StoreError, match=f"can hold {VAULT_MAX_BYTES} bytes"):
            backend.save(b"x" * (VAULT_MAX_BYTES + 1), None)


def test_a_token_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read the token in .*nowhere"):
        VaultBackend(ADDRESS, "praxis/laptop", tmp_path / "nowhere").load()


@pytest.mark.parametrize(
    ("absent", "name", "package", "extra"),
    [
        ("boto3", "aws", "boto3", "aws"),
        ("azure.core.exceptions", "azure", r"azure-keyvault-secrets \(and azure-identity\)", "azure"),
        ("azure.keyvault.secrets", "azure", r"azure-keyvault-secrets \(and azure-identity\)", "azure"),
        ("azure.identity", "azure", r"azure-keyvault-secrets \(and azure-identity\)", "azure"),
        ("kubernetes", "kubernetes", "kubernetes", "kubernetes"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, absent: str, name: str, package: str, extra: str
) -> None:
    backend: Backend = request.getfixturevalue(f"{name}_backend")
    monkeypatch.setitem(sys.modules, absent, None)
    if absent == "kubernetes":
        monkeypatch.setitem(sys.modules, "kubernetes.client", None)
    with pytest.raises(StoreError, match=rf"package {package} is missing \(extra '{extra}'\): set PRAXIS_EXTRAS=1"):
        backend.load()


@pytest.mark.not_run("needs a HashiCorp Vault server; its answers are played as documented")
def test_a_real_vault() -> None:
    raise AssertionError("save, load, a conflict and a deleted version, against a server")


@pytest.mark.not_run("needs an AWS account; Secrets Manager and KMS are played by moto")
def test_a_real_secrets_manager() -> None:
    raise AssertionError("save, load and a conflict, against AWS")
