"""The custodian about money: what is refused before it goes out, and what the operator sees and gives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
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


class TestLedger:
    """A day's records, page by page."""

    async def day(self, world: World, **changes: Any) -> Any:
        now = datetime.now(UTC)
        span = {"from": (now - timedelta(hours=1)).isoformat(), "until": (now + timedelta(hours=1)).isoformat()}
        return await world.http.get("/ledger", params=span | changes, headers=ADMIN)

    async def test_every_record_with_what_it_took(self, world: World) -> None:
        settled, about = await world.asserted(**CAROL)
        await world.tell("admitted", settled, estimate=ONE)
        await world.tell("settled", settled, input_tokens=1, output_tokens=0)
        refused, _ = await world.asserted(sub="sub-of-alice", preferred_username="alice")
        await world.tell("refused", refused, status=400, reason="guard_blocked")
        told = (await self.day(world)).json()
        assert told["next"] is None
        first, second = told["entries"]
        assert datetime.fromisoformat(first["time"]) <= datetime.fromisoformat(first.pop("ended"))
        assert datetime.fromisoformat(first.pop("time")) <= datetime.fromisoformat(second["time"])
        assert first == {
            **{"trace": about.trace, "sub": "sub-of-carol", "name": "carol", "payer": "company"},
            **{"state": "settled", "status": 200, "reason": None},
            **{"input_tokens": 1, "output_tokens": 0, "cost_usd": "0.000001"},
        }
        assert (second["state"], second["reason"], second["cost_usd"]) == ("refused", "guard_blocked", "0")

    async def test_one_that_is_under_way(self, world: World) -> None:
        await admitted(world, ONE)
        (only,) = (await self.day(world)).json()["entries"]
        assert (only["state"], only["ended"], only["status"], only["cost_usd"]) == ("admitted", None, None, "0")

    async def test_page_by_page_none_twice_and_none_left_out(self, world: World) -> None:
        for _ in range(5):
            await admitted(world, {"input_tokens": 0, "output_tokens": 0})
        connection = await asyncpg.connect(**world.database)
        await connection.execute("UPDATE record SET admitted = now()")  # all at the very same time
        await connection.close()
        found, where = [], {"limit": "2"}
        for _ in range(3):
            told = (await self.day(world, **where)).json()
            found += [one["trace"] for one in told["entries"]]
            where |= told["next"] or {}
        assert told["next"] is None
        assert len(set(found)) == len(found) == 5

    async def test_the_span_s_end_is_not_in_it(self, world: World) -> None:
        await admitted(world, ONE)
        (only,) = (await self.day(world)).json()["entries"]
        assert (await self.day(world, until=only["time"])).json()["entries"] == []
        assert len((await self.day(world, **{"from": only["time"]})).json()["entries"]) == 1

    @pytest.mark.parametrize(
        "wrong",
        [
            *({"from": bad} for bad in ("yesterday", "2026-11-26", "2026-11-26T00:00:00")),
            *({"limit": bad} for bad in ("0", "1001", "ten")),
            {"after": "x" * 65},
            {"day": "2026-11-26"},
        ],
    )
    async def test_bad_input_is_named(self, world: World, wrong: dict[str, str]) -> None:
        answer = await self.day(world, **wrong)
        assert answer.status_code == 400
        assert next(iter(wrong)) in answer.json()["error"]

    async def test_only_the_operator_asks(self, world: World) -> None:
        assert (await world.http.get("/ledger", headers=HOOKS)).status_code == 401
