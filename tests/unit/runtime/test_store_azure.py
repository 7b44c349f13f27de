"""A store in Azure Key Vault, which never asks what a write replaces: parts, heads, and writers that meet."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.store import ConflictError, KeyVaultBackend, StoreError, UnreachableError
from runtime.store.backends import azure
from runtime.store.backends.azure import AZURE_MAX_BYTES, MAX_PARTS, PART_CHARACTERS, Head, cut, joined, read_head
from tests.places import OTHER_HOST, Answer, Caller, KeyVault

NAME = "praxis-laptop"
HEAD = f"/secrets/{NAME}"


@pytest.fixture
def backend(key_vault: KeyVault) -> KeyVaultBackend:
    return writer(key_vault)


def writer(vault: KeyVault) -> KeyVaultBackend:
    return KeyVaultBackend(vault.url, NAME, credential=Caller())


def version(backend: KeyVaultBackend) -> str:
    kept = backend.load()
    assert kept is not None
    return kept.version


@given(st.binary(max_size=3 * PART_CHARACTERS))
def test_parts_fit_and_make_the_document_again(content: bytes) -> None:
    parts = cut(content)
    assert joined(parts) == content
    assert all(len(part) <= PART_CHARACTERS for part in parts)
    assert len(parts) == max(1, -(-len("".join(parts)) // PART_CHARACTERS))


@given(st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), max_size=MAX_PARTS), st.text(max_size=64))
def test_a_head_is_read_as_it_was_written_and_fits(parts: list[str], digest: str) -> None:
    head = Head(tuple(parts), digest)
    assert read_head(head.text()) == head
    assert len(head.text()) <= PART_CHARACTERS


@given(st.text())
def test_what_is_no_head_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_head(text)


def test_the_largest_document_is_kept_and_a_larger_one_not_sent(key_vault: KeyVault, backend: KeyVaultBackend) -> None:
    with pytest.raises(StoreError, match=f"can hold {AZURE_MAX_BYTES} bytes, and the store has"):
        backend.save(b"x" * (AZURE_MAX_BYTES + 1), None)
    assert key_vault.versions == {}
    content = bytes(range(256)) * (AZURE_MAX_BYTES // 256)
    backend.save(content, None)
    kept = backend.load()
    assert kept is not None
    assert kept.content == content
    assert len(key_vault.versions) == 1 + MAX_PARTS


def test_the_newest_is_found_among_many_in_no_order(key_vault: KeyVault, backend: KeyVaultBackend) -> None:
    before = None
    for number in range(30):
        backend.save(f"document {number}".encode(), before)
        before = version(backend)
    kept = backend.load()
    assert kept is not None
    assert kept.content == b"document 29"
    assert len(key_vault.versions[NAME]) == 30


def test_a_head_that_an_operator_disables_gives_way_to_the_one_before(
    key_vault: KeyVault, backend: KeyVaultBackend
) -> None:
    backend.save(b"one", None)
    first = version(backend)
    backend.save(b"two", first)
    key_vault.versions[NAME][version(backend)]["attributes"]["enabled"] = False
    assert version(backend) == first
    backend.save(b"three", first)
    kept = backend.load()
    assert kept is not None
    assert kept.content == b"three"


class Meeting(KeyVaultBackend):
    """A writer that lets others work before each of its heads' requests, as a schedule says."""

    def __init__(self, vault: KeyVault, before_put: Any, after_put: Any) -> None:
        super().__init__(vault.url, NAME, credential=Caller())
        self._before, self._after = before_put, after_put

    def _set(self, name: str, value: str, **options: Any) -> str:
        if name != NAME:
            return super()._set(name, value, **options)
        self._before()
        kept = super()._set(name, value, **options)
        self._after()
        return kept


def nothing() -> None:
    """Nobody comes between."""


def test_a_writer_that_another_overtook_takes_its_own_back(key_vault: KeyVault, backend: KeyVaultBackend) -> None:
    backend.save(b"old", None)
    old = version(backend)
    late = Meeting(key_vault, lambda: backend.save(b"of the other", old), nothing)
    with pytest.raises(ConflictError):
        late.save(b"late", old)
    kept = backend.load()
    assert kept is not None
    assert kept.content == b"of the other"


