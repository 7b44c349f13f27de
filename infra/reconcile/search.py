"""Searches the trace store from inside its container, where alone its API is reached; runs by ``python3 -I -c``, so it
needs nothing but the standard library. Reads ``{"url", "experiment", "begins_ms", "ends_ms"}`` from stdin.

Prints one line of JSON for each trace: id, time, user, tokens, cost. No word of a prompt or an answer leaves the store.
"""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

PAGE = 500
"""Traces in one answer; MLflow gives no more."""
TIMEOUT_S = 120.0

Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Posts a search, returns its answer. Raises ``OSError`` when there is none, ``ValueError`` when it is no JSON."""


def traces(ask: Ask, experiment: str, begins_ms: int, ends_ms: int) -> Iterator[dict[str, Any]]:
    """Every trace that began from ``begins_ms`` to before ``ends_ms`` (since 1970), by time."""
    wanted: dict[str, Any] = {
        "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}],
        "filter": f"timestamp_ms >= {begins_ms} AND timestamp_ms < {ends_ms}",
        "order_by": ["timestamp_ms ASC"],
        "max_results": PAGE,
    }
    while True:
        page = ask(wanted)
        yield from map(without_content, page.get("traces") or [])
        if not page.get("next_page_token"):
            return
        wanted["page_token"] = page["next_page_token"]


def without_content(trace: dict[str, Any]) -> dict[str, Any]:
    """What is told of a trace; ``None`` for what it does not have."""
    metadata = trace.get("trace_metadata") or {}
    usage, cost = (json.loads(metadata.get(f"mlflow.trace.{name}") or "null") for name in ("tokenUsage", "cost"))
    return {
        "id": trace["trace_id"],
        "time": trace["request_time"],
        "user": metadata.get("mlflow.trace.user") or "",
        "tokens": [usage.get("input_tokens") or 0, usage.get("output_tokens") or 0] if usage else None,
        "usd": repr(cost["total_cost"]) if cost and "total_cost" in cost else None,
    }


def main() -> None:
    """Search, and print."""
    asked = json.load(sys.stdin)
    opener = build_opener(ProxyHandler({}))

    def ask(body: dict[str, Any]) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        request = Request(asked["url"], json.dumps(body).encode(), headers)  # noqa: S310 - the store's own address
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            said: dict[str, Any] = json.load(answer)
            return said

    for line in traces(ask, asked["experiment"], asked["begins_ms"], asked["ends_ms"]):
        print(json.dumps(line))


if __name__ == "__main__":
    main()
