"""The custodian about money: what is refused before it goes out, and what the operator sees and gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.unit.runtime.custodian_world import ADMIN, HOOKS, World, running

CAROL = {"sub": "sub-of-carol", "preferred_username": "carol"}
"""Her budget is 0.000001 USD a month; a token of the model costs as much."""
ONE = {"input_tokens": 1, "output_tokens": 0}
HOUR = {"sub": "sub-of-carol", "name": "carol", "usd": "0.000002", "seconds": 3600, "why": "the quarter ends"}


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    async with running(database_settings) as one:
        yield one


async def admitted(world: World, estimate: dict[str, Any]) -> tuple[str, Any]:
    assertion, _ = await world.asserted(**CAROL)
    return assertion, await world.tell("admitted", assertion, estimate=estimate)


class TestReserving:
    async def test_a_request_that_could_cost_more_than_is_left(self, world: World) -> None:
        _, told = await admitted(world, {"input_tokens": 2, "output_tokens": 0})
        assert told.status_code == 422
        assert told.json() == {
            "code": "budget_exceeded",
            "status": 429,
            "retry": False,
            "message": "this request could cost 0.000002 USD, and 0.000001 of 0.000001 USD per month are left;"
            " ask for less",
        }

    async def test_one_beside_another_that_is_under_way(self, world: World) -> None:
        assertion, told = await admitted(world, ONE)
        assert told.status_code == 200
        _, second = await admitted(world, ONE)
        assert (second.json()["code"], second.json()["status"], second.json()["retry"]) == (
            "budget_reserved",
            429,
            True,
        )
        await world.tell("settled", assertion, input_tokens=0, output_tokens=0)
        assert (await admitted(world, ONE))[1].status_code == 200

    async def test_without_an_estimate_nothing_is_admitted(self, world: World) -> None:
        _, told = await admitted(world, None)  # type: ignore[arg-type]  # as an older gate would
        assert told.status_code == 400

    @pytest.mark.parametrize(
        "wrong", [{"input_tokens": -1}, {"input_tokens": 1, "answers": 0}, {"output_tokens": 5}, {}]
    )
    async def test_an_estimate_that_is_none(self, world: World, wrong: dict[str, Any]) -> None:
        _, told = await admitted(world, wrong)
        assert told.status_code == 400


class TestRaising:
    async def test_it_holds_at_the_edge_before_the_request_and_in_litellm(self, world: World) -> None:
        assertion, _ = await admitted(world, ONE)
        await world.tell("settled", assertion, input_tokens=1, output_tokens=0)
        assert (await world.auth(world.token(**CAROL))).status_code == 429
        assert (await world.http.post("/budgets/raises", json=HOUR, headers=ADMIN)).status_code == 201
        _, told = await admitted(world, {"input_tokens": 2, "output_tokens": 0})
        assert told.status_code == 200
        (key,) = (each for each in world.litellm.keys.values() if each["user_id"] == "sub-of-carol")
        assert key["max_budget"] == pytest.approx(0.000003)

    async def test_the_operator_sees_it(self, world: World) -> None:
        await admitted(world, ONE)
        await world.http.post("/budgets/raises", json=HOUR, headers=ADMIN)
        money = (await world.http.get("/budgets", headers=ADMIN)).json()
        (one,) = money["raises"]
        assert (one["sub"], one["name"], one["usd"]) == ("sub-of-carol", "carol", "0.000002")
        assert one["why"] == "the quarter ends"
        assert money["spending"] == [], "nothing is spent yet"

    async def test_what_is_spent(self, world: World) -> None:
        assertion, _ = await admitted(world, ONE)
        await world.tell("settled", assertion, input_tokens=1, output_tokens=0)
        money = (await world.http.get("/budgets", headers=ADMIN)).json()
        assert {(one["name"], one["period"], one["spent_usd"]) for one in money["spending"]} == {
            ("carol", period, "0.000001") for period in ("day", "week", "month")
        }

    @pytest.mark.parametrize(
        "wrong",
        [
            {"usd": "0"},
            {"usd": "-1"},
            {"usd": "NaN"},
            {"seconds": 5},
            {"seconds": 10**9},
            {"why": "  "},
            {"sub": ""},
            {"x": 1},
        ],
    )
    async def test_bad_input_is_named(self, world: World, wrong: dict[str, Any]) -> None:
        answer = await world.http.post("/budgets/raises", json={**HOUR, **wrong}, headers=ADMIN)
        assert answer.status_code == 400
        assert next(iter(wrong)) in answer.json()["error"]
        assert (await world.http.get("/budgets", headers=ADMIN)).json()["raises"] == []

    @pytest.mark.parametrize("headers", [{}, HOOKS])
    async def test_only_the_operator_asks_and_raises(self, world: World, headers: dict[str, str]) -> None:
        assert (await world.http.get("/budgets", headers=headers)).status_code == 401
        assert (await world.http.post("/budgets/raises", json=HOUR, headers=headers)).status_code == 401
