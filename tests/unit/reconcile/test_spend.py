"""LiteLLM's rows, read over a route that is played as LiteLLM 1.108.7 serves it.

Taken from its source, ``ui_view_spend_logs`` of proxy/spend_tracking/spend_management_endpoints.py: both ends of the
span are in, times are to the second, a page has 1,000 rows at most and the total is counted to 10,000.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
import respx

from infra.reconcile import spend
from infra.reconcile.books import Item, Sums

MASTER = "sk-master-canary"
BEGINS = datetime(2026, 3, 1, tzinfo=UTC)
ENDS = BEGINS + timedelta(days=1)


class PlayedLiteLLM:
    """Its rows of spend. ``asked``: the pages that it gave."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.asked: list[dict[str, str]] = []

    def add(self, time: datetime, **changes: Any) -> None:
        number = len(self.rows)
        self.rows.append(
            {
                **{"request_id": f"chatcmpl-{number}", "call_type": "acompletion", "api_key": "88dc28d0f030c55e"},
                **{"spend": 6.6e-05, "total_tokens": 10, "prompt_tokens": 7, "completion_tokens": 3},
                **{"startTime": time.isoformat(timespec="milliseconds"), "model": "openai/smollm2"},
                **{"user": "sub-of-alice", "metadata": {}, "team_id": "research", "end_user": "", "status": "success"},
                **{"litellm_call_id": f"{number:032x}", "session_id": None, **changes},
            }
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("GET", "/litellm/spend/logs/v2")
        if request.headers["authorization"] != f"Bearer {MASTER}":
            return httpx.Response(401, json={"error": {"message": "Authentication Error", "code": "401"}})
        query = dict(request.url.params)
        self.asked.append(query)
        first, last = (
            datetime.strptime(query[f"{name}_date"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            for name in ("start", "end")
        )
        found = [row for row in self.rows if first <= began(row) <= last]
        found.sort(key=lambda row: str(row["startTime"]), reverse=query["sort_order"] == "desc")
        size, number = int(query["page_size"]), int(query["page"])
        assert size <= 1000
        total = min(len(found), 10_000)
        body = {
            **{"data": found[(number - 1) * size : number * size], "total": total, "page": number, "page_size": size},
            **{"total_pages": -(-total // size), "total_is_capped": len(found) > 10_000},
        }
        return httpx.Response(200, text=json.dumps(body))


def began(row: dict[str, Any]) -> datetime:
    """LiteLLM's column has no zone, and is in UTC."""
    return datetime.fromisoformat(row["startTime"]).replace(tzinfo=UTC)


@pytest.fixture
def litellm() -> Iterator[PlayedLiteLLM]:
    played = PlayedLiteLLM()
    with respx.mock() as outside:
        outside.route(host="127.0.0.1").mock(side_effect=played)
        yield played


def read(key: str = MASTER, begins: datetime = BEGINS, ends: datetime = ENDS) -> list[Item]:
    base = "http://127.0.0.1:8090/litellm"
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {key}"}) as http:
        return list(spend.rows(http, begins, ends))


def test_a_row_is_read_exactly(litellm: PlayedLiteLLM) -> None:
    litellm.add(BEGINS + timedelta(hours=3, milliseconds=250))
    assert read() == [
        Item(
            id="chatcmpl-0",
            trace="0" * 32,
            subject="sub-of-alice",
            time=BEGINS + timedelta(hours=3, milliseconds=250),
            took=Sums(requests=1, input_tokens=7, output_tokens=3, usd=Decimal("0.000066")),
        )
    ]
    assert litellm.asked == [
        {
            **{"start_date": "2026-03-01 00:00:00", "end_date": "2026-03-02 00:00:00"},
            **{"page": "1", "page_size": "1000", "sort_order": "asc"},
        }
    ]


@pytest.mark.parametrize("call", [None, "", "6dcb2540-d3d7-4e49-bb27-291f863f112e", "F" * 32, "a" * 33])
def test_what_is_no_trace_is_not_taken_for_one(litellm: PlayedLiteLLM, call: str | None) -> None:
    litellm.add(BEGINS, litellm_call_id=call, user=None, startTime="2026-03-01T00:00:00.000", spend=0)
    (item,) = read()
    assert (item.trace, item.subject, item.time, item.took.usd) == (None, "", BEGINS, Decimal(0))


def test_a_busy_day_is_read_in_parts_and_each_row_once(litellm: PlayedLiteLLM) -> None:
    for number in range(4321):
        litellm.add(BEGINS + timedelta(seconds=number // 2))
    found = read()
    assert [item.id for item in found] == [row["request_id"] for row in litellm.rows]
    assert {query["page"] for query in litellm.asked} == {"1"}, "one page of each part"


def test_more_than_a_page_in_one_second(litellm: PlayedLiteLLM) -> None:
    for _ in range(2500):
        litellm.add(BEGINS + timedelta(seconds=7, milliseconds=5))
    assert len(read()) == 2500


def test_more_than_litellm_counts(litellm: PlayedLiteLLM) -> None:
    for _ in range(10_500):
        litellm.add(BEGINS + timedelta(seconds=7, milliseconds=5))
    assert len(read()) == 10_500


@pytest.mark.parametrize("ends", [BEGINS + timedelta(seconds=1), BEGINS + timedelta(seconds=3)])
def test_rows_at_the_seam_of_two_parts(litellm: PlayedLiteLLM, ends: datetime) -> None:
    for _ in range(600):
        for second in range(4):
            litellm.add(BEGINS + timedelta(seconds=second))
    wanted = sum(began(row) <= ends for row in litellm.rows)
    assert len(read(ends=ends)) == wanted


def test_a_key_that_litellm_does_not_take(litellm: PlayedLiteLLM) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        read("sk-another")
    assert litellm.asked == []


def test_an_answer_in_another_form_is_not_taken_for_an_empty_book(litellm: PlayedLiteLLM) -> None:
    litellm.add(BEGINS)
    del litellm.rows[0]["spend"]
    with pytest.raises(KeyError):
        read()