def test_of_two_who_meet_not_both_succeed_and_nothing_is_forgotten(
    key_vault: KeyVault, backend: KeyVaultBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.save(b"old", None)
    old = version(backend)
    said: list[str] = []

    def attempt(one: KeyVaultBackend, content: bytes) -> None:
        try:
            one.save(content, old)
            said.append(content.decode())
        except ConflictError:
            said.append("conflict")

    # The second writes its head between the first one's writing and looking, and looks before the first does.
    second = writer(key_vault)
    first = Meeting(key_vault, nothing, lambda: attempt(second, b"second"))
    # The second has seen nothing yet when it begins: hide the first one's head until it has looked once.
    heads, counter = KeyVaultBackend._heads, itertools.count()

    def blind_once(self: KeyVaultBackend) -> dict[str, str]:
        found = heads(self)
        return {old: azure.FIRST} if self is second and next(counter) == 0 else found

    monkeypatch.setattr(KeyVaultBackend, "_heads", blind_once)
    attempt(first, b"first")
    assert said == ["conflict", "first"]
    kept = backend.load()
    assert kept is not None
    assert kept.content == b"first"


def test_heads_that_stand_side_by_side_are_refused_until_one_is_disabled(
    key_vault: KeyVault, backend: KeyVaultBackend
) -> None:
    backend.save(b"old", None)
    old = version(backend)

    def dies() -> None:
        raise KeyboardInterrupt

    backend.save(b"one", old)
    one = version(backend)
    dead = Meeting(key_vault, nothing, dies)
    key_vault.versions[NAME][one]["attributes"]["enabled"] = False
    with pytest.raises(KeyboardInterrupt):
        dead.save(b"two", old)
    key_vault.versions[NAME][one]["attributes"]["enabled"] = True
    with pytest.raises(StoreError, match="two wrote at once") as caught:
        backend.load()
    assert str(caught.value).count("--enabled false --id https://") == 2
    with pytest.raises(StoreError, match="two wrote at once"):
        backend.save(b"three", one)
    (two,) = key_vault.versions[NAME].keys() - {old, one}
    key_vault.versions[NAME][two]["attributes"]["enabled"] = False
    assert version(backend) == one


def test_a_head_is_sent_once_even_if_the_answer_is_an_error(key_vault: KeyVault, backend: KeyVaultBackend) -> None:
    key_vault.instead["PUT", HEAD] = Answer(503, {"error": {"code": "ServiceUnavailable", "message": "canary"}})
    with pytest.raises(StoreError, match="HTTP 503 ServiceUnavailable"):
        backend.save(b"one", None)
    assert key_vault.asked.count(("PUT", HEAD)) == 1
    assert backend.load() is None


@pytest.mark.parametrize(
    ("request_", "answer", "said"),
    [
        (("GET", f"{HEAD}/versions"), Answer(403, {"error": {"code": "Forbidden", "message": "canary"}}), "403 Forbid"),
        (("GET", f"{HEAD}/versions"), Answer(401, {"error": {"code": "Unauthorized", "message": "canary"}}), "401 Un"),
        (("GET", f"{HEAD}/versions"), Answer(400, "<html>canary</html>"), "HTTP 400$"),
        (("GET", f"{HEAD}-0/VERSION"), Answer(404, {"error": {"code": "SecretNotFound"}}), "is damaged: version"),
        (("GET", f"{HEAD}-0/VERSION"), Answer(200, {"value": "Y2FuYXJ5", "id": f"https://x{HEAD}-0/v"}), "do not make"),
        (("GET", f"{HEAD}-0/VERSION"), Answer(200, {"value": "?", "id": f"https://x{HEAD}-0/v"}), "is not a store"),
        (("GET", f"{HEAD}/VERSION"), Answer(200, {"value": "canary", "id": f"https://x{HEAD}/v"}), "is not a store"),
    ],
)
def test_what_cannot_be_read_is_never_an_empty_store(
    key_vault: KeyVault, backend: KeyVaultBackend, request_: tuple[str, str], answer: Answer, said: str
) -> None:
    backend.save(b"one", None)
    method, path = request_
    for name, kept in key_vault.versions.items():
        path = path.replace(f"{name}/VERSION", f"{name}/{next(iter(kept))}")
    key_vault.instead[method, path] = answer
    with pytest.raises(StoreError, match=said) as caught:
        backend.load()
    assert "canary" not in str(caught.value)
    assert not isinstance(caught.value, UnreachableError)


def test_a_secret_of_somebody_else_is_not_a_store(key_vault: KeyVault, backend: KeyVaultBackend) -> None:
    backend._client.set_secret(NAME, "canary")
    with pytest.raises(StoreError, match=r"is not a store: version .* has no tag"):
        backend.load()
    with pytest.raises(StoreError, match="is not a store"):
        backend.save(b"one", None)
    assert len(key_vault.versions[NAME]) == 1


def test_a_name_that_is_deleted_but_recoverable_is_said(key_vault: KeyVault, backend: KeyVaultBackend) -> None:
    key_vault.instead["PUT", f"{HEAD}-0"] = Answer(409, {"error": {"code": "Conflict", "message": "deleted"}})
    with pytest.raises(StoreError, match="HTTP 409 Conflict: a secret of that name is deleted but recoverable"):
        backend.save(b"one", None)


def test_a_caller_who_may_not_is_refused(key_vault: KeyVault) -> None:
    with pytest.raises(StoreError, match="HTTP 403 Forbidden") as caught:
        KeyVaultBackend(key_vault.url, NAME, credential=Caller("other-canary")).load()
    assert "canary" not in str(caught.value)


def test_a_server_that_is_no_vault_is_given_no_token(key_vault: KeyVault) -> None:
    class Elsewhere(Caller):
        def get_token(self, *scopes: str, **_: Any) -> Any:
            raise AssertionError("a token was asked for")

    key_vault.host = OTHER_HOST
    with pytest.raises(StoreError, match=r"challenge resource 'vault\.azure\.net' does not match"):
        KeyVaultBackend(key_vault.url, NAME, credential=Elsewhere()).load()


def test_a_vault_that_does_not_answer_is_unreachable() -> None:
    with pytest.raises(UnreachableError, match="cannot be asked"):
        KeyVaultBackend("https://praxis-test.invalid", NAME, credential=Caller()).load()


def test_without_credentials_there_is_no_way_in(key_vault: KeyVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    for name in ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StoreError, match="no way in: ") as caught:
        KeyVaultBackend(key_vault.url, NAME).load()
    assert "\n" not in str(caught.value)


@pytest.mark.not_run("needs an Azure subscription; Key Vault's answers are played as documented")
def test_a_real_key_vault() -> None:
    raise AssertionError("save, load, a conflict and a deleted secret, against Azure")
