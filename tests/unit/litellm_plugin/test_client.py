"""Reaching LiteLLM: settings, the master key, patience, and errors in words that hold no secret."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import respx
from pulumi.provider.experimental import provider as sdk
from pulumi.runtime.rpc import UNKNOWN

from infra.plugins.litellm.client import Admin, RefusedError, Settings
from infra.plugins.litellm.provider import LiteLLM
from infra.plugins.standins import patience
from infra.plugins.standins.kinds import Call, PluginError
from infra.plugins.standins.values import secrets_in, wrapped
from tests.played_litellm import MASTER, PlayedLiteLLM
from tests.unit.litellm_plugin.driver import URL


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSE_S", 0.01)


@pytest.fixture
def server() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=f"{URL}/litellm", assert_all_called=False) as router:
        yield router


def call(patience_s: float = 5.0) -> Call:
    return Call(name="one", deadline=time.monotonic() + 60, patience_s=patience_s, cancelled=threading.Event())


def admin(**settings: Any) -> Admin:
    return Admin(Settings(**{"url": f"{URL}/litellm/", "master_key": MASTER, **settings}))


def test_the_key_goes_as_a_bearer_under_the_path_of_the_url(server: respx.MockRouter) -> None:
    asked = server.get("/team/info", params={"team_id": "a/b"}).respond(json={"a": 1})
    assert admin().get("/team/info", call(), team_id="a/b") == {"a": 1}
    assert asked.calls[0].request.headers["authorization"].startswith("Bearer ")


@pytest.mark.parametrize("trouble", [httpx.Response(503), httpx.Response(502), httpx.ConnectError("refused")])
def test_a_server_that_is_starting_is_waited_for(
    server: respx.MockRouter, trouble: httpx.Response | httpx.ConnectError
) -> None:
    server.post("/budget/info").mock(side_effect=[trouble, trouble, httpx.Response(200, json=[])])
    assert admin().post("/budget/info", {}, call()) == []


def test_the_wait_is_bounded(server: respx.MockRouter) -> None:
    server.get("/a").mock(side_effect=httpx.ConnectError("refused"))
    since = time.monotonic()
    with pytest.raises(
        PluginError, match=r"LiteLLM does not answer at http://litellm.test/litellm/: refused; is it ru"
    ):
        admin().get("/a", call(patience_s=0.2))
    assert time.monotonic() - since < 2


def test_a_wrong_key_is_named_and_not_shown(server: respx.MockRouter) -> None:
    server.route().mock(side_effect=PlayedLiteLLM())
    with pytest.raises(PluginError, match=r"does not accept 'master_key' \(HTTP 401\)") as raised:
        admin(master_key="sk-another-key").get("/team/info", call())
    assert "another" not in str(raised.value)
    shown = repr(Settings(master_key="sk-another-key"))
    assert "another" not in shown


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(400, json={"error": {"message": "{'error': 'no'}"}}), "HTTP 400: {'error': 'no'}"),
        (httpx.Response(400, json={"detail": {"error": "max_budget must be"}}), "HTTP 400: max_budget must be"),
        (httpx.Response(404, json={"detail": "Not Found"}), "HTTP 404: Not Found"),
        (
            httpx.Response(422, json={"detail": [{"loc": ["body", "max_budget"], "msg": "a number", "type": "t"}]}),
            "HTTP 422: max_budget: a number",
        ),
        (httpx.Response(500, json={}), "HTTP 500: no reason given"),
    ],
)
def test_a_refusal_is_said_in_litellm_s_words(server: respx.MockRouter, answer: httpx.Response, words: str) -> None:
    server.post("/team/new").mock(return_value=answer)
    with pytest.raises(RefusedError, match=re.escape(f"LiteLLM answers POST /team/new with {words}")):
        admin().post("/team/new", {}, call())


@pytest.mark.parametrize("status", [200, 404, 500])
def test_what_is_not_litellm_is_never_taken_for_a_missing_object(server: respx.MockRouter, status: int) -> None:
    server.get("/team/info").respond(status, text="404 page not found")
    with pytest.raises(PluginError, match=r"is not LiteLLM .*; is 'url' its address\?") as raised:
        admin().get("/team/info", call())
    assert type(raised.value) is PluginError


@pytest.mark.parametrize("name", ["url", "master_key"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(PluginError, match=f"the litellm provider has no '{name}'"):
        admin(**{name: ""}).get("/a", call())


def checked(**given: Any) -> sdk.CheckResponse:
    return asyncio.run(LiteLLM().check_config(sdk.CheckRequest("urn", {}, wrapped(given), b"")))


def test_settings_are_checked_by_name() -> None:
    good = {"url": URL, "master_key": "a"}
    assert not checked(**good).failures
    assert not checked(url=UNKNOWN, master_key=UNKNOWN, timeout_s="5").failures
    for wrong, name in (
        ({"url": "litellm:4000"}, "url"),
        ({"master_key": " "}, "master_key"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": "soon"}, "timeout_s"),
        ({"urls": "x"}, "urls"),
    ):
        assert [failure.property for failure in checked(**{**good, **wrong}).failures or []] == [name]
    assert [failure.property for failure in checked().failures or []] == ["master_key", "url"]


def test_the_master_key_is_a_secret_however_it_is_given() -> None:
    assert secrets_in(checked(url=URL, master_key="plain").inputs or {}) == {"master_key"}
