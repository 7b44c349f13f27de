"""A day's books on the running stack: real requests in all three, and what is changed by hand in one of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.live.answering.test_requests import AWS_KEY
from tests.proof import NAME, Proof
from tests.waiting import eventually

PATIENCE_S = 240.0
"""What has just ended is missed nowhere yet; after two minutes it is."""
STREAM: dict[str, Any] = {"stream": True}
pytestmark = pytest.mark.timeout(900)

Asked = dict[str, list[str]]
"""Subject -> traces of its requests that were answered."""


@pytest.fixture(scope="module")
def day() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.fixture(scope="module")
def asked(proof: Proof, day: str) -> Asked:
    """Requests in both dialects, whole and streamed. One more of ivan's was refused."""
    ivan, judy = (proof.token(name, "--kind", "virtual-key") for name in ("ivan", "judy"))
    answers = {
        "ivan": [send(ivan, "Say hello.", **how) for send in (proof.ask, proof.message) for how in ({}, STREAM)],
        "judy": [proof.ask(judy, "Say hello."), proof.message(judy, "Say hello.")],
    }
    assert {one.status_code for each in answers.values() for one in each} == {200}
    assert proof.ask(ivan, f"my key is {AWS_KEY}, keep it").status_code == 400
    return {name: [one.headers["x-praxis-trace-id"] for one in each] for name, each in answers.items()}


def reconciled(proof: Proof, day: str, subject: str) -> subprocess.CompletedProcess[str]:
    return proof.praxis("budget", "reconcile", NAME, "--day", day, "--as", subject, "--json", check=False)


def line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    (only,) = json.loads(done.stdout)["lines"]
    found: dict[str, Any] = only
    return found


def findings(done: subprocess.CompletedProcess[str]) -> set[tuple[str, str, str]]:
    """Book, kind and trace of each."""
    return {(one["book"], one["kind"], one["trace"]) for one in json.loads(done.stdout)["findings"]}


def container(service: str) -> Container:
    return docker.from_env().containers.get(f"praxis-{NAME}-{service}")


def sql(database: str, statement: str) -> str:
    code, said = container("postgres").exec_run(["psql", "-U", "postgres", "-d", database, "-tAc", statement])
    assert isinstance(said, bytes)
    assert code == 0, said
    return said.decode().strip()


@contextmanager
def changed(database: str, table: str, key: str, column: str, to: str) -> Iterator[None]:
    """One column of one row has another value for a while. ``key``: a condition; ``to``: an expression."""

    def put(value: str) -> None:
        assert sql(database, f"UPDATE {table} SET {column} = {value} WHERE {key}") == "UPDATE 1"  # noqa: S608 - of this file

    before = sql(database, f"SELECT {column} FROM {table} WHERE {key}")  # noqa: S608 - of this file
    assert before, "there is such a row"
    put(to)
    try:
        yield
    finally:
        put(f"'{before}'")


def in_litellm(trace: str, column: str, to: str) -> Any:
    return changed("litellm", '"LiteLLM_SpendLogs"', f"litellm_call_id = '{trace}'", column, to)


@pytest.fixture
def agreed(proof: Proof, day: str, asked: Asked) -> Asked:
    """The same as ``asked``, once every request is in every book."""

    def all_there() -> bool:
        for subject, traces in asked.items():
            done = reconciled(proof, day, subject)
            assert done.returncode == 0, done.stdout
            found = line(done)
            if not all(found[book]["company"]["requests"] == len(traces) for book in ("litellm", "traces")):
                return False
        return True

    eventually(all_there, PATIENCE_S, every_s=5)
    return asked


def test_all_books_come_to_the_same(proof: Proof, day: str, agreed: Asked) -> None:
    for subject, traces in agreed.items():
        found = line(reconciled(proof, day, subject))
        ledger = found["ledger"]["company"]
        assert (found["verdict"], ledger["requests"]) == ("agrees", len(traces))
        assert ledger["input_tokens"] > 0
        for book in ("litellm", "traces"):
            assert {**found[book]["company"], "usd": ""} == {**ledger, "usd": ""}
            assert float(found[book]["company"]["usd"]) == pytest.approx(float(ledger["usd"]), abs=1e-8)
    ivan = line(reconciled(proof, day, "ivan"))
    assert ivan["traces"]["explained"] == {"refused": 1}, "a refusal by the gate has a trace, and is in no sum"
    assert (ivan["litellm"]["explained"], ivan["difference_requests"]) == ({}, 0)


def test_a_changed_cost_in_litellm_is_named(proof: Proof, day: str, agreed: Asked) -> None:
    trace = agreed["ivan"][1]
    with in_litellm(trace, "spend", "spend + 1"):
        done = reconciled(proof, day, "ivan")
        assert (done.returncode, findings(done)) == (7, {("litellm", "different", trace)})
        assert reconciled(proof, day, "judy").returncode == 0
        shown = proof.praxis("budget", "reconcile", NAME, "--day", day, "--as", "ivan", check=False)
        assert (shown.returncode, trace in shown.stdout) == (7, True)
    assert reconciled(proof, day, "ivan").returncode == 0


def test_changed_tokens_in_the_ledger_are_named_in_both_books(proof: Proof, day: str, agreed: Asked) -> None:
    trace = agreed["judy"][0]
    with changed("custodian", "record", f"trace = '{trace}'", "output_tokens", "output_tokens + 5"):
        done = reconciled(proof, day, "judy")
        both = {("litellm", "different", trace), ("traces", "different", trace)}
        assert (done.returncode, findings(done)) == (7, both)
    assert reconciled(proof, day, "judy").returncode == 0


def test_a_row_that_was_moved_away_is_missed(proof: Proof, day: str, agreed: Asked) -> None:
    trace = agreed["ivan"][2]
    with in_litellm(trace, '"startTime"', "\"startTime\" - interval '2 days'"):
        eventually(lambda: reconciled(proof, day, "ivan").returncode == 7, PATIENCE_S, every_s=10)
        assert findings(reconciled(proof, day, "ivan")) == {("litellm", "missing", trace)}
    assert reconciled(proof, day, "ivan").returncode == 0


def test_everybody_s_day_is_read(proof: Proof, day: str) -> None:
    """Other tests kill parts on purpose, so that books may well disagree; but each is looked at."""
    done = proof.praxis("budget", "reconcile", NAME, "--day", day, "--json", check=False)
    assert done.returncode in (0, 7), done.stderr
    told = json.loads(done.stdout)
    assert (told["litellm"]["state"], told["traces"]["state"]) == ("compared", "compared")


def test_a_trace_store_that_is_away_is_not_seen(proof: Proof, day: str, agreed: Asked) -> None:
    mlflow = container("mlflow")
    mlflow.stop(timeout=10)
    try:
        assert reconciled(proof, day, "ivan").returncode == 3
    finally:
        mlflow.start()
        proof.wait_until_ready(240)
    assert reconciled(proof, day, "ivan").returncode == 0
