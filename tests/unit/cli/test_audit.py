"""``praxis audit``: what it says of a chain in order, a broken one and one that it cannot look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from typer.testing import CliRunner, Result

from config import load_stack
from infra.cli import audit, containers
from infra.cli.main import app
from infra.custody import new_chain_key, open_store
from infra.paths import STACKS, StackFolder, stack_folder
from runtime import receipt
from runtime.chain import START, Draft, Event, Head, Signer, public_key
from runtime.chain import main as verify_offline
from runtime.store import Store

TRACE = "a" * 32
RECORD = {"trace": TRACE, "state": "admitted", "sub": "s", "name": "alice", "time": "t", "ended": None, "reason": None}


class Operator:
    """A machine with a stack's folder, and a custodian that answers what the test gives it."""

    def __init__(self, folder: StackFolder, store: Store, outside: respx.MockRouter) -> None:
        self.folder = folder
        self.store = store
        self.chain: list[Event] = []
        self.record: dict[str, Any] | None = None
        self.page = 1000
        self.down = self.old = False
        outside.route(host="127.0.0.1").mock(side_effect=self.answer)
        self.append(Draft("begun", {"earlier_records": 0}))

    @property
    def signer(self) -> Signer:
        return Signer(self.store.get("chain-private-key"))

    def append(self, *drafts: Draft, signer: Signer | None = None) -> None:
        for draft in drafts:
            head = self.chain[-1].head if self.chain else START
            self.chain.append((signer or self.signer).append(head, draft))

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        if request.headers["authorization"] != f"Bearer {self.store.get('custodian-admin-token')}":
            return httpx.Response(401)
        if self.old:
            return httpx.Response(404)
        match request.url.path.removeprefix("/custodian"):
            case "/chain":
                first = int(request.url.params.get("from", 1))
                left = [event for event in self.chain if event.seq >= first]
                page = left[: self.page]
                more = page[-1].seq + 1 if len(left) > self.page else None
                return httpx.Response(200, json={"events": [event.line() for event in page], "next": more})
            case "/chain/head":
                last = self.chain[-1]
                return httpx.Response(200, json={"seq": last.seq, "hash": last.hash, "key": last.key})
            case path if path == f"/records/{TRACE}" and self.record:
                return httpx.Response(200, json=self.record)
        return httpx.Response(404)

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["audit", *arguments])

    def verified(self, *arguments: str) -> Result:
        return self.run("verify", "laptop", *arguments)


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setenv("PRAXIS_HOME", str(tmp_path / "home"))
    store = open_store("laptop", load_stack("laptop", STACKS))
    with respx.mock(assert_all_called=False) as outside:
        yield Operator(stack_folder("laptop"), store, outside)


def some(number: int) -> Sequence[Draft]:
    return [Draft("admitted", {"trace": f"{each:032x}"}) for each in range(number)]


class TestVerify:
    def test_in_order(self, operator: Operator) -> None:
        operator.append(*some(5))
        operator.page = 2
        result = operator.verified()
        assert result.exit_code == 0
        assert result.stdout.startswith("6 events, head 6:")
        assert Head.parse(operator.folder.chain_head.read_text().strip()) == operator.chain[-1].head

    def test_as_json(self, operator: Operator) -> None:
        told = json.loads(operator.verified("--json").stdout)
        assert (told["in_order"], told["events"], told["findings"]) == (True, 1, [])

    def test_a_changed_event(self, operator: Operator) -> None:
        operator.append(*some(5))
        operator.chain[2] = replace(operator.chain[2], time="another")
        result = operator.verified()
        assert result.exit_code == 1
        assert "event 3" in result.stdout
        assert not operator.folder.chain_head.exists()

    @pytest.mark.parametrize("keep", [1, 3])
    def test_what_was_cut_off_since_it_was_last_looked_at(self, operator: Operator, keep: int) -> None:
        operator.append(*some(3))
        assert operator.verified().exit_code == 0
        seen = operator.folder.chain_head.read_text()
        del operator.chain[keep:]
        result = operator.verified()
        assert result.exit_code == 1
        assert f"event {keep + 1}: missing" in result.stdout
        operator.append(*some(9))
        result = operator.verified("--json")
        assert result.exit_code == 1
        assert "replaced" in {each["problem"] for each in json.loads(result.stdout)["findings"]}
        assert operator.folder.chain_head.read_text() == seen, "what was seen once is not forgotten"

    @pytest.mark.parametrize("command", ["verify", "export"])
    def test_what_cannot_be_looked_at_is_not_in_order(self, operator: Operator, command: str) -> None:
        operator.down = True
        assert operator.run(command, "laptop").exit_code == 3

    def test_a_custodian_of_an_older_version(self, operator: Operator) -> None:
        operator.old = True
        assert operator.verified().exit_code == 3

    def test_a_known_head_that_cannot_be_read_is_said(self, operator: Operator) -> None:
        operator.folder.chain_head.write_text("nonsense")
        result = operator.verified()
        assert result.exit_code == 1
        assert "chain-head" in result.stderr


