"""Who may still come in: what the custodian makes of Keycloak's accounts and of its admin events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from runtime.assertion import HEADER, verify
from runtime.contract import Kind
from runtime.custodian import directory
from runtime.custodian.directory import Directory, Keycloak
from runtime.custodian.subject import Subject, UnauthenticatedError, UnavailableError
from runtime.with_secrets import Delivered
from tests.unit.runtime.custodian_world import ADMIN, SIGNING, World, deliver, running
from tests.unit.runtime.realm import CLIENT, CLIENT_SECRET, REALM_URL, Realm, agent

ALICE = Subject(
    sub="alices", name="alice", kind=Kind.PERSON, role="engineer", department="research", credential="oidc", demo=False
)
REPORT = Subject(
    sub="reports", name="report", kind=Kind.AGENT, role="analyst", department="finance", credential="oidc", demo=False
)


class Told:
    """Takes what the chain is told; ``down`` makes it refuse."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.down = False

    async def __call__(self, sub: str, why_not: str) -> None:
        if self.down:
            raise UnavailableError("down")
        self.heard.append((sub, why_not))


@pytest.fixture
def realm() -> Realm:
    return Realm()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def book(realm: Realm, told: Told, tmp_path: Path) -> Directory:
    deliver(tmp_path, **{"custodian-client-secret": CLIENT_SECRET})
    return Directory(Keycloak(REALM_URL, CLIENT, Delivered("custodian-client-secret", tmp_path), realm.http()), told)


