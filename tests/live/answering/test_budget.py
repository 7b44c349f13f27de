"""Money on the running stack: what is reserved before a request, raised for a time, and raised by hand."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from infra.drift import gateway
from tests.proof import NAME, Proof

AT_ONCE = 50


@pytest.fixture(scope="module")
def dave(proof: Proof) -> str:
    return proof.token("dave", "--kind", "virtual-key")


def standing(proof: Proof, subject: str) -> dict[str, Any]:
    (row,) = json.loads(proof.praxis("budget", "show", NAME, "--as", subject, "--json").stdout)["budgets"]
    found: dict[str, Any] = row
    return found


def test_fifty_at_once_with_money_for_ten(proof: Proof, dave: str) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda number: proof.ask(dave, f"Count to {number}."), range(AT_ONCE)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}, statuses
    assert statuses.count(200) >= 3
    refused = {answer.json()["error"]["code"] for answer in answers if answer.status_code == 429}
    assert refused <= {"budget_reserved", "budget_exceeded"}
    records = [proof.receipt(one.headers["x-praxis-trace-id"]) for one in answers if one.status_code == 200]
    dearest = max(Decimal(record["cost_usd"]) for record in records)
    now = standing(proof, "dave")
    assert Decimal(now["reserved_usd"]) == 0, "every reservation is given back"
    assert Decimal(now["spent_usd"]) == sum(Decimal(record["cost_usd"]) for record in records)
    assert Decimal(now["spent_usd"]) <= Decimal(now["budget_usd"]) + dearest


def test_a_request_that_could_cost_more_than_is_left_is_refused_in_both_dialects(proof: Proof, dave: str) -> None:
    for answer in (proof.ask(dave, "hi", max_tokens=4000), proof.message(dave, "hi", max_tokens=4000)):
        assert (answer.status_code, answer.headers["x-should-retry"]) == (429, "false")
        assert "ask for less" in answer.json()["error"]["message"]


def test_a_large_max_tokens_reserves_no_more_than_the_role_s_measure(proof: Proof, alice: str) -> None:
    """Programs ask for far more than they use: 50 USD would not be enough for this one."""
    assert proof.ask(alice, "Say yes.", max_tokens=1_000_000_000, stop=["."]).status_code in (200, 400)
    assert proof.message(alice, "Say yes.", max_tokens=64_000, stop_sequences=["."]).status_code == 200


def test_a_raise_by_command_is_taken_at_once_and_is_no_drift(proof: Proof, dave: str) -> None:
    assert proof.ask(dave, "hi", max_tokens=4000).status_code == 429
    proof.praxis("budget", "raise", NAME, "--as", "dave", "--usd", "0.01", "--for", "1h", "--why", "a test of it")
    assert proof.ask(dave, "hi", max_tokens=4000, stop=["."]).status_code == 200
    assert standing(proof, "dave")["raised_usd"] == "0.01"
    assert proof.praxis("drift", NAME, check=False).returncode == 0
    events = proof.praxis("audit", "export", NAME).stdout
    assert '"kind":"budget-raised"' in events
    assert json.loads(proof.praxis("audit", "verify", NAME, "--json").stdout)["in_order"]


def test_a_raise_by_hand_is_drift_and_lets_nobody_spend_more(proof: Proof) -> None:
    carol = proof.token("carol", "--kind", "virtual-key")
    assert proof.ask(carol, "hi").status_code == 429
    with gateway.client(proof.stack, proof.store.get("litellm-master-key")) as http:
        live = gateway.read(http)
        (sub,) = (sub for sub, name in gateway.names_of(live).items() if name == "carol")
        (key,) = (key["token"] for key in live.keys if key["user_id"] == sub)
        http.post("/key/update", json={"key": key, "max_budget": 100}).raise_for_status()
    assert proof.ask(carol, "hi").status_code == 429, "the ledger decides"
    drifted = proof.praxis("drift", NAME, "--json", check=False)
    assert drifted.returncode == 7
    (found,) = json.loads(drifted.stdout)["findings"]
    assert (found["resource"], found["path"], found["live"]) == ("litellm/user/carol", "budget.usd", "100")
    proof.praxis("up", NAME, "--yes")
    assert proof.praxis("drift", NAME, check=False).returncode == 0
