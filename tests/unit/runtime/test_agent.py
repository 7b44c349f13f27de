"""The secrets agent: fills each service's folder whole or not at all, and again when the store changes."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime.agent import DeliveryError, Receiver, deliver, in_memory, receivers, watch
from runtime.store import Store, StoreError, utc_now

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a tmpfs, as Docker mounts one a service."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="praxis-agent-"))
    yield folder
    shutil.rmtree(folder)


def receiver(folder: Path, files: Mapping[str, str], name: str = "redis", optional: Iterable[str] = ()) -> Receiver:
    made = folder / name
    made.mkdir(mode=0o750, exist_ok=True)
    made.chmod(0o2750)
    return Receiver(name, made, files, frozenset(optional))


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_templates_are_filled_and_ready_is_said(memory: Path) -> None:
    redis = receiver(memory, {"users.acl": "user default on >${redis-password} ~* &* +@all\n", "key.pem": "${key}"})
    pem = "-----BEGIN PRIVATE KEY-----\nabc$${x}\n-----END PRIVATE KEY-----\n"
    deliver([redis], {"redis-password": "p$1", "key": pem, "other": "not asked for"})
    assert content(redis.folder) == {
        "users.acl": "user default on >p$1 ~* &* +@all\n",
        "key.pem": pem,
        ".ready": "",
    }


def test_the_services_group_may_read_and_nobody_else(memory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root to give a folder to another group")
    redis = receiver(memory, {"password": "${p}"})
    os.chown(redis.folder, 61011, 61002)
    redis.folder.chmod(0o2750)
    deliver([redis], {"p": "value"})
    for path in redis.folder.iterdir():
        assert path.stat().st_gid == 61002, "setgid hands the folder's group on"
        assert path.stat().st_mode & 0o7777 == 0o440


def test_a_missing_secret_is_named_and_nothing_is_delivered(memory: Path) -> None:
    first = receiver(memory, {"a": "${a}"}, "first")
    second = receiver(memory, {"b": "${a} ${not-set}"}, "second")
    with pytest.raises(DeliveryError, match="second needs the secret 'not-set'") as caught:
        deliver([first, second], {"a": "value-canary"})
    assert "canary" not in str(caught.value)
    assert content(first.folder) == content(second.folder) == {}


def test_a_disk_is_refused(tmp_path: Path) -> None:
    if in_memory(tmp_path):
        pytest.skip("the temporary folder of this machine is itself in memory")
    with pytest.raises(DeliveryError, match="is not in memory"):
        deliver([receiver(tmp_path, {"a": "${a}"})], {"a": "value"})
    assert content(tmp_path / "redis") == {}


def test_what_is_no_longer_declared_is_taken_away(memory: Path) -> None:
    deliver([receiver(memory, {"old": "${a}", "kept": "${a}"})], {"a": "1"})
    (memory / "redis" / ".kept.partial").write_text("half")
    deliver([receiver(memory, {"kept": "${a}"})], {"a": "2"})
    assert content(memory / "redis") == {"kept": "2", ".ready": ""}


def test_readers_see_the_old_or_the_new_never_a_half(memory: Path) -> None:
    """The file under the name is replaced, not written to: who has it open keeps what it had."""
    redis = receiver(memory, {"a": "${a}"})
    deliver([redis], {"a": "old"})
    with (redis.folder / "a").open() as reading:
        deliver([redis], {"a": "new"})
        assert reading.read() == "old"
    assert (redis.folder / "a").read_text() == "new"


@pytest.mark.parametrize("manifest", ["", "[]", "{}", '{"services": [{"name": "x"}]}', '{"services": 3}'])
def test_a_bad_manifest_is_said(manifest: str) -> None:
    with pytest.raises(DeliveryError, match="manifest"):
        receivers(manifest)


def test_a_stray_dollar_is_said(memory: Path) -> None:
    with pytest.raises(DeliveryError, match="'\\$' that names no secret"):
        deliver([receiver(memory, {"a": "cost: 5$"})], {})


def test_a_corrupt_store_at_the_start_is_an_error(memory: Path, tmp_path: Path) -> None:
    custody = tmp_path / "stack" / "custody"
    Store(custody).set("a", "value")
    (custody / "store.age").chmod(0o644)
    (custody / "store.age").write_bytes(b"broken")
    manifest = _manifest(tmp_path, receiver(memory, {"a": "${a}"}))
    with pytest.raises(StoreError, match="corrupt"):
        watch(custody, manifest)
    assert content(memory / "redis") == {}


class Agent:
    """The agent as a process of its own, run as the container runs it."""

    def __init__(self, custody: Path, manifest: Path, output: Path) -> None:
        self.output = output
        code = (
            "import runtime.agent as a, sys; from pathlib import Path; "
            f"a.CUSTODY, a.MANIFEST, a.POLL_S = Path({str(custody)!r}), Path({str(manifest)!r}), 0.1; a.main()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=REPOSITORY, stderr=output.open("w"), stdout=subprocess.DEVNULL
        )

    def until(self, condition: Any, timeout_s: float = 20) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"did not happen; the agent said: {self.output.read_text()}"
            time.sleep(0.02)

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


def _manifest(folder: Path, *everybody: Receiver) -> Path:
    path = folder / "delivery.json"
    entries = [
        {"name": r.name, "folder": str(r.folder), "files": dict(r.files), "optional": sorted(r.optional)}
        for r in everybody
    ]
    path.write_text(json.dumps({"services": entries}))
    return path


@pytest.fixture
def running(memory: Path, tmp_path: Path) -> Iterator[tuple[Agent, Store, Path]]:
    store = Store(tmp_path / "stack" / "custody")
    store.set("a", "first-canary")
    redis = receiver(memory, {"a": "${a}"})
    agent = Agent(tmp_path / "stack" / "custody", _manifest(tmp_path, redis), tmp_path / "said")
    agent.until((redis.folder / ".ready").exists)
    yield agent, store, redis.folder
    agent.process.kill()
    agent.process.wait()


def test_it_delivers_again_when_the_store_changes(running: tuple[Agent, Store, Path]) -> None:
    agent, store, folder = running
    assert (folder / "a").read_text() == "first-canary"
    store.set("a", "second-canary")
    agent.until(lambda: (folder / "a").read_text() == "second-canary")
    agent.until(lambda: agent.output.read_text().count("delivered to 1 services") == 2)
    assert "canary" not in agent.output.read_text()


def test_a_store_that_breaks_later_leaves_what_was_delivered(
    running: tuple[Agent, Store, Path], tmp_path: Path
) -> None:
    agent, store, folder = running
    path = tmp_path / "stack" / "custody" / "store.age"
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:100])
    agent.until(lambda: "was not delivered" in agent.output.read_text())
    assert (folder / "a").read_text() == "first-canary"
    path.write_bytes(whole)
    store.set("a", "third")
    agent.until(lambda: (folder / "a").read_text() == "third")


def test_it_ends_at_once_when_told_to(running: tuple[Agent, Store, Path]) -> None:
    agent, _, _ = running
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(timeout=5) == 0


def test_it_is_small_and_closed(running: tuple[Agent, Store, Path]) -> None:
    agent, _, _ = running
    assert agent.resident_kib() < 30 * 1024
    # The memory files of a process that is not dumpable belong to root, whoever runs it (proc(5)).
    limits = Path(f"/proc/{agent.process.pid}/limits").read_text()
    assert next(line for line in limits.splitlines() if "core file" in line).split()[4:6] == ["0", "0"]


def test_a_missing_secret_ends_it_with_one_line(memory: Path, tmp_path: Path) -> None:
    Store(tmp_path / "stack" / "custody").set("a", "value-canary")
    manifest = _manifest(tmp_path, receiver(memory, {"b": "${not-set}"}))
    agent = Agent(tmp_path / "stack" / "custody", manifest, tmp_path / "said")
    assert agent.process.wait(timeout=20) == 1
    assert agent.output.read_text() == (
        "secrets agent: redis: secret 'not-set' is not set; set it with: ./praxis secrets set STACK not-set\n"
    )


@pytest.mark.parametrize("state", ["revoked", "expired"])
def test_a_secret_that_may_not_be_used_is_not_delivered(memory: Path, tmp_path: Path, state: str) -> None:
    moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    store = Store(tmp_path / "stack" / "custody", clock=lambda: moment)
    store.set("key", "value-canary", expires=datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC))
    redis = receiver(memory, {"key": "${key}"})
    deliver([redis], store.values())
    if state == "revoked":
        store.revoke("key")
    else:
        moment = datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC)
    with pytest.raises(DeliveryError, match=rf"redis: secret 'key' .*{state}.* secrets set STACK key") as caught:
        deliver([redis], store.values())
    assert "canary" not in str(caught.value)


def test_a_missing_store_ends_it_with_one_line(memory: Path, tmp_path: Path) -> None:
    manifest = _manifest(tmp_path, receiver(memory, {"b": "${b}"}))
    agent = Agent(tmp_path / "nowhere", manifest, tmp_path / "said")
    assert agent.process.wait(timeout=20) == 1
    assert agent.output.read_text().count("\n") == 1
    assert "nowhere" in agent.output.read_text()


class TestAProvidersKey:
    """One that may not be used takes that provider down, and nothing else."""

    @pytest.fixture
    def custodian(self, memory: Path) -> Receiver:
        files = {"own": "${own}", "anthropic": "${anthropic}", "openai": "${openai}"}
        return receiver(memory, files, "custodian", optional=("anthropic", "openai"))

    @pytest.mark.parametrize("state", ["revoked", "expired", "missing"])
    def test_is_left_out_and_said_and_a_stale_one_goes(self, custodian: Receiver, tmp_path: Path, state: str) -> None:
        moment = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
        later = moment + datetime.timedelta(days=1)
        store = Store(tmp_path / "stack" / "custody", clock=lambda: moment)
        store.set("own", "own-canary")
        store.set("openai", "openai-canary")
        if state != "missing":
            store.set("anthropic", "anthropic-canary", expires=later)
            assert deliver([custodian], store.values()) == []
            assert (custodian.folder / "anthropic").read_text() == "anthropic-canary"
        if state == "revoked":
            store.revoke("anthropic")
        moment = later
        (said,) = deliver([custodian], store.values())
        assert said.startswith("left out: custodian: secret 'anthropic' ")
        assert "secrets set STACK anthropic" in said
        assert "canary" not in said
        assert content(custodian.folder) == {"own": "own-canary", "openai": "openai-canary", ".ready": ""}

    def test_comes_back_with_a_new_value(self, custodian: Receiver, tmp_path: Path) -> None:
        store = Store(tmp_path / "stack" / "custody")
        store.set_all({"own": "1", "openai": "2", "anthropic": "3"})
        store.revoke("anthropic")
        assert len(deliver([custodian], store.values())) == 1
        store.set("anthropic", "4")
        assert deliver([custodian], store.values()) == []
        assert (custodian.folder / "anthropic").read_text() == "4"

    def test_is_taken_away_even_when_nothing_can_be_delivered(self, custodian: Receiver) -> None:
        deliver([custodian], {"own": "1", "anthropic": "2", "openai": "3"})
        with pytest.raises(DeliveryError, match="custodian needs the secret 'own'"):
            deliver([custodian], {"openai": "new"})
        assert content(custodian.folder) == {"own": "1", "openai": "3", ".ready": ""}

    def test_what_praxis_makes_itself_stays_all_or_nothing(self, custodian: Receiver) -> None:
        with pytest.raises(DeliveryError, match="custodian needs the secret 'own'"):
            deliver([custodian], {"anthropic": "2", "openai": "3"})
        assert content(custodian.folder) == {}

    def test_goes_when_its_time_is_over_though_the_store_is_the_same(self, custodian: Receiver, tmp_path: Path) -> None:
        store = Store(tmp_path / "stack" / "custody")
        store.set_all({"own": "own-canary", "openai": "openai-canary"})
        store.set("anthropic", "canary", expires=utc_now() + datetime.timedelta(seconds=3))
        agent = Agent(tmp_path / "stack" / "custody", _manifest(tmp_path, custodian), tmp_path / "said")
        try:
            agent.until((custodian.folder / "anthropic").exists)
            agent.until(lambda: not (custodian.folder / "anthropic").exists())
            agent.until(lambda: "left out: custodian: secret 'anthropic' has expired" in agent.output.read_text())
            time.sleep(0.5)  # several looks later it is still said once
            assert agent.output.read_text().count("left out") == 1
            assert (custodian.folder / "openai").read_text() == "openai-canary"
        finally:
            agent.process.kill()
            agent.process.wait()