class TestCheck:
    async def test_who_is_there_comes_in_and_is_asked_for_once(self, realm: Realm, book: Directory) -> None:
        await book.look()
        for _ in range(3):
            await book.check(ALICE)
        assert (realm.looked_at, realm.signed_in) == (["/users/alices"], 1)

    @pytest.mark.parametrize(("account", "why"), [({"enabled": False}, "disabled"), (None, "deleted")])
    async def test_who_is_not_there_does_not(
        self, realm: Realm, book: Directory, account: dict[str, bool] | None, why: str
    ) -> None:
        realm.accounts["alices"] = account
        with pytest.raises(UnauthenticatedError, match=f"the account is {why}"):
            await book.check(ALICE)
        assert book.out() == ["alices"]

    @pytest.mark.parametrize(("client", "why"), [({"enabled": False}, "disabled"), (None, "deleted")])
    async def test_an_agent_is_out_with_its_client(
        self, realm: Realm, book: Directory, client: dict[str, bool] | None, why: str
    ) -> None:
        realm.clients["agent-report"] = client
        with pytest.raises(UnauthenticatedError, match=why):
            await book.check(REPORT)

    @pytest.mark.parametrize(("issued", "good"), [(99, False), (100, True), (None, True)])
    async def test_a_sign_in_that_was_ended(
        self, realm: Realm, book: Directory, issued: int | None, good: bool
    ) -> None:
        """None is a virtual key: it comes from no sign-in, and has a command of its own to end it."""
        from dataclasses import replace

        realm.accounts["alices"] = {"notBefore": 100}
        await book.look()
        if good:
            await book.check(replace(ALICE, issued=issued))
        else:
            with pytest.raises(UnauthenticatedError, match="sign in again"):
                await book.check(replace(ALICE, issued=issued))

    async def test_while_keycloak_is_away_the_known_go_on_and_the_unknown_wait(
        self, realm: Realm, book: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await book.look()
        await book.check(ALICE)
        realm.down = True
        await book.check(ALICE)
        with pytest.raises(UnavailableError):
            await book.check(REPORT)
        monkeypatch.setattr(directory, "KEEP_S", 0.0)
        with pytest.raises(UnavailableError):
            await book.check(ALICE)

    async def test_what_is_remembered_is_bounded(
        self, realm: Realm, book: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(directory, "REMEMBERED", 1)
        await book.look()
        for subject in (ALICE, REPORT, ALICE):
            await book.check(subject)
        assert realm.looked_at.count("/users/alices") == 2


class TestLook:
    @pytest.fixture(autouse=True)
    async def _known(self, realm: Realm, book: Directory) -> None:
        realm.happens("users/somebody-else", time_ms=1_000_000)
        await book.look()
        await book.check(ALICE)
        await book.check(REPORT)
        realm.looked_at.clear()

    async def test_nothing_happened_nothing_is_asked(self, realm: Realm, book: Directory) -> None:
        await book.look()
        assert realm.looked_at == []

    async def test_disabled_and_let_in_again(self, realm: Realm, book: Directory, told: Told) -> None:
        realm.accounts["alices"] = {"enabled": False}
        realm.happens("users/alices")
        await book.look()
        await book.look()
        assert (book.out(), told.heard) == (["alices"], [("alices", "disabled")])
        realm.accounts["alices"] = {}
        realm.happens("users/alices")
        await book.look()
        assert (book.out(), told.heard[1:]) == ([], [("alices", "")])
        await book.check(ALICE)
        assert realm.looked_at == ["/users/alices", "/users/alices"]

    @pytest.mark.parametrize("path", ["users/alices/logout", "users/alices/role-mappings/realm", "users"])
    async def test_what_is_done_to_an_account_is_about_it(self, realm: Realm, book: Directory, path: str) -> None:
        realm.happens(path, "ACTION")
        await book.look()
        assert "/users/alices" in realm.looked_at

    @pytest.mark.parametrize("path", ["users/nobody-known", "client-scopes/alices", "", "realms"])
    async def test_what_is_about_nobody_known_costs_nothing(self, realm: Realm, book: Directory, path: str) -> None:
        realm.happens(path)
        await book.look()
        assert realm.looked_at == []

    async def test_a_client_that_is_deleted_is_some_agents(self, realm: Realm, book: Directory, told: Told) -> None:
        realm.accounts["reports"] = None
        realm.happens("clients/an-id", "DELETE")
        await book.look()
        assert told.heard == [("reports", "deleted")]
        assert "/users/alices" not in realm.looked_at

    async def test_an_event_that_becomes_visible_late_is_not_missed(self, realm: Realm, book: Directory) -> None:
        realm.happens("users/somebody-else", time_ms=2_000_000)
        await book.look()
        realm.happens("users/alices", time_ms=2_000_000 - 10_000)
        await book.look()
        await book.look()
        assert realm.looked_at == ["/users/alices"]

    async def test_more_events_than_a_page_holds(self, realm: Realm, book: Directory) -> None:
        realm.happens("users/alices", time_ms=3_000_000)
        for number in range(2 * directory.PAGE + 1):
            realm.happens("users/somebody-else", time_ms=3_000_001 + number)
        await book.look()
        assert realm.looked_at == ["/users/alices"]

    async def test_what_happened_while_keycloak_was_away_is_seen_after_it(self, realm: Realm, book: Directory) -> None:
        realm.happens("users/alices")
        realm.down = True
        with pytest.raises(UnavailableError):
            await book.look()
        realm.down = False
        await book.look()
        assert realm.looked_at == ["/users/alices"]

    async def test_the_chain_is_told_again_until_it_takes_it(self, realm: Realm, book: Directory, told: Told) -> None:
        realm.accounts["alices"] = None
        realm.happens("users/alices", "DELETE")
        told.down = True
        with pytest.raises(UnavailableError):
            await book.look()
        assert book.out() == ["alices"], "out at once all the same"
        told.down = False
        await book.look()
        await book.look()
        assert told.heard == [("alices", "deleted")]


class TestAtTheEdge:
    @pytest.fixture
    async def world(self, database_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
        monkeypatch.setattr(directory, "POLL_S", 0.02)
        async with running(database_settings) as made:
            yield made

    async def test_token_and_key_end_and_the_chain_has_it(self, world: World) -> None:
        token = world.token(sub="leaver")
        key = (await world.http.post("/me/keys", headers={"authorization": f"Bearer {token}"})).json()["key"]
        assert [(await world.auth(given)).status_code for given in (token, key)] == [200, 200]
        world.realm.accounts["leaver"] = {"enabled": False}
        world.realm.happens("users/leaver")
        async with asyncio.timeout(5):
            while (await world.auth(key)).status_code == 200:
                await asyncio.sleep(0.02)
        assert [(await world.auth(given)).status_code for given in (token, key)] == [401, 401]
        made = await world.http.post("/me/keys", headers={"authorization": f"Bearer {token}"})
        assert made.status_code == 401
        out = await world.http.post("/records/ended", headers={"authorization": "Bearer record-canary"})
        assert out.json() == {"subjects": ["leaver"]}
        async with asyncio.timeout(5):
            while "access-ended" not in (lines := (await world.http.get("/chain", headers=ADMIN)).text):
                await asyncio.sleep(0.02)
        assert '\\"why\\":\\"disabled\\"' in lines

    async def test_a_key_is_in_the_role_that_its_subject_has_now(self, world: World) -> None:
        key = await self.key(world, sub="mover")
        assert (await self.said(world, key)) == ("engineer", "research")
        world.realm.given["mover"] = (["offline_access", "analyst"], ["finance"])
        world.realm.happens("users/mover/role-mappings/realm", "CREATE")
        await eventually(lambda: self.said(world, key), ("analyst", "finance"))

    @pytest.mark.parametrize(
        ("given", "missing"), [((["offline_access"], ["research"]), "role"), ((["engineer"], ["gone"]), "department")]
    )
    async def test_a_key_of_who_has_no_place_here_any_more(
        self, world: World, given: tuple[list[str], list[str]], missing: str
    ) -> None:
        key = await self.key(world, sub="mover")
        world.realm.given["mover"] = given
        world.realm.happens("groups/an-id", "DELETE")
        refused = f"'alice' has no {missing} in this gateway"
        await eventually(lambda: self.refusal(world, key), (403, refused))

    async def test_a_token_says_what_it_was_issued_with(self, world: World) -> None:
        token = world.token(sub="mover", iat=int(time.time()) - 60)
        world.realm.given["mover"] = (["analyst"], ["finance"])
        assert (await self.said(world, token)) == ("engineer", "research")

    async def test_a_sign_in_that_brought_another_role_is_one_of_the_keys_too(self, world: World) -> None:
        key = await self.key(world, sub="mover")
        assert (await self.said(world, key)) == ("engineer", "research")
        world.realm.given["mover"] = (["analyst"], ["finance"])  # by its directory's groups: no administrator did it
        assert (await self.said(world, key)) == ("engineer", "research")
        newer = world.token(sub="mover", roles=["analyst"], department=["finance"], iat=int(time.time()) + 1)
        assert (await self.said(world, newer)) == ("analyst", "finance")
        assert (await self.said(world, key)) == ("analyst", "finance")

    async def key(self, world: World, **changes: str) -> str:
        headers = {"authorization": f"Bearer {world.token(**changes)}"}
        return str((await world.http.post("/me/keys", headers=headers)).json()["key"])

    async def said(self, world: World, credential: str) -> tuple[str, str]:
        """Role and department that are asserted of it."""
        about = verify((await world.auth(credential)).headers[HEADER], SIGNING)
        return about.role, about.department

    async def refusal(self, world: World, credential: str) -> tuple[int, str]:
        answer = await world.auth(credential)
        return answer.status_code, answer.json()["error"]["message"] if answer.content else ""

    async def test_an_agent_is_looked_up_with_its_client(self, world: World) -> None:
        world.realm.clients["agent-nightly-report"] = {"enabled": False}
        assert (await world.auth(world.realm.sign(agent("nightly-report")))).status_code == 401

    async def test_who_is_out_is_the_hooks_to_know(self, world: World) -> None:
        for headers in ({}, ADMIN):
            assert (await world.http.post("/records/ended", headers=headers)).status_code == 401

    async def test_an_answer_of_keycloak_that_is_no_answer(self, world: World) -> None:
        world.realm.down = True
        answer = await world.auth(world.token())
        assert answer.status_code == 503


async def eventually(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Ask until it is so, five seconds long."""
    async with asyncio.timeout(5):
        while await ask() != wanted:
            await asyncio.sleep(0.02)


async def test_a_session_that_was_ended_is_begun_again(tmp_path: Path) -> None:
    deliver(tmp_path, **{"custodian-client-secret": "new"})
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path.rsplit("/", 1)[-1])
        if request.method == "POST":
            return httpx.Response(200, json={"access_token": f"token-{len(asked)}", "expires_in": 600})
        return httpx.Response(401 if request.headers["authorization"] == "Bearer token-1" else 200, json={})

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    found = await Keycloak(REALM_URL, CLIENT, Delivered("custodian-client-secret", tmp_path), http).get("/users/x")
    assert (found, asked) == ({}, ["token", "x", "token", "x"])
