"""LiteLLM's book: its rows of spend, one for each answered request, by a free route of its admin API.

Its sums by day (``/user/daily/activity``) are made of the same requests and name none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from infra.reconcile.books import Item, Sums

PATH = "/spend/logs/v2"
PAGE = 1000
"""Rows in one answer; LiteLLM gives no more."""
SECOND = timedelta(seconds=1)
"""LiteLLM takes times to the second, and both ends are in."""
_TRACE = re.compile(r"[0-9a-f]{32}")


def rows(http: httpx.Client, begins: datetime, ends: datetime) -> Iterator[Item]:
    """Every row of requests that LiteLLM began from ``begins`` to ``ends``, each once.

    A span that holds more than a page is cut in two: pages are in no order that holds while rows are written.

    Raises:
        httpx.HTTPError: it does not answer, or refuses.
        KeyError, ValueError, TypeError: it answers otherwise than it does now.
    """
    seen: set[str] = set()
    for row in _span(http, begins, ends):
        item = _item(row)
        if item.id not in seen:
            seen.add(item.id)
            yield item


def _span(http: httpx.Client, begins: datetime, ends: datetime) -> Iterator[Mapping[str, Any]]:
    first = _page(http, begins, ends, 1)
    if first["total"] <= PAGE:
        yield from first["data"]
        return
    half = ((ends - begins) / 2) // SECOND * SECOND
    if half:
        yield from _span(http, begins, begins + half)
        yield from _span(http, begins + half, ends)
        return
    page, number = first, 1
    while page["data"]:  # more than a page in one second; the total is counted to a limit
        yield from page["data"]
        number += 1
        page = _page(http, begins, ends, number)


def _page(http: httpx.Client, begins: datetime, ends: datetime, number: int) -> Any:
    span = {"start_date": f"{begins.astimezone(UTC):%F %T}", "end_date": f"{ends.astimezone(UTC):%F %T}"}
    answer = http.get(PATH, params={**span, "page": number, "page_size": PAGE, "sort_order": "asc"})
    answer.raise_for_status()
    return answer.json(parse_float=Decimal)


def _item(row: Mapping[str, Any]) -> Item:
    call = str(row.get("litellm_call_id") or "")
    began = datetime.fromisoformat(row["startTime"])
    return Item(
        id=str(row["request_id"]),
        trace=call if _TRACE.fullmatch(call) else None,  # a row of before our gate gave it one has LiteLLM's own
        subject=str(row.get("user") or ""),
        time=began if began.tzinfo else began.replace(tzinfo=UTC),
        took=Sums(
            requests=1,
            input_tokens=int(row["prompt_tokens"]),
            output_tokens=int(row["completion_tokens"]),
            usd=Decimal(row["spend"]),
        ),
    )
