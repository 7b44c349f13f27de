"""Enrolments: who asks stands in the URL; what pays, or decides, stands beside it, and both are the same person's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.assertion import verify
from runtime.contract import Policies
from runtime.custodian import directory
from runtime.custodian.enrolments import id_in
from runtime.custodian.subject import UnauthenticatedError
from runtime.wire import EGRESS_PLACEHOLDER, PROFILE_PATH
from tests.unit.runtime.custodian_world import ADMIN, HOOKS, SIGNING, World, running
from tests.unit.runtime.realm import POLICIES

TOKEN, OTHERS = "sk-ant-oat01-" + "a" * 40, "sk-ant-oat01-" + "b" * 40
ADDRESS = {"email": "alice@example.com", "email_verified": True}
BOB = {"sub": "sub-of-bob", "preferred_username": "bob"}


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    raw = POLICIES.model_dump(mode="json")
    for model in ("claude", "claude-own"):
        raw["models"][model] = {"input": "1", "output": "2"}
        raw["roles"]["engineer"]["models"].append(model)
    async with running(database_settings, Policies.model_validate(raw)) as made:
        made.anthropic.accounts = {TOKEN: ("uuid-a", "Alice@example.com"), OTHERS: ("uuid-b", "b@example.com")}
        yield made


async def enrol(world: World, claims: dict[str, Any] | None = None, **wanted: Any) -> str:
    headers = {"Authorization": f"Bearer {world.token(**(ADDRESS if claims is None else claims))}"}
    answer = await world.http.post("/me/enrolments", json={"client": "claude-code", **wanted}, headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["enrolment"])


async def asked(world: World, enrolment: str, path: str = "/v1/messages", **headers: str) -> Any:
    """What the edge asks about a request by this enrolment."""
    at = {"x_forwarded_host": "localhost:8080", "x_forwarded_proto": "http", **headers}
    return await world.auth(uri=f"/e/{enrolment}{path}?beta=true", **at)


async def by_account(world: World, enrolment: str, token: str = TOKEN, **headers: str) -> Any:
    return await asked(world, enrolment, authorization=f"Bearer {token}", **headers)


class TestTheOwnAccount:
    async def test_it_pays_and_the_enrolment_says_who(self, world: World) -> None:
        answer = await by_account(world, await enrol(world))
        assert answer.status_code == 200, answer.text
        about = verify(answer.headers["x-praxis-assertion"], SIGNING)
        assert (about.name, about.department, about.credential) == ("alice", "research", "enrolment")
        assert TOKEN not in str(answer.headers)
        told = await world.tell("admitted", answer.headers["x-praxis-assertion"], model="claude-own")
        put_on = await world.out.get(
            "/egress",
            headers={
                "x-forwarded-method": "POST",
                "x-forwarded-uri": "/anthropic-2/v1/messages",
                "x-praxis-ticket": told.json()["ticket"],
                "x-api-key": EGRESS_PLACEHOLDER,
            },
        )
        assert put_on.headers["authorization"] == f"Bearer {TOKEN}"
        record = await world.record(about.trace)
        assert (record["name"], record["payer"], record["credential"]) == ("alice", "user", "enrolment")

    @pytest.mark.parametrize("model", ["claude", "small"])
    async def test_what_the_company_pays_for_is_refused(self, world: World, model: str) -> None:
        answer = await by_account(world, await enrol(world))
        told = await world.tell("admitted", answer.headers["x-praxis-assertion"], model=model)
        assert (told.status_code, told.json()["status"]) == (422, 403)

    async def test_also_when_the_token_has_been_let_go_of(self, world: World) -> None:
        answer = await by_account(world, await enrol(world))
        await world.tell("refused", answer.headers["x-praxis-assertion"], model="claude", status=400)
        told = await world.tell("admitted", answer.headers["x-praxis-assertion"], model="claude")
        assert told.json()["code"] == "enrolment_not_enough"

    async def test_the_first_one_is_bound_and_no_other_passes(self, world: World) -> None:
        enrolment = await enrol(world, claims={})
        assert (await by_account(world, enrolment)).status_code == 200
        answer = await by_account(world, enrolment, OTHERS)
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
        assert (await by_account(world, enrolment)).status_code == 200

    async def test_one_of_many_that_come_at_once(self, world: World) -> None:
        enrolment = await enrol(world, claims={})
        tokens = [TOKEN, OTHERS] * 10
        answers = await asyncio.gather(*(by_account(world, enrolment, token) for token in tokens))
        passed = {token for token, answer in zip(tokens, answers, strict=True) if answer.status_code == 200}
        assert len(passed) == 1
        assert [answer.status_code for answer in answers].count(200) == 10
        assert world.anthropic.asked == 2, "each token once"

    async def test_where_the_address_is_known_it_has_to_be_the_same(self, world: World) -> None:
        enrolment = await enrol(world)
        refused = await by_account(world, enrolment, OTHERS)
        assert refused.status_code == 403
        assert "alice@" not in refused.text
        assert (await by_account(world, enrolment)).status_code == 200, "in other letters"

    async def test_an_address_that_nobody_has_verified_is_none(self, world: World) -> None:
        enrolment = await enrol(world, claims={**ADDRESS, "email_verified": False})
        assert (await by_account(world, enrolment, OTHERS)).status_code == 200

    @pytest.mark.parametrize(("said", "status"), [(401, 401), (403, 403), (429, 503), (500, 503), (302, 503)])
    async def test_what_anthropic_does_not_say_opens_nothing(self, world: World, said: int, status: int) -> None:
        world.anthropic.status = said
        assert (await by_account(world, await enrol(world))).status_code == status

    async def test_nor_does_its_silence(self, world: World) -> None:
        world.anthropic.down = True
        answer = await by_account(world, await enrol(world))
        assert (answer.status_code, answer.json()["error"]["type"]) == (503, "overloaded_error")

    async def test_one_that_anthropic_does_not_know(self, world: World) -> None:
        assert (await by_account(world, await enrol(world), "sk-ant-oat01-" + "x" * 40)).status_code == 401


class TestACredentialOfOurs:
    @pytest.mark.parametrize("how", ["authorization", "x_api_key", "x_praxis_key"])
    async def test_it_decides(self, world: World, how: str) -> None:
        enrolment, token = await enrol(world), world.token()
        answer = await asked(world, enrolment, **{how: f"Bearer {token}" if how == "authorization" else token})
        assert answer.status_code == 200, answer.text
        assert verify(answer.headers["x-praxis-assertion"], SIGNING).credential == "oidc"
        assert world.anthropic.asked == 0
        told = await world.tell("admitted", answer.headers["x-praxis-assertion"], model="claude")
        assert told.json()["ticket"]

    async def test_another_subjects_is_refused(self, world: World) -> None:
        answer = await asked(world, await enrol(world), authorization=f"Bearer {world.token(**BOB)}")
        assert answer.status_code == 403

    async def test_beside_it_a_token_has_to_be_the_owners_too(self, world: World) -> None:
        enrolment = await enrol(world)
        assert (await by_account(world, enrolment, OTHERS, x_praxis_key=world.token())).status_code == 403
        assert (await by_account(world, enrolment, x_praxis_key=world.token())).status_code == 200

    async def test_without_an_enrolment_all_is_as_before(self, world: World) -> None:
        assert (await world.auth(TOKEN)).status_code == 401
        assert (await world.auth(TOKEN, x_praxis_key=world.token())).status_code == 200
        assert world.anthropic.asked == 0


class TestNotGood:
    async def test_alone_it_opens_nothing(self, world: World) -> None:
        assert (await asked(world, await enrol(world))).status_code == 401

    async def test_a_wrong_one_spoils_a_good_credential(self, world: World) -> None:
        for wrong in ("A" * 43, "A" * 42, "", "x/y", "%41" * 43):
            answer = await asked(world, wrong, authorization=f"Bearer {world.token()}")
            assert answer.status_code == 401, wrong

    async def test_a_revoked_one(self, world: World) -> None:
        first, second = await enrol(world), await enrol(world)
        called = (await world.held("enrolments"))[0]["enrolment"]
        assert await world.revoked("enrolments", name="bob", enrolment=called) == 0, "it is alice's"
        assert await world.revoked("enrolments", name="alice", enrolment=called) == 1
        assert sorted([(await by_account(world, one)).status_code for one in (first, second)]) == [200, 401]
        assert await world.revoked("enrolments", name="alice") == 1
        assert {(await by_account(world, one)).status_code for one in (first, second)} == {401}

    async def test_of_somebody_whose_account_is_disabled(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(directory, "POLL_S", 0.02)
        made = await enrol(world, {**ADDRESS, "sub": "leaver"})
        assert (await by_account(world, made)).status_code == 200
        world.realm.accounts["leaver"] = {"enabled": False}
        world.realm.happens("users/leaver")
        async with asyncio.timeout(5):
            while (await by_account(world, made)).status_code == 200:
                await asyncio.sleep(0.05)
        assert (await by_account(world, made)).status_code == 401

    async def test_in_the_clear_only_on_this_machine(self, world: World) -> None:
        enrolment = await enrol(world)
        for host in ("gateway.example.com", "localhost.example.com", "", "10.0.0.1:8080"):
            answer = await by_account(world, enrolment, x_forwarded_host=host)
            assert answer.status_code == 403, host
            assert (await by_account(world, enrolment, x_forwarded_host=host, x_forwarded_proto="https")).is_success
        for host in ("localhost", "127.0.0.1:8080", "[::1]:8080"):
            assert (await by_account(world, enrolment, x_forwarded_host=host)).status_code == 200

    @given(st.text(max_size=80))
    def test_no_other_path_is_taken_for_one(self, text: str) -> None:
        try:
            found = id_in(f"/e/{text}")
        except (UnauthenticatedError, ValueError):
            return
        assert found is None or (len(found) == 43 and f"/e/{text}".startswith(f"/e/{found}"))


class TestMaking:
    async def test_it_is_in_the_chain_and_nowhere_told(self, world: World) -> None:
        enrolment = await enrol(world, device="laptop 7")
        await by_account(world, enrolment)
        (one,) = await world.held("enrolments")
        assert (one["name"], one["client"], one["device"], one["bound"]) == ("alice", "claude-code", "laptop 7", True)
        assert one["last_used"]
        await by_account(world, enrolment)
        assert await world.held("enrolments") == [one], "a request is no write"
        await world.revoked("enrolments", name="alice")
        events = (await world.http.get("/chain", headers=ADMIN)).json()["events"]
        told = [event["kind"] for event in map(json.loads, events) if "enrolment" in event["body"]]
        assert told == ["enrolment-made", "enrolment-bound", "enrolment-revoked"]
        assert enrolment not in str(events) + str(one)
        assert "uuid-a" not in str(events) + str(one)

    @pytest.mark.parametrize(
        "wrong",
        [{"client": "other"}, {"days": 0}, {"days": 366}, {"device": "a\nb"}, {"device": "x" * 81}, {"more": 1}],
    )
    async def test_bad_input(self, world: World, wrong: dict[str, Any]) -> None:
        headers = {"Authorization": f"Bearer {world.token()}"}
        answer = await world.http.post("/me/enrolments", json={"client": "claude-code", **wrong}, headers=headers)
        assert answer.status_code == 400
        assert await world.held("enrolments") == []

    async def test_only_an_access_token_begets_one(self, world: World) -> None:
        key = (await world.http.post("/me/keys", headers={"Authorization": f"Bearer {world.token()}"})).json()["key"]
        for given_one in (key, TOKEN, "nonsense"):
            headers = {"Authorization": f"Bearer {given_one}"}
            answer = await world.http.post("/me/enrolments", json={"client": "claude-code"}, headers=headers)
            assert answer.status_code == 401
        assert (await world.http.post("/me/enrolments", json={"client": "claude-code"})).status_code == 401

    @pytest.mark.parametrize("headers", [{}, HOOKS])
    async def test_only_the_operator_lists_and_revokes(self, world: World, headers: dict[str, str]) -> None:
        assert (await world.http.get("/enrolments", headers=headers)).status_code == 401
        assert (await world.http.post("/enrolments/revoke", json={"name": "a"}, headers=headers)).status_code == 401

    async def test_hello_says_the_same_to_everybody(self, world: World) -> None:
        for method in ("GET", "HEAD"):
            answer = await world.http.request(method, "/hello")
            assert (answer.status_code, answer.content) == (204, b"")


class TestTheQuestion:
    """What goes out for the custodian itself: one question with one ticket, which LiteLLM cannot have."""

    @pytest.mark.parametrize("ticket", [None, "guessed"])
    async def test_nobody_else_may_ask_it(self, world: World, ticket: str | None) -> None:
        forwarded = {"x-forwarded-method": "GET", "x-forwarded-uri": PROFILE_PATH}
        answer = await world.out.get("/egress", headers={**forwarded, "x-praxis-ticket": ticket or ""})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "not_asked")

    async def test_a_ticket_of_a_request_is_none_for_it(self, world: World) -> None:
        answer = await by_account(world, await enrol(world))
        told = await world.tell("admitted", answer.headers["x-praxis-assertion"], model="claude-own")
        forwarded = {"x-forwarded-method": "GET", "x-forwarded-uri": PROFILE_PATH}
        put_on = await world.out.get("/egress", headers={**forwarded, "x-praxis-ticket": told.json()["ticket"]})
        assert put_on.status_code == 403
