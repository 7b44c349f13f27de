"""The custodian over HTTP, as the edge, the hooks and the operator meet it: real database, real tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from runtime.assertion import Assertion, verify
from runtime.contract import Kind, Policies, resolve
from tests.unit.runtime.custodian_world import MASTER, SIGNING, World, running
from tests.unit.runtime.realm import DEMO_CLIENT, POLICIES, agent, claims


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    async with running(database_settings) as made:
        yield made


def openai_code(answer: httpx.Response) -> str:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert len(answer.headers["x-praxis-trace-id"]) == 32
    return str(error["code"])


def anthropic_type(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["type"] == "error"
    assert len(answer.headers["x-praxis-trace-id"]) == 32
    return str(body["error"]["type"])


class TestPassing:
    async def test_the_edge_gets_what_it_puts_on_the_request(self, world: World) -> None:
        answer = await world.auth(world.token())
        assert answer.status_code == 200
        about = verify(answer.headers["x-praxis-assertion"], SIGNING)
        policy = resolve(POLICIES, role="engineer", department="research", subject="alice")
        assert about == Assertion(
            sub=claims()["sub"],
            name="alice",
            kind=Kind.PERSON,
            department="research",
            role="engineer",
            policy=policy.digest(),
            trace=answer.headers["traceparent"].split("-")[1],
            credential="oidc",
            demo=False,
        )
        key = answer.headers["authorization"].removeprefix("Bearer ")
        assert key in world.litellm.keys
        assert "x-api-key" not in answer.headers
        assert answer.content == b""

    async def test_litellm_is_told_the_policy(self, world: World) -> None:
        await world.auth(world.realm.sign(agent("nightly-report")))
        assert "/team/new" not in world.litellm.asked
        (key,) = world.litellm.keys.values()
        assert (key["user_id"], key["team_id"], key["models"]) == ("sub-of-nightly-report", "finance", ["small"])
        assert (key["max_budget"], key["budget_duration"]) == (1.0, "1d")

    async def test_a_role_without_models_gets_none_rather_than_all(self, database_settings: dict[str, str]) -> None:
        raw = POLICIES.model_dump(mode="json")
        raw["roles"]["engineer"]["models"] = []
        async with running(database_settings, Policies.model_validate(raw)) as world:
            assert (await world.auth(world.token())).status_code == 200
        assert [key["models"] for key in world.litellm.keys.values()] == [["no-default-models"]]

    async def test_known_subjects_cost_litellm_nothing(self, world: World) -> None:
        await world.auth(world.token())
        world.litellm.asked.clear()
        for _ in range(3):
            assert (await world.auth(world.token())).status_code == 200
        assert world.litellm.asked == []

    async def test_each_is_a_member_of_its_team(self, world: World) -> None:
        await world.auth(world.token())
        ((_, teams),) = world.litellm.users.items()
        assert teams == ["research"]
        assert "/team/member_add" not in world.litellm.asked

    @pytest.mark.parametrize("narrow", [False, True], ids=["to a team like it", "to one that allows less"])
    async def test_who_changes_department_keeps_key_and_spend(self, world: World, narrow: bool) -> None:
        before = (await world.auth(world.token())).headers["authorization"]
        if narrow:
            world.litellm.narrow.add("finance")
        (key,) = world.litellm.keys.values()
        key["spend"] = 4.5
        after = await world.auth(world.token(department=["finance"]))
        assert after.status_code == 200
        assert after.headers["authorization"] == before
        (key,) = world.litellm.keys.values()
        assert (key["team_id"], key["spend"]) == ("finance", 4.5)
        assert ("/key/delete" in world.litellm.asked) == narrow
        assert [*world.litellm.users.values()] == [["research", "finance"]]

    async def test_many_first_requests_at_once_make_one_key(self, world: World) -> None:
        import asyncio

        answers = await asyncio.gather(*(world.auth(world.token()) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {200}
        assert world.litellm.asked.count("/key/generate") == 1
        assert len({answer.headers["traceparent"].split("-")[1] for answer in answers}) == 10

    async def test_subjects_have_different_keys_and_the_same_one_each_time(self, world: World) -> None:
        keys = [
            (await world.auth(world.token(**changes))).headers["authorization"]
            for changes in ({}, {}, {"sub": "other", "preferred_username": "bob"})
        ]
        assert keys[0] == keys[1] != keys[2]

    @pytest.mark.parametrize("header", ["authorization", "x_api_key", "x_goog_api_key"])
    async def test_any_header_and_either_kind_of_credential(self, world: World, header: str) -> None:
        made = await world.http.post("/me/keys", headers={"authorization": f"Bearer {world.token()}"})
        assert made.status_code == 201
        assert made.json()["expires_in"] > 0
        key = made.json()["key"]
        assert key.startswith("sk-praxis-")
        for credential, kind in ((key, "virtual-key"), (world.token(), "oidc")):
            value = f"Bearer {credential}" if header == "authorization" else credential
            answer = await world.auth(uri="/v1/messages?beta=true", **{header: value})
            assert answer.status_code == 200
            assert verify(answer.headers["x-praxis-assertion"], SIGNING).credential == kind


class TestRefusing:
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": "Bearer "},
            {"authorization": "Basic YTpi"},
            {"authorization": "Bearer nonsense"},
            {"x-api-key": "sk-praxis-" + "x" * 43},
            {"x-goog-api-key": "sk-praxis-" + "x" * 43},
            {"x-api-key": "sk-ant-api03-somebody"},
            {"authorization": f"Bearer {MASTER}"},
            {"authorization": "Bearer " + "x" * 20_000},
            {"authorization": "Bearer \u00e9\u00ff.a.b"},
        ],
        ids=[
            *("none", "empty", "basic", "nonsense", "unknown-key", "unknown-key-of-gemini", "foreign-key"),
            *("master", "oversize", "latin-1"),
        ],
    )
    async def test_without_a_good_credential(self, world: World, headers: dict[str, str]) -> None:
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        answer = await world.http.get("/auth", headers={**raw, b"x-forwarded-uri": b"/v1/chat/completions"})
        assert (answer.status_code, openai_code(answer)) == (401, "invalid_api_key")
        assert answer.headers["x-should-retry"] == "false"
        answer = await world.http.get("/auth", headers={**raw, b"x-forwarded-uri": b"/v1/messages?beta=true"})
        assert (answer.status_code, anthropic_type(answer)) == (401, "authentication_error")
        uri = b"/v1beta/models/m:generateContent"
        answer = await world.http.get("/auth", headers={**raw, b"x-forwarded-uri": uri})
        assert (answer.status_code, answer.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
        for name in ("x-praxis-assertion", "authorization"):
            assert name not in answer.headers
        assert world.litellm.asked == []

    async def test_without_a_role(self, world: World) -> None:
        answer = await world.auth(world.token(roles=["stranger"]))
        assert (answer.status_code, openai_code(answer)) == (403, "permission_denied")
        answer = await world.auth(world.token(roles=["stranger"]), uri="/v1/messages")
        assert (answer.status_code, anthropic_type(answer)) == (403, "permission_error")

    async def test_over_budget(self, world: World) -> None:
        carol = {"sub": "sub-of-carol", "preferred_username": "carol"}
        token, about = await world.asserted(**carol)
        await world.tell("admitted", token)
        await world.tell("settled", token, input_tokens=1, output_tokens=0)
        answer = await world.auth(world.token(**carol))
        assert (answer.status_code, openai_code(answer)) == (429, "budget_exceeded")
        assert answer.headers["x-should-retry"] == "false"
        other = await world.auth(world.token(**carol), uri="/v1/messages")
        assert (other.status_code, anthropic_type(other)) == (429, "rate_limit_error")
        assert other.headers["x-should-retry"] == "false"
        assert (await world.auth(world.token())).status_code == 200, "it is carol's money, not alice's"
        record = await world.record(answer.headers["x-praxis-trace-id"])
        assert (record["state"], record["status"], record["name"]) == ("refused", 429, "carol")
        assert (await world.record(about.trace))["cost_usd"] == "0.000001"

    async def test_when_litellm_is_away(self, world: World) -> None:
        world.litellm.down = True
        answer = await world.auth(world.token())
        assert (answer.status_code, openai_code(answer)) == (503, "unavailable")
        assert answer.headers["x-should-retry"] == "true"
        world.litellm.down = False
        assert (await world.auth(world.token())).status_code == 200

    async def test_when_a_declared_team_is_missing_none_is_made(self, world: World) -> None:
        teams = set(world.litellm.teams)
        world.litellm.teams.clear()
        answer = await world.auth(world.token())
        assert (answer.status_code, openai_code(answer)) == (503, "unavailable")
        assert world.litellm.teams == set()
        world.litellm.teams |= teams  # "up" makes them again
        assert (await world.auth(world.token())).status_code == 200

    async def test_when_the_identity_provider_is_away(self, world: World) -> None:
        world.realm.down = True
        answer = await world.auth(world.token(), uri="/v1/messages")
        assert (answer.status_code, anthropic_type(answer)) == (503, "overloaded_error")
        assert (await world.http.get("/healthz")).status_code == 503

    async def test_when_the_ledger_is_away(self, world: World) -> None:
        assert (await world.http.get("/healthz")).status_code == 200
        token, _ = await world.asserted()
        connection = await asyncpg.connect(**world.database)
        await connection.execute("DROP TABLE spending")
        answer = await world.auth(world.token(sub="sub-of-bob", preferred_username="bob"))
        assert (answer.status_code, openai_code(answer)) == (503, "unavailable")
        await connection.execute("DROP TABLE record")
        assert (await world.tell("admitted", token)).status_code == 503
        await connection.close()

    async def test_whatever_goes_wrong_is_a_refusal_in_dialect(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> Any:
            raise RuntimeError("canary of a bug")

        monkeypatch.setattr("runtime.custodian.gate.resolve", broken)
        answer = await world.auth(world.token(), uri="/v1/messages")
        assert (answer.status_code, anthropic_type(answer)) == (503, "overloaded_error")
        assert "canary" not in answer.text

    async def test_the_edges_own_words(self, world: World) -> None:
        answer = await world.http.get("/errors/502?url=http%3A%2F%2Flocalhost%3A8080%2Fv1%2Fmessages%3Fbeta%3Dtrue")
        assert (answer.status_code, anthropic_type(answer)) == (503, "overloaded_error")
        answer = await world.http.get("/errors/504?url=http://localhost:8080/v1/chat/completions")
        assert (answer.status_code, openai_code(answer)) == (503, "unavailable")
        for odd in ("", "::::", "http://[", "%00"):
            assert (await world.http.get("/errors/502", params={"url": odd})).status_code == 503

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
    async def test_what_is_not_on_the_list(self, world: World, method: str) -> None:
        answer = await world.http.request(method, "/refuse", headers={"x-replaced-path": "/v1/messages/batches"})
        assert (answer.status_code, anthropic_type(answer)) == (404, "not_found_error")
        answer = await world.http.request(method, "/refuse", headers={"x-replaced-path": "/key/info"})
        assert (answer.status_code, openai_code(answer)) == (404, "not_found")


class TestKeys:
    async def test_a_key_begets_no_key(self, world: World) -> None:
        made = await world.http.post("/me/keys", headers={"authorization": f"Bearer {world.token()}"})
        again = await world.http.post("/me/keys", headers={"authorization": f"Bearer {made.json()['key']}"})
        assert (again.status_code, openai_code(again)) == (401, "invalid_api_key")

    async def test_a_demonstrations_key_stays_marked(self, world: World) -> None:
        token = world.token(azp=DEMO_CLIENT)
        made = await world.http.post("/me/keys", headers={"authorization": f"Bearer {token}"})
        answer = await world.auth(made.json()["key"])
        assert verify(answer.headers["x-praxis-assertion"], SIGNING).demo is True

    async def test_nobody_makes_one_without_a_credential_or_a_role(self, world: World) -> None:
        assert (await world.http.post("/me/keys")).status_code == 401
        headers = {"authorization": f"Bearer {world.token(roles=[])}"}
        assert (await world.http.post("/me/keys", headers=headers)).status_code == 403
