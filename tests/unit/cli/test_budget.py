"""``praxis budget``: what it shows of the ledger, what it asks for, and what it says of bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from typer.testing import CliRunner, Result

from config import load_stack
from infra.cli.main import app
from infra.custody import open_store
from infra.paths import STACKS
from runtime.store import Store

ENDS = (datetime.now(UTC) + timedelta(hours=24)).isoformat()
OVER = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
GOOD = ("--as", "alice", "--usd", "10", "--for", "24h", "--why", "the quarter ends")


class Machine:
    """A custodian with a ledger, and a Keycloak that knows alice and the agent."""

    def __init__(self, store: Store, outside: respx.MockRouter) -> None:
        self.store = store
        self.money: dict[str, Any] = {"spending": [], "raises": []}
        self.posted: list[dict[str, Any]] = []
        self.down = False
        outside.route(host="127.0.0.1").mock(side_effect=self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        match request.url.path:
            case "/realms/master/protocol/openid-connect/token":
                return httpx.Response(200, json={"access_token": "t"})
            case "/admin/realms/praxis/users":
                name = request.url.params["username"]
                known = ("alice", "service-account-agent-nightly-report")
                return httpx.Response(200, json=[{"id": f"sub-of-{name}"}] if name in known else [])
        if request.headers["authorization"] != f"Bearer {self.store.get('custodian-admin-token')}":
            return httpx.Response(401)
        if request.url.path == "/custodian/budgets":
            return httpx.Response(200, json=self.money)
        self.posted.append(json.loads(request.content))
        return httpx.Response(201, json={"ends": ENDS})

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["budget", *arguments])


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    store = open_store("laptop", load_stack("laptop", STACKS))
    with respx.mock(assert_all_called=False) as outside:
        yield Machine(store, outside)


def spent(name: str, period: str, usd: str, reserved: str = "0") -> dict[str, str]:
    return {"sub": f"sub-of-{name}", "name": name, "period": period, "spent_usd": usd, "reserved_usd": reserved}


class TestShow:
    def test_each_subject_in_the_period_of_its_budget(self, machine: Machine) -> None:
        machine.money["spending"] = [
            *(spent("alice", "day", "1"), spent("alice", "month", "12.5", "0.5")),
            *(spent("nightly-report", "day", "0.2"), spent("zoe", "month", "3")),
        ]
        machine.money["raises"] = [
            {
                "sub": "sub-of-alice",
                "name": "alice",
                "usd": "10",
                "why": "the quarter ends",
                "begins": OVER,
                "ends": ENDS,
            },
            {"sub": "sub-of-bob", "name": "bob", "usd": "5", "why": "has spent nothing", "begins": OVER, "ends": ENDS},
            {"sub": "sub-of-alice", "name": "alice", "usd": "99", "why": "is over", "begins": OVER, "ends": OVER},
        ]
        told = json.loads(machine.run("show", "laptop", "--json").stdout)
        rows = {row["subject"]: row for row in told["budgets"]}
        assert rows["alice"] == {
            **{"subject": "alice", "period": "month", "budget_usd": "50", "raised_usd": "10"},
            **{"spent_usd": "12.5", "reserved_usd": "0.5", "left_usd": "47"},
        }
        assert (rows["nightly-report"]["spent_usd"], rows["nightly-report"]["left_usd"]) == ("0.2", "0.3")
        assert (rows["bob"]["spent_usd"], rows["bob"]["raised_usd"], rows["bob"]["left_usd"]) == ("0", "5", "25")
        assert (rows["zoe"]["budget_usd"], rows["zoe"]["spent_usd"]) == (None, "3"), "of a directory"
        assert [one["why"] for one in told["raises"]] == ["the quarter ends", "has spent nothing"]

    def test_as_a_table(self, machine: Machine) -> None:
        machine.money["spending"] = [spent("alice", "month", "12.5")]
        shown = machine.run("show", "laptop", "--as", "alice").stdout
        assert "12.5" in shown
        assert "bob" not in shown

    def test_nobody_of_that_name(self, machine: Machine) -> None:
        result = machine.run("show", "laptop", "--as", "mallory")
        assert result.exit_code == 2
        assert "mallory" in result.stderr

    def test_when_the_custodian_is_away(self, machine: Machine) -> None:
        machine.down = True
        assert machine.run("show", "laptop").exit_code == 3


class TestRaise:
    def test_it_is_asked_for_by_the_subject_s_id(self, machine: Machine) -> None:
        result = machine.run("raise", "laptop", *GOOD)
        assert result.exit_code == 0, result.stderr
        body = {"sub": "sub-of-alice", "name": "alice", "usd": "10", "seconds": 86400, "why": "the quarter ends"}
        assert machine.posted == [body]
        assert ENDS in result.stderr

    def test_an_agent_s_is_its_service_account(self, machine: Machine) -> None:
        assert machine.run("raise", "laptop", "--as", "nightly-report", *GOOD[2:]).exit_code == 0
        assert machine.posted[0]["sub"] == "sub-of-service-account-agent-nightly-report"

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            *(("--usd", bad) for bad in ("0", "-5", "ten", "NaN", "Infinity", "1e400000")),
            *(("--for", bad) for bad in ("0h", "tomorrow", "-1h", "1.5h", "32d", "1s")),
            *(("--as", bad) for bad in ("mallory", "")),
            *(("--why", bad) for bad in ("", " ", "x" * 201)),
        ],
    )
    def test_bad_input_asks_nobody(self, machine: Machine, option: str, value: str) -> None:
        arguments = list(GOOD)
        arguments[arguments.index(option) + 1] = value
        result = machine.run("raise", "laptop", *arguments)
        assert result.exit_code == 2, result.output
        assert machine.posted == []

    def test_somebody_whom_keycloak_does_not_know(self, machine: Machine) -> None:
        result = machine.run("raise", "laptop", "--as", "bob", *GOOD[2:])
        assert result.exit_code == 1
        assert "bob" in result.stderr
