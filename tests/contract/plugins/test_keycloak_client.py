"""The client of Keycloak's admin API: signing in, again when needed, and patience within bounds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest
import respx

from infra.plugins.standins import patience
from infra.plugins.standins.keycloak import client
from infra.plugins.standins.keycloak.client import Admin
from infra.plugins.standins.keycloak.settings import Settings
from infra.plugins.standins.kinds import Call, ConflictError, GoneError, PluginError

URL = "http://keycloak.test"
TOKEN = "/realms/master/protocol/openid-connect/token"


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.01)


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        router.post(TOKEN, name="token").respond(json={"access_token": "one", "expires_in": 60})
        yield router


@pytest.fixture
def admin() -> Admin:
    return Admin(Settings(url=URL, username="admin", password="secret-word"))


def call(patience_s: float = 5.0, cancelled: threading.Event | None = None) -> Call:
    limit = time.monotonic() + 60
    return Call(name="one", deadline=limit, patience_s=patience_s, cancelled=cancelled or threading.Event())


def test_one_token_serves_many_requests(server: respx.MockRouter, admin: Admin) -> None:
    server.get("/admin/realms/one").respond(json={"realm": "one"})
    for _ in range(3):
        assert admin.get("/one", call()) == {"realm": "one"}
    assert server["token"].call_count == 1


def test_a_token_that_ends_soon_is_renewed(server: respx.MockRouter, admin: Admin) -> None:
    server["token"].respond(json={"access_token": "one", "expires_in": 5})
    server.get("/admin/realms/one").respond(json={})
    admin.get("/one", call())
    admin.get("/one", call())
    assert server["token"].call_count == 2


def test_a_session_that_was_ended_is_begun_again_once(server: respx.MockRouter, admin: Admin) -> None:
    server.get("/admin/realms/one").mock(side_effect=[httpx.Response(401), httpx.Response(200, json={"id": 1})])
    assert admin.get("/one", call()) == {"id": 1}
    assert server["token"].call_count == 2

    server.get("/admin/realms/two").respond(401)
    with pytest.raises(PluginError, match="does not accept the token"):
        admin.get("/two", call())


@pytest.mark.parametrize("trouble", [httpx.Response(503), httpx.Response(502), httpx.ConnectError("refused")])
def test_a_server_that_is_starting_is_waited_for(
    server: respx.MockRouter, admin: Admin, trouble: httpx.Response | httpx.ConnectError
) -> None:
    made = httpx.Response(201, headers={"location": f"{URL}/admin/realms/one/users/42"})
    server.post("/admin/realms/one/users").mock(side_effect=[trouble, trouble, made])
    assert admin.post("/one/users", {}, call()) == "42"


def test_the_wait_is_bounded_and_one_for_all(server: respx.MockRouter, admin: Admin) -> None:
    server["token"].mock(side_effect=httpx.ConnectError("refused"))
    since = time.monotonic()
    for _ in range(3):
        with pytest.raises(PluginError, match=r"does not answer at http://keycloak.test: refused; is it running"):
            admin.get("/one", call(patience_s=0.3))
    assert 0.3 <= time.monotonic() - since < 0.9


def test_what_may_have_been_done_is_not_done_twice(server: respx.MockRouter, admin: Admin) -> None:
    making = server.post("/admin/realms/one/users").mock(side_effect=httpx.ReadTimeout("slow"))
    with pytest.raises(PluginError, match="does not answer"):
        admin.post("/one/users", {}, call())
    assert making.call_count == 1


def test_a_delete_that_met_another_is_asked_for_again(
    server: respx.MockRouter, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``EntityNotFoundException`` in ``removeAuthenticatorConfig`` while a flow is deleted beside it."""
    monkeypatch.setattr(client, "DELETE_PAUSE_S", 0.01)
    broken = httpx.Response(500, json={"error": "unknown_error"})
    server.delete("/admin/realms/one/config").mock(side_effect=[broken, broken, httpx.Response(204)])
    admin.delete("/one/config", call())
    server.delete("/admin/realms/one/gone").mock(side_effect=[broken, httpx.Response(404)])
    with pytest.raises(GoneError):
        admin.delete("/one/gone", call())
    never = server.delete("/admin/realms/one/never").mock(return_value=broken)
    with pytest.raises(PluginError, match="DELETE /one/never with HTTP 500: unknown_error"):
        admin.delete("/one/never", call())
    assert never.call_count == client.DELETE_TRIES


def test_nothing_else_is_asked_for_again_after_an_error_of_the_server(server: respx.MockRouter, admin: Admin) -> None:
    asked = server.get("/admin/realms/one").respond(500, text="<html>")
    with pytest.raises(PluginError, match="HTTP 500"):
        admin.get("/one", call())
    assert asked.call_count == 1


def test_a_wait_ends_when_the_engine_cancels(server: respx.MockRouter, admin: Admin) -> None:
    server["token"].respond(503)
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(PluginError, match="cancelled while waiting for Keycloak"):
        admin.get("/one", call(cancelled=cancelled))


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (httpx.Response(404, json={"error": "Realm not found."}), GoneError, "Realm not found"),
        (httpx.Response(409, json={"errorMessage": "User exists"}), ConflictError, "User exists"),
        (httpx.Response(403), PluginError, "forbids GET /one: the user that signs in lacks an admin role"),
        (httpx.Response(400, json={"errorMessage": "no"}), PluginError, "answers GET /one with HTTP 400: no"),
    ],
)
def test_errors_are_said_in_words(
    server: respx.MockRouter, admin: Admin, answer: httpx.Response, error: type[Exception], words: str
) -> None:
    server.get("/admin/realms/one").mock(return_value=answer)
    with pytest.raises(error, match=words) as raised:
        admin.get("/one", call())
    assert type(raised.value) is error


def test_a_refused_sign_in_names_the_user_not_the_password(server: respx.MockRouter, admin: Admin) -> None:
    server["token"].respond(401, json={"error_description": "Invalid user credentials"})
    with pytest.raises(PluginError, match="sign-in of 'admin' to realm 'master': Invalid user credentials") as raised:
        admin.sign_in(call())
    assert "secret-word" not in str(raised.value)
    assert "secret-word" not in repr(Settings(url=URL, password="secret-word"))


def test_without_an_address_nothing_is_asked() -> None:
    with pytest.raises(PluginError, match="has no url"):
        Admin(Settings()).get("/one", call())
