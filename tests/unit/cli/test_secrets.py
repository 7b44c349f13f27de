"""The commands on secrets: what they take, what they say, what they refuse; and that they never say a value."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyrage
import pytest
import typer

from infra.cli import values
from infra.cli.console import CommandError, reported
from infra.cli.values import assignments, duration, moment, normalised
from runtime.store import Store, StoreError, utc_now
from tests.unit.cli.conftest import Praxis

KEY = "anthropic-api-key"


def rows(praxis: Praxis) -> dict[str, dict[str, Any]]:
    result = praxis("secrets", "list", "t", "--json")
    assert result.exit_code == 0, result.stderr
    return {row["name"]: row for row in json.loads(result.stdout)}


def test_a_value_comes_by_stdin_file_or_hidden_prompt(
    praxis: Praxis, custody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(custody)
    assert praxis("secrets", "set", "t", KEY, stdin="by stdin\n").exit_code == 0
    assert store.get(KEY) == "by stdin"
    (tmp_path / "key").write_text("by\nfile\n")
    assert praxis("secrets", "set", "t", KEY, "--file", str(tmp_path / "key")).exit_code == 0
    assert store.get(KEY) == "by\nfile"

    terminal = SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True), stderr=sys.stderr)
    monkeypatch.setattr(values, "sys", terminal)
    monkeypatch.setattr(getpass, "getpass", lambda *_, **__: "by prompt")
    assert praxis("secrets", "set", "t", KEY).exit_code == 0
    assert store.get(KEY) == "by prompt"


def test_a_value_as_an_argument_is_wrong_usage(praxis: Praxis) -> None:
    assert praxis("secrets", "set", "t", KEY, "sk-canary").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("set", "t", "Upper"), "x", "cannot name a secret"),
        (("set", "t", KEY), "", "neither empty"),
        (("set", "t", KEY, "--file", "/nowhere/key"), "", "cannot read /nowhere/key"),
        (("set", "t", KEY, "--expires", "soon"), "x", "--expires 'soon'"),
        (("set", "t", KEY, "--expires", "2001-01-01"), "x", "would have expired already"),
        (("set", "t", "redis-password"), "x", "is made by Praxis itself"),
        (("rotate", "t", KEY), "x", "is not set"),
        (("rotate", "t", "redis-password", "--overlap", "1"), "x", "--overlap '1'"),
        (("rotate", "t", "redis-password", "--expires", "1d"), "x", "no --file, no --expires and no --overlap"),
        (("rotate", "t", "redis-password", "--overlap", "1h"), "x", "no --overlap"),
        (("rotate", "t", "litellm-salt-key"), "x", "could never be read again"),
        (("rotate", "t", "assertion-public-key"), "x", "it is made from 'assertion-private-key': rotate that"),
        (("revoke", "t", KEY, "--yes"), "", "is not set"),
        (("revoke", "t", "redis-password", "--yes"), "", "services stand on it"),
        (("recipients", "t", "--add", "age1x"), "", "is not an age public key"),
        (("recipients", "t", "--remove", "age1x"), "", "is not a recipient"),
        (("recipients", "t", "--remove", "age1x", "--reset"), "", "at a time"),
        (("recover", "t"), "", "either --identity FILE or --kms"),
    ],
)
def test_wrong_usage_is_one_message_and_exit_2(
    praxis: Praxis, custody: Path, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    assert rows(praxis)
    before = (custody / "store.age").read_bytes()
    result = praxis("secrets", *arguments, stdin=stdin)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert (custody / "store.age").read_bytes() == before


def test_list_says_who_is_given_what_and_what_is_missing(praxis: Praxis) -> None:
    praxis("secrets", "set", "t", KEY, "--expires", "90d", stdin="value-canary")
    listed = rows(praxis)
    assert listed[KEY]["used_by"] == ["custodian"]
    assert (listed[KEY]["state"], listed[KEY]["version"], listed[KEY]["made_by"]) == ("set", 1, "operator")
    assert listed[KEY]["expires"] > utc_now().isoformat()
    assert (listed["openai-api-key"]["state"], listed["openai-api-key"]["version"]) == ("missing", None)
    assert listed["litellm-db-password"]["used_by"] == ["postgres", "litellm"]
    assert listed["redis-password"]["made_by"] == "praxis"
    shown = praxis("secrets", "list", "t")
    assert "custodian" in shown.stdout
    assert "value-canary" not in shown.output


def test_rotation_of_a_providers_key_keeps_the_old_one_for_its_overlap(praxis: Praxis, custody: Path) -> None:
    praxis("secrets", "set", "t", KEY, stdin="canary-one")
    result = praxis("secrets", "rotate", "t", KEY, "--overlap", "1h", stdin="canary-two")
    assert result.exit_code == 0
    assert "redelivered by the agent (custodian)" in result.stderr
    assert Store(custody).accepted(KEY) == ("canary-two", "canary-one")
    assert rows(praxis)[KEY]["overlap_until"]
    assert "canary" not in result.output


def test_rotation_of_our_own_makes_a_new_value_and_says_what_must_follow(praxis: Praxis, custody: Path) -> None:
    rows(praxis)
    before = Store(custody).values()
    for name, follows in (
        ("litellm-db-password", "redelivered by the agent, database role (postgres, litellm)"),
        ("sso-client-secret", "Keycloak object, service restart (sso)"),
        ("ca-key", "trust at clients"),
    ):
        result = praxis("secrets", "rotate", "t", name)
        assert result.exit_code == 0
        assert f"{name} has a new value" in result.stderr
        assert follows in result.stderr
        assert Store(custody).get(name) != before[name]
        assert Store(custody).get(name) not in result.output
    assert Store(custody).get("edge-tls-cert") != before["edge-tls-cert"], "the new authority's"
    assert Store(custody).get("redis-password") == before["redis-password"]


def test_a_rotation_that_is_not_finished_goes_on_with_its_value(praxis: Praxis, custody: Path) -> None:
    rows(praxis)
    first = praxis("secrets", "rotate", "t", "redis-password")
    assert "does not run, so nothing follows yet" in first.stderr
    begun = Store(custody).accepted("redis-password")
    assert len(begun) == 2, "the one before is needed to bring the new one into use"
    again = praxis("secrets", "rotate", "t", "redis-password")
    assert "is finished now, with that same value" in again.stderr
    assert Store(custody).accepted("redis-password") == begun
    assert praxis("secrets", "audit", "t").exit_code == 0


def test_a_providers_key_given_twice_is_one_rotation(praxis: Praxis, custody: Path) -> None:
    praxis("secrets", "set", "t", KEY, stdin="canary-one")
    for _ in range(2):
        assert praxis("secrets", "rotate", "t", KEY, stdin="canary-two").exit_code == 0
    assert Store(custody).metadata()[KEY].version == 2


def test_revoke_asks_first(praxis: Praxis, custody: Path) -> None:
    praxis("secrets", "set", "t", KEY, stdin="value")
    refused = praxis("secrets", "revoke", "t", KEY, stdin="n\n")
    assert refused.exit_code == 1
    assert "given to: custodian" in refused.stderr
    assert Store(custody).get(KEY) == "value"
    assert praxis("secrets", "revoke", "t", KEY, "--yes").exit_code == 0
    assert rows(praxis)[KEY]["state"] == "revoked"
    again = praxis("secrets", "revoke", "t", KEY, "--yes")
    assert again.exit_code == 2
    assert "was revoked already" in again.stderr


def test_a_revoked_or_missing_key_stops_everything_before_it_starts(praxis: Praxis) -> None:
    praxis("secrets", "set", "t", KEY, stdin="value")
    praxis("secrets", "revoke", "t", KEY, "--yes")
    result = praxis("up", "t")
    assert result.exit_code == 2
    assert f"secret://{KEY}: was revoked; set it with: ./praxis secrets set t {KEY}" in result.stderr
    assert "secret://openai-api-key: is not set" in result.stderr


@pytest.mark.parametrize("form", ["env", "json"])
def test_import_takes_what_the_stack_refers_to_and_says_so(
    praxis: Praxis, custody: Path, tmp_path: Path, form: str
) -> None:
    given = {
        "ANTHROPIC_API_KEY": "canary-a",
        "openai-api-key": "canary-b",
        "GITHUB_TOKEN": "canary-c",
        "REDIS_PASSWORD": "canary-d",
    }
    file = tmp_path / "keys"
    lines = "# keys\n\n" + "".join(f"export {name}='{value}' # x\n" for name, value in given.items())
    file.write_text(json.dumps(given) if form == "json" else lines)
    result = praxis("secrets", "import", "t", str(file), "--json")
    assert result.exit_code == 0, result.stderr
    said = {row["variable"]: row["result"] for row in json.loads(result.stdout)}
    assert said["ANTHROPIC_API_KEY"] == said["openai-api-key"] == "taken"
    assert "does not refer to secret://github-token" in said["GITHUB_TOKEN"]
    assert "Praxis makes it itself" in said["REDIS_PASSWORD"]
    assert "delete it" in result.stderr
    assert "canary" not in result.output
    store = Store(custody)
    assert (store.get(KEY), store.get("openai-api-key")) == ("canary-a", "canary-b")
    assert "github-token" not in store.names()
    again = praxis("secrets", "import", "t", str(file), "--json")
    assert json.loads(again.stdout)[0]["result"] == "unchanged: it has this value already"
    assert store.metadata()[KEY].version == 1


def test_an_import_of_nothing_fails(praxis: Praxis) -> None:
    result = praxis("secrets", "import", "t", "-", stdin="GITHUB_TOKEN=canary\n")
    assert result.exit_code == 1
    assert "it refers to: anthropic-api-key, openai-api-key" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\ncanary without sign\n", "line 2 is not NAME=value"),
        ("A='canary\n", "line 1 has a quote that does not end"),
        ('{"A": "canary",\n}', "line 2 is not JSON"),
        ('{"A": {"canary": 1}}', "the value of 'A' is not a text"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_and_not_quoted(praxis: Praxis, text: str, said: str) -> None:
    result = praxis("secrets", "import", "t", "-", stdin=text)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "canary" not in result.output


def test_lines_are_read_as_shells_and_dotenv_do() -> None:
    text = "A=plain\nexport B=\"with # and space \" # comment\nC = x # comment\nD='$literal'\nE=a#b\n"
    assert assignments(text, Path("f")) == {
        "A": "plain",
        "B": "with # and space ",
        "C": "x",
        "D": "$literal",
        "E": "a#b",
    }
    assert normalised("ANTHROPIC_API_KEY") == KEY


def test_recipients_are_shown_added_and_removed_and_recover_the_store(
    praxis: Praxis, custody: Path, tmp_path: Path
) -> None:
    praxis("secrets", "set", "t", KEY, stdin="value")
    alice = pyrage.x25519.Identity.generate()
    public = str(alice.to_public())
    added = praxis("secrets", "recipients", "t", "--add", public, "--label", "alice", "--json")
    assert json.loads(added.stdout) == [{"recipient": public, "label": "alice", "kms_key": None}]
    (custody / "host.key").unlink()
    lost = praxis("secrets", "list", "t")
    assert lost.exit_code == 1
    assert "host.key is missing" in lost.stderr
    assert "secrets recover STACK --identity FILE" in lost.stderr
    (tmp_path / "alice.key").write_text(f"# public key: {public}\n{alice}\n")
    recovered = praxis("secrets", "recover", "t", "--identity", str(tmp_path / "alice.key"))
    assert recovered.exit_code == 0, recovered.stderr
    assert Store(custody).get(KEY) == "value"
    assert praxis("secrets", "recover", "t", "--identity", str(tmp_path / "alice.key")).exit_code == 2
    removed = praxis("secrets", "recipients", "t", "--remove", public, "--json")
    assert json.loads(removed.stdout) == []
    assert "rotate what they hold" in removed.stderr


def test_times() -> None:
    now = utc_now()
    assert duration(None, "--overlap") is None
    span = duration("30m", "--overlap")
    assert span is not None
    assert span.total_seconds() == 1800
    assert moment("2d", "--expires", now) == now + 96 * span
    assert str(moment("2030-01-31", "--expires", now)) == "2030-01-31 00:00:00+00:00"
    for wrong in ("", "1", "h", "-1h", "1w", "0h", "9999999d"):
        with pytest.raises(CommandError, match="--overlap"):
            duration(wrong, "--overlap")


def test_what_was_done_is_shown_and_verified(praxis: Praxis, custody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    praxis("secrets", "set", "t", KEY, stdin="canary")
    praxis("secrets", "revoke", "t", KEY, "--yes")
    result = praxis("secrets", "audit", "t", "--json", "-n", "2")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["intact"]
    assert [(line["action"], line["name"], line["version"]) for line in found["lines"]] == [
        ("set", KEY, 1),
        ("revoke", KEY, 1),
    ]
    assert praxis("secrets", "audit", "t").exit_code == 0
    record = custody / "audit.jsonl"
    record.write_bytes(record.read_bytes().replace(b'"revoke"', b'"read"'))
    broken = praxis("secrets", "audit", "t", "--json")
    assert broken.exit_code == 1
    assert not json.loads(broken.stdout)["intact"]
    assert "was changed" in broken.stderr
    record.unlink()
    missing = praxis("secrets", "audit", "t")
    assert missing.exit_code == 1
    assert "secrets rotate STACK secrets-audit-key" in missing.stderr
    assert praxis("secrets", "rotate", "t", "secrets-audit-key").exit_code == 0
    assert praxis("secrets", "audit", "t").exit_code == 0


def test_a_store_that_refuses_in_the_midst_of_a_command_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, reported():
        raise StoreError("audit.jsonl is missing")
    assert caught.value.exit_code == 1
    assert capsys.readouterr().err == "error: the secret store: audit.jsonl is missing\n"


def test_last_use_is_when_a_value_was_read_or_delivered(praxis: Praxis, custody: Path) -> None:
    assert rows(praxis)["redis-password"]["last_used"] is None
    Store(custody, audited=True).delivered(["redis-password"])
    Store(custody, audited=True).get("ca-cert")
    listed = rows(praxis)
    assert listed["redis-password"]["last_used"]
    assert listed["ca-cert"]["last_used"]
