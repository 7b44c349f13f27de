"""``./praxis budget reconcile``: what it asks, what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import respx
from typer.testing import CliRunner, Result

from config import load_stack
from infra.cli import reconcile as command
from infra.cli.console import CommandError, Exit
from infra.cli.loading import Loaded
from infra.cli.main import app
from infra.custody import open_store
from infra.paths import STACKS
from infra.reconcile import looking, traces
from runtime.store import Store
from tests.stacks import full

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
NOON = datetime(YESTERDAY.year, YESTERDAY.month, YESTERDAY.day, 12, tzinfo=UTC)


class Machine:
    """A stack's three books. ``records`` is the ledger's, page by page."""

    def __init__(self, store: Store, outside: respx.MockRouter) -> None:
        self.store = store
        self.records: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.traces: list[dict[str, Any]] = []
        self.away: set[str] = set()
        self.asked: list[str] = []
        outside.route(host="127.0.0.1").mock(side_effect=self.answer)

    def request(self, number: int, name: str = "alice", **changes: Any) -> str:
        """A request that all books have; its trace."""
        trace, sub = f"{number:032x}", f"sub-of-{name}"
        self.records.append(
            {
                **{"trace": trace, "state": "settled", "sub": sub, "name": name, "payer": "company", "status": 200},
                **{"reason": None, "time": NOON.isoformat(), "ended": (NOON + timedelta(seconds=2)).isoformat()},
                **{"input_tokens": 7, "output_tokens": 3, "cost_usd": "0.000066", **changes},
            }
        )
        self.rows.append(
            {
                **{"request_id": f"chatcmpl-{number}", "litellm_call_id": trace, "user": sub, "spend": 6.6e-05},
                **{"startTime": NOON.isoformat(), "prompt_tokens": 7, "completion_tokens": 3},
            }
        )
        self.traces.append(
            {"id": f"tr-{trace}", "time": NOON.isoformat(), "user": name, "tokens": [7, 3], "usd": "6.6e-05"}
        )
        return trace

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        name, key = {
            "/custodian/ledger": ("custodian", "custodian-admin-token"),
            "/litellm/spend/logs/v2": ("litellm", "litellm-master-key"),
        }[request.url.path]
        if name in self.away:
            raise httpx.ConnectError("down")
        assert request.headers["authorization"] == f"Bearer {self.store.get(key)}"
        if name == "litellm":
            return httpx.Response(200, json={"data": self.rows, "total": len(self.rows)})
        first = int(request.url.params.get("after") or 0)
        page = self.records[first : first + 2]
        more = {"from": NOON.isoformat(), "after": str(first + 2)} if len(page) == 2 else None
        return httpx.Response(200, json={"entries": page, "next": more})

    def run_in(self, stack: str, service: str, program: list[str], stdin: str = "") -> str:
        self.asked.append(service)
        if "traces" in self.away:
            raise CommandError("'mlflow' of stack 'laptop' does not run")
        return "".join(json.dumps(one) + "\n" for one in self.traces)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["budget", "reconcile", "laptop", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    store = open_store("laptop", load_stack("laptop", STACKS))
    with respx.mock(assert_all_called=False) as outside:
        made = Machine(store, outside)
        monkeypatch.setattr(traces, "run_in", made.run_in)
        yield made


def test_books_that_agree_are_0(machine: Machine) -> None:
    for number, name in enumerate(("alice", "alice", "bob", "alice", "bob")):
        machine.request(number, name)
    done = machine.run()
    assert done.exit_code == 0, done.output
    assert f"the books of {YESTERDAY} agree about 2 subjects" in done.stderr
    assert "3 requests" in done.stdout
    assert "0.000198 USD" in done.stdout
    assert machine.asked.index("/custodian/ledger") == 0, "the ledger first"


def test_a_day_without_requests(machine: Machine) -> None:
    assert machine.run("--day", "2026-01-31").exit_code == 0


def test_books_that_disagree_are_7_and_the_trace_is_named(machine: Machine) -> None:
    machine.request(1, "bob")
    trace = machine.request(2)
    machine.rows[1]["spend"] = 1.5
    done = machine.run()
    assert done.exit_code == 7
    assert trace in done.stdout
    assert "1.5 USD" in done.stdout  # a narrow screen breaks the line before it
    assert "disagree about 1 requests of 1 subjects" in done.stderr


def test_as_json_by_its_schema(machine: Machine) -> None:
    own = machine.request(1, payer="user")
    machine.request(2)
    machine.request(3, status=503, reason="upstream_error", input_tokens=0, output_tokens=0, cost_usd="0")
    del machine.rows[2], machine.traces[0]
    done = machine.run("--json", "--day", YESTERDAY.isoformat())
    assert done.exit_code == 7
    told = json.loads(done.stdout)
    jsonschema.validate(told, command.schema())
    assert (told["version"], told["stack"], told["day"], told["unfinished"]) == (1, "laptop", str(YESTERDAY), False)
    (alice,) = told["lines"]
    assert alice["ledger"]["company"] == {"requests": 2, "input_tokens": 7, "output_tokens": 3, "usd": "0.000066"}
    assert alice["ledger"]["notional"]["usd"] == "0.000066"
    assert alice["litellm"]["explained"] == {"not answered": 1}
    assert (alice["difference_requests"], alice["difference_usd"], alice["verdict"]) == (-1, "0", "differs")
    findings = [(one["book"], one["kind"], one["trace"]) for one in told["findings"]]
    assert findings == [("traces", "different", machine.records[2]["trace"]), ("traces", "missing", own)]


def test_what_the_company_does_not_pay_is_shown_apart(machine: Machine) -> None:
    machine.request(1, payer="user")
    shown = machine.run().stdout
    assert "0 requests" in shown
    assert "1 notional" in shown


def test_more_than_twenty_are_counted(machine: Machine) -> None:
    for number in range(30):
        machine.request(number)
    machine.rows.clear()
    done = machine.run()
    assert done.exit_code == 7
    assert "and 10 more" in done.stderr
    assert "disagree about 30 requests" in done.stderr


def test_one_subject_alone(machine: Machine) -> None:
    for number in range(30):
        machine.request(number)
    machine.rows.clear()
    machine.request(30, "zoe")  # of a directory: in no stack file
    assert machine.run("--as", "zoe").exit_code == 0
    done = machine.run("--as", "alice", "--json")
    assert done.exit_code == 7
    assert {one["subject"] for one in json.loads(done.stdout)["lines"]} == {"alice"}
    assert machine.run("--as", "bob").exit_code == 0, "declared, and has asked nothing"


def test_nobody_of_that_name(machine: Machine) -> None:
    done = machine.run("--as", "mallory")
    assert (done.exit_code, "mallory" in done.stderr) == (2, True)


@pytest.mark.parametrize(("book", "said"), [("litellm", "LiteLLM's spend: ConnectError"), ("traces", "does not run")])
def test_a_book_that_cannot_be_looked_at_is_3(machine: Machine, book: str, said: str) -> None:
    machine.request(1)
    machine.away.add(book)
    done = machine.run()
    assert done.exit_code == 3
    assert "could not look at" in done.stderr
    assert said in done.stderr
    assert "agree about" not in done.stderr


def test_what_was_found_counts_before_what_was_not_seen(machine: Machine) -> None:
    machine.request(1)
    machine.rows.clear()
    machine.away.add("traces")
    assert machine.run().exit_code == 7


def test_without_the_ledger_nothing_is_compared(machine: Machine) -> None:
    machine.away.add("custodian")
    done = machine.run()
    assert (done.exit_code, machine.asked) == (3, ["/custodian/ledger"])


def test_an_answer_that_is_none_is_not_seen(machine: Machine) -> None:
    machine.request(1)
    del machine.rows[0]["spend"]
    done = machine.run()
    assert (done.exit_code, "KeyError" in done.stderr) == (3, True)


def test_langfuse_is_said_not_to_be_compared(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.request(1)
    machine.traces.clear()
    loaded = Loaded("laptop", full(), None)  # type: ignore[arg-type]  # its folder is not asked for
    monkeypatch.setattr(Loaded, "store", lambda _: machine.store)
    report = looking.look(loaded, command.asked_day(None, datetime.now(UTC)))
    assert (report.traces.state, "Langfuse" in report.traces.why) == ("not compared", True)
    assert command.verdict(report) is Exit.OK
    assert "mlflow" not in machine.asked


def test_today_is_said_to_go_on(machine: Machine) -> None:
    done = machine.run("--day", TODAY.isoformat(), "--json")
    assert done.exit_code == 0
    assert f"{TODAY} is not over" in done.stderr
    assert json.loads(done.stdout)["unfinished"] is True


@pytest.mark.parametrize(
    "bad",
    [
        "yesterday",
        "",
        "2026-13-01",
        "2026-02-30",
        "20260301",
        "2026-W09-7",
        "2026-3-1",
        "2026-03-01T00:00",
        "\u0662026-03-01",
    ],
)
def test_what_is_no_date_asks_nobody(machine: Machine, bad: str) -> None:
    done = machine.run("--day", bad)
    assert (done.exit_code, machine.asked) == (2, [])
    assert "--day" in done.stderr


def test_a_day_in_the_future_asks_nobody(machine: Machine) -> None:
    done = machine.run("--day", (TODAY + timedelta(days=2)).isoformat())
    assert (done.exit_code, machine.asked) == (2, [])
    assert "in the future" in done.stderr


def test_the_day_before_is_the_one_before_in_utc() -> None:
    assert command.asked_day(None, datetime(2026, 3, 1, 0, 0, 1, tzinfo=UTC)).date == date(2026, 2, 28)