class TestExport:
    def export(self, operator: Operator, tmp_path: Path) -> Path:
        result = operator.run("export", "laptop")
        assert result.exit_code == 0
        file = tmp_path / "chain.jsonl"
        file.write_text(result.stdout, encoding="utf-8")
        return file

    def test_is_verified_with_the_public_key_alone(self, operator: Operator, tmp_path: Path) -> None:
        operator.append(*some(5))
        operator.page = 4
        file, key = self.export(operator, tmp_path), tmp_path / "key.pem"
        key.write_text(operator.run("public-key", "laptop").stdout, encoding="ascii")
        assert verify_offline([str(file), "--key", str(key)]) == 0
        file.write_text(file.read_text().replace("admitted", "refused", 1))
        assert verify_offline([str(file), "--key", str(key)]) == 1

    def test_is_verified_in_place_of_the_stack(self, operator: Operator, tmp_path: Path) -> None:
        operator.append(*some(2))
        file = self.export(operator, tmp_path)
        operator.append(*some(2))
        assert operator.verified().exit_code == 0
        operator.down = True
        result = operator.verified("--from-file", str(file))
        assert result.exit_code == 0
        assert "an older export, or cut" in result.stderr
        assert operator.folder.chain_head.read_text().startswith("5:"), "a file moves nothing"
        file.write_text(file.read_text().replace("admitted", "refused", 1))
        assert operator.verified("--from-file", str(file)).exit_code == 1

    def test_a_file_that_is_not_there(self, operator: Operator, tmp_path: Path) -> None:
        assert operator.verified("--from-file", str(tmp_path / "none")).exit_code == 2


class TestReceipt:
    def told(self, operator: Operator) -> tuple[int, dict[str, Any]]:
        result = operator.run("receipt", "laptop", TRACE)
        return result.exit_code, json.loads(result.stdout)

    def recorded(self, operator: Operator) -> None:
        operator.append(Draft("admitted", {"trace": TRACE, "sub": "s"}))
        operator.record = {**RECORD, "chain": [operator.chain[-1].line()]}

    def test_shows_the_event_and_what_it_proves(
        self, operator: Operator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.recorded(operator)
        code, told = self.told(operator)
        (event,), last = told["chain"], operator.chain[-1]
        assert code == 0
        assert (event["seq"], event["hash"], event["signature"]) == (last.seq, last.hash, last.signature)
        assert told["proof"] == {"in_order": True, "findings": []}
        kept, key = tmp_path / "receipt.json", tmp_path / "key.pem"
        kept.write_text(json.dumps(told))
        key.write_text(operator.store.get("chain-public-key"))
        assert receipt.main([str(kept), "--key", str(key)]) == 0
        kept.write_text(json.dumps({**told, "sub": "another"}))
        assert receipt.main([str(kept), "--key", str(key)]) == 1
        kept.write_text("[]")
        assert receipt.main([str(kept), "--key", str(key)]) == 2

    @pytest.mark.parametrize(
        "change",
        [
            lambda record: {**record, "sub": "another"},
            lambda record: {**record, "chain": []},
            lambda record: {**record, "chain": ["} nonsense"]},
            lambda record: {**record, "chain": [record["chain"][0].replace('"sub":"s"', '"sub":"t"')]},
        ],
    )
    def test_of_a_record_that_is_not_proven(
        self, operator: Operator, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> None:
        self.recorded(operator)
        assert operator.record
        operator.record = change(operator.record)
        code, told = self.told(operator)
        assert (code, told["proof"]["in_order"]) == (1, False)

    def test_of_a_time_before_a_new_key(self, operator: Operator) -> None:
        self.recorded(operator)
        old = operator.signer
        new_chain_key(operator.store, load_stack("laptop", STACKS))
        assert self.told(operator)[0] == 1, "nothing is signed with the new key yet"
        operator.append(Draft("key-changed", {"public_key": operator.signer.public}), signer=old)
        operator.append(Draft("key-confirmed"))
        assert self.told(operator)[0] == 0

    def test_of_nothing(self, operator: Operator) -> None:
        result = operator.run("receipt", "laptop", TRACE)
        assert (result.exit_code, result.stdout) == (1, "")


class TestNewKey:
    @pytest.fixture
    def restarted(self, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The custodian does at its start what it does at its start."""
        services: list[str] = []

        def restart(_: str, service: str) -> None:
            services.append(service)
            change = Draft("key-changed", {"public_key": operator.signer.public})
            operator.append(change, signer=Signer(operator.store.get("chain-retired-key")))
            operator.append(Draft("key-confirmed"))

        monkeypatch.setattr(containers, "restart", restart)
        monkeypatch.setattr(audit, "DELIVERY_S", 0.0)
        return services

    def test_twice(self, operator: Operator, restarted: list[str]) -> None:
        keys = {operator.signer.public}
        for _ in range(2):
            assert operator.run("new-key", "laptop").exit_code == 0
            keys.add(operator.signer.public)
            assert operator.verified().exit_code == 0
        assert len(keys) == 3
        assert restarted == ["custodian"] * 2
        assert public_key(operator.store.get("chain-public-key")) == operator.signer.public

    def test_not_while_the_one_before_is_not_in_use(self, operator: Operator, restarted: list[str]) -> None:
        new_chain_key(operator.store, load_stack("laptop", STACKS))
        key = operator.signer.public
        result = operator.run("new-key", "laptop")
        assert (result.exit_code, operator.signer.public, restarted) == (1, key, [])

    def test_not_while_the_custodian_is_away(self, operator: Operator, restarted: list[str]) -> None:
        operator.down, key = True, operator.signer.public
        assert operator.run("new-key", "laptop").exit_code == 3
        assert (operator.signer.public, restarted) == (key, [])
