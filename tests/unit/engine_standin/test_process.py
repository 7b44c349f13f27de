"""How the engine starts, outlives its database and ends; and the migrations."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.engine_standin.harness import (
    MIGRATIONS,
    SCHEMA,
    Database,
    Engine,
    PrismaError,
    free_port,
    migrate,
    wait_until,
)


@pytest.fixture
def own_engine(engine_folder: Path, database: Database) -> Iterator[Engine]:
    """An engine that a test may end."""
    engine = Engine(engine_folder, {**database.environment, "PRAXIS_DB_PATIENCE": "1"})
    try:
        wait_until(engine.ready, 10, "the engine")
        yield engine
    finally:
        engine.close()


def answers(engine: Engine) -> bool:
    """Whether a query gets through."""
    try:
        return bool(engine.raw("SELECT 1")["rows"] == [[1]])
    except PrismaError:
        return False


def test_version_is_what_the_client_expects(engine_folder: Path) -> None:
    said = subprocess.run([engine_folder / "query-engine", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == "query-engine 393aa359c9ad4a4bb28630fb5613f9c281cde053\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["-p", "none"], {}, "not a port"),
        (["--nonsense"], {}, "usage"),
        (["-p", "1234"], {}, "PRISMA_DML_PATH"),
        (["-p", "1234"], {"PRISMA_DML_PATH": "/nowhere"}, "/nowhere"),
        (["-p", "1234"], {"PRISMA_DML_PATH": str(SCHEMA), "PRAXIS_DB_POOL": "many"}, "PRAXIS_DB_POOL"),
    ],
)
def test_bad_start_is_one_message(
    engine_folder: Path, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    done = subprocess.run(
        [engine_folder / "query-engine", *arguments],
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )
    assert done.returncode == 1
    assert expected in done.stderr


def test_database_restart(own_engine: Engine, database: Database) -> None:
    caught: list[PrismaError] = []

    def long_query() -> None:
        try:
            own_engine.raw("SELECT pg_sleep(30)::text")
        except PrismaError as failure:
            caught.append(failure)

    transaction = own_engine.post("/transaction/start", {"timeout": 60000, "max_wait": 2000})["id"]
    own_engine.raw("SELECT 1")
    under_way = threading.Thread(target=long_query)
    under_way.start()
    time.sleep(0.5)
    database.stop()
    under_way.join(10)
    assert not under_way.is_alive()
    # Cut in flight: LiteLLM knows such a failure by the server's words or by "connection closed".
    assert any(words in caught[0].message for words in ("terminating connection", "connection closed"))

    with pytest.raises(PrismaError) as refused:
        own_engine.raw("SELECT 1")
    assert refused.value.code == "P1001"
    assert "Can't reach database server" in refused.value.message
    with pytest.raises(PrismaError):
        own_engine.post("/transaction/start", {"timeout": 5000, "max_wait": 2000})

    database.start()
    assert own_engine.raw("SELECT 1")["rows"] == [[1]]
    with pytest.raises(PrismaError):
        own_engine.post(f"/transaction/{transaction}/commit")
    assert own_engine.process.poll() is None


def test_restart_is_waited_out(engine: Engine, database: Database) -> None:
    database.stop()
    later = threading.Timer(2, database.start)
    later.start()
    transaction = engine.post("/transaction/start", {"timeout": 5000, "max_wait": 500})["id"]
    assert engine.raw("SELECT 1")["rows"] == [[1]]
    engine.post(f"/transaction/{transaction}/commit")
    later.join()


def test_many_short_restarts(own_engine: Engine, database: Database) -> None:
    for _ in range(3):
        database.restart()
        wait_until(lambda: answers(own_engine), 5, "a query after a restart")
    assert own_engine.process.poll() is None


def test_password_is_read_anew(engine_folder: Path, database: Database, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("wrong")
    engine = Engine(engine_folder, {**database.environment, "PRAXIS_DB_PASSWORD_FILE": str(password)})
    try:
        wait_until(lambda: engine.process.poll() is not None or "Errors" in status(engine), 5, "a first answer")
        with pytest.raises(PrismaError) as refused:
            engine.raw("SELECT 1")
        assert refused.value.code == "P1000"
        assert not engine.ready()
        password.write_text(database.password_file.read_text())
        wait_until(engine.ready, 5, "the engine with the right password")
        assert answers(engine)
    finally:
        engine.close()


def status(engine: Engine) -> str:
    """The text of /status, empty while nothing listens."""
    try:
        return engine.client.get("/status").text
    except Exception:
        return ""


def test_busy_pool_is_said_as_such(engine_folder: Path, database: Database) -> None:
    engine = Engine(engine_folder, {**database.environment, "PRAXIS_DB_POOL": "1"})
    try:
        wait_until(engine.ready, 10, "the engine")
        transaction = engine.post("/transaction/start", {"timeout": 30000, "max_wait": 2000})["id"]
        with pytest.raises(PrismaError) as refused:
            engine.raw("SELECT 1")
        assert refused.value.code == "P2024"
        engine.post(f"/transaction/{transaction}/rollback")
        assert answers(engine)
    finally:
        engine.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_when_told(own_engine: Engine, number: signal.Signals) -> None:
    assert answers(own_engine)
    own_engine.process.send_signal(number)
    assert own_engine.process.wait(5) == 0


def test_ends_with_its_parent(engine_folder: Path, database: Database) -> None:
    start = '"$0" -p "$1" & echo $! && wait'
    environment = {"PATH": os.environ["PATH"], "PRISMA_DML_PATH": str(SCHEMA)} | dict(database.environment)
    parent = subprocess.Popen(
        ["sh", "-c", start, str(engine_folder / "query-engine"), str(free_port())],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    child = Path("/proc") / parent.stdout.readline().strip()
    # At once: Node itself has not asked for its parent yet.
    wait_until(lambda: "engine.mjs" in (child / "cmdline").read_text(), 5, "Node")
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not child.exists(), 15, "the end of the engine")


def test_metrics(own_engine: Engine) -> None:
    assert answers(own_engine)
    metrics = own_engine.client.get("/metrics", params={"format": "json"}).json()
    assert {each["key"]: each["value"] for each in metrics["counters"]}["prisma_client_queries_total"] == 1
    text = own_engine.client.get("/metrics", params={"format": "prometheus"}).text
    assert "prisma_client_queries_total 1\n" in text


def test_migrations_are_applied_once(engine_folder: Path, database: Database) -> None:
    again = migrate(engine_folder, database)
    assert again.stdout == "migrations: 0 applied, 3 were there\n"
    assert database.sql("SELECT string_agg(name, ',' ORDER BY applied) FROM praxis_migration") == ",".join(
        sorted(each.name for each in MIGRATIONS.iterdir())
    )


def test_migrations_go_on_after_a_failure(engine_folder: Path, database: Database, tmp_path: Path) -> None:
    second = tmp_path / "2_second" / "migration.sql"
    for name, text in (("1_first", "CREATE TABLE one (id int)"), ("2_second", "CREATE TABLE two (id int); oh no")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "migration.sql").write_text(text)
    failed = migrate(engine_folder, database, tmp_path)
    assert failed.returncode == 1
    assert "2_second" in failed.stderr
    assert database.sql("SELECT to_regclass('one') IS NOT NULL, to_regclass('two') IS NULL") == "t|t"
    second.write_text("CREATE TABLE two (id int)")
    assert migrate(engine_folder, database, tmp_path).stdout == "migrations: 1 applied, 1 were there\n"
    database.sql("DROP TABLE one, two; DELETE FROM praxis_migration WHERE name IN ('1_first', '2_second')")


def test_two_who_migrate_wait_for_each_other(engine_folder: Path, database: Database, tmp_path: Path) -> None:
    (tmp_path / "1_slow").mkdir()
    (tmp_path / "1_slow" / "migration.sql").write_text("SELECT pg_sleep(1); CREATE TABLE slow (id int)")
    results: list[str] = []
    both = [
        threading.Thread(target=lambda: results.append(migrate(engine_folder, database, tmp_path).stdout)) for _ in "12"
    ]
    for each in both:
        each.start()
    for each in both:
        each.join(30)
    assert sorted(results) == ["migrations: 0 applied, 1 were there\n", "migrations: 1 applied, 0 were there\n"]
    database.sql("DROP TABLE slow; DELETE FROM praxis_migration WHERE name = '1_slow'")
