"""The audit chain by itself: what verifying finds, and that one change anywhere is always found."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import canonical
from runtime.chain import (
    START,
    Draft,
    Event,
    Head,
    Problem,
    Report,
    Signer,
    UnreadableError,
    main,
    parse,
    public_key,
    read,
    verify,
)
from runtime.store import Ed25519Key, PublicKey

FIRST_PEM, SECOND_PEM, FOREIGN_PEM = (Ed25519Key().make({}) for _ in range(3))
FIRST, SECOND, FOREIGN = Signer(FIRST_PEM), Signer(SECOND_PEM), Signer(FOREIGN_PEM)
BEGUN = Draft("begun", {"earlier_records": 0})
CHANGED, CONFIRMED = Draft("key-changed", {"public_key": SECOND.public}), Draft("key-confirmed")


def made(steps: Sequence[tuple[Signer, Draft]], head: Head = START) -> list[Event]:
    events = []
    for signer, draft in steps:
        events.append(signer.append(head, draft))
        head = events[-1].head
    return events


def some(number: int, signer: Signer = FIRST) -> list[tuple[Signer, Draft]]:
    return [(signer, Draft("admitted", {"trace": f"{each:032x}", "model": "small"})) for each in range(number)]


def chain(number: int = 6) -> list[Event]:
    """A chain of one key with ``number`` events."""
    return made([(FIRST, BEGUN), *some(number - 1)])


def rotated() -> list[Event]:
    """A chain whose key was changed after its fourth event."""
    return made([(FIRST, BEGUN), *some(3), (FIRST, CHANGED), (SECOND, CONFIRMED), *some(3, SECOND)])


def changed(event: Event, name: str, value: Any) -> Event:
    return replace(event, **{name: value})


def looked(events: Sequence[Event], *keys: Signer, anchor: Head | None = None) -> Report:
    lines = [event.line() for event in events]
    return verify(read(lines), {key.public for key in keys or (FIRST,)}, anchor=anchor)


def findings(events: Sequence[Event], *keys: Signer, anchor: Head | None = None) -> list[tuple[int, Problem]]:
    return [(each.seq, each.problem) for each in looked(events, *keys, anchor=anchor).findings]


class TestCanonical:
    def test_sorted_compact_and_not_escaped(self) -> None:
        assert canonical({"b": [True, None, -3], "a": 'é\n"\u2028'}) == '{"a":"é\\n\\"\u2028","b":[true,null,-3]}'

    @pytest.mark.parametrize("value", [1.5, float("nan"), 2**53 + 1, {"é": 1}, {1: 2}, b"x", "\ud800", {"a": [0.0]}])
    def test_what_readers_could_understand_differently_is_refused(self, value: Any) -> None:
        with pytest.raises(ValueError, match=r"no canonical form|surrogates not allowed"):
            canonical(value)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(max_codepoint=127)), inner),
        )
    )
    def test_it_reads_back_as_what_it_was(self, value: Any) -> None:
        assert json.loads(canonical(value)) == value
        assert canonical(json.loads(canonical(value))) == canonical(value)


class TestLines:
    def test_an_event_reads_back(self) -> None:
        for event in rotated():
            assert parse(event.line()) == event

    def test_the_hash_is_as_documented(self) -> None:
        """With nothing of the module: so that another program can verify, the encoding must not move."""
        import hashlib

        fields = json.loads(chain()[1].line())
        proof = {name: fields.pop(name) for name in ("hash", "signature")}
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(b"praxis-chain-1\n" + text.encode()).hexdigest() == proof["hash"]

    @pytest.mark.parametrize(
        "change",
        [
            lambda line: line + " ",
            lambda line: line.replace(":", ": ", 1),
            lambda line: line.replace('{"model"', '{"model":"large","model"'),
            lambda line: line.replace('"seq":2', '"seq":2.0'),
            lambda line: line.replace('"seq":2', '"seq":true'),
            lambda line: line.replace('"seq":2', '"seq":"2"'),
            lambda line: line.replace('"seq":2', '"extra":1,"seq":2'),
            lambda line: line.replace('"small"', '"sm\\u0061ll"'),
            lambda line: line.replace('"small"', '"\\ud800"'),
            lambda line: line.replace('"small"', "1" * 5000),
            lambda line: "[" * 100_000,
            lambda line: "",
            lambda line: "null",
            lambda line: '{"body":{}}',
            lambda line: line.replace('{"model":"small","trace":"' + "0" * 32 + '"}', "[]"),
        ],
    )
    def test_any_other_spelling_is_no_event(self, change: Callable[[str], str]) -> None:
        line = chain()[1].line()
        assert change(line) != line
        with pytest.raises(UnreadableError):
            parse(change(line))


class TestInOrder:
    def test_a_chain(self) -> None:
        report = looked(chain())
        assert (report.events, report.head, report.findings) == (6, chain_head(report), ())

    @pytest.mark.parametrize("known", [(FIRST,), (SECOND,), (FIRST, SECOND)])
    def test_one_key_is_enough_whichever_it_is(self, known: tuple[Signer, ...]) -> None:
        assert findings(rotated(), *known) == []

    @pytest.mark.parametrize("at", range(9))
    def test_with_any_head_that_was_seen(self, at: int) -> None:
        events = rotated()
        assert findings(events, SECOND, anchor=events[at].head) == []

    def test_an_empty_file_is_no_chain(self) -> None:
        assert findings([]) == [(1, Problem.MISSING)]
        assert findings([], anchor=Head(3, "a" * 64)) == [(1, Problem.MISSING), (1, Problem.TRUNCATED)]


def chain_head(report: Report) -> Head:
    assert report.head.seq == report.events
    return report.head


class TestFindings:
    """Each kind of damage, with the number of the event where it is."""

    @pytest.mark.parametrize("name", ["time", "kind", "body"])
    def test_a_changed_field(self, name: str) -> None:
        events = chain()
        value = '{"trace":"another"}' if name == "body" else "another"
        events[2] = changed(events[2], name, value)
        assert findings(events) == [(3, Problem.CONTENT)]

    def test_a_changed_field_with_a_new_hash(self) -> None:
        events = chain()
        other = replace(events[2], body="{}")
        events[2] = replace(other, hash=other.digest())
        assert findings(events) == [(3, Problem.SIGNATURE), (4, Problem.LINK)]

    def test_a_changed_event_signed_with_another_key(self) -> None:
        events = chain()
        forged = FOREIGN.append(events[1].head, Draft("admitted", {}))
        events[2] = replace(forged, key=FIRST.public)
        assert (3, Problem.SIGNATURE) in findings(events)
        events[2] = forged
        assert findings(events)[0] == (3, Problem.KEY)

    def test_a_tail_that_somebody_else_wrote(self) -> None:
        events = chain(3)
        for draft in (Draft("admitted"), Draft("settled")):
            events.append(FOREIGN.append(events[-1].head, draft))
        assert findings(events)[0] == (4, Problem.KEY)

    def test_a_whole_chain_that_somebody_else_wrote(self) -> None:
        assert findings(made([(FOREIGN, BEGUN), *some(3, FOREIGN)])) == [(4, Problem.UNTRUSTED)]

    def test_a_foreign_chain_that_names_the_true_key_at_its_end(self) -> None:
        """Nothing that the true key signed stands behind it, so it is worth nothing."""
        named = Draft("key-changed", {"public_key": FIRST.public})
        assert findings(made([(FOREIGN, BEGUN), *some(3, FOREIGN), (FOREIGN, named)])) == [(5, Problem.UNTRUSTED)]

    def test_a_removed_event(self) -> None:
        events = chain()
        assert findings([*events[:2], *events[3:]]) == [(3, Problem.MISSING)]
        assert findings(events[2:])[0] == (1, Problem.MISSING)

    def test_a_removed_and_renumbered_event(self) -> None:
        events = chain(5)
        rest = [replace(each, seq=each.seq - 1) for each in events[3:]]
        assert findings([*events[:2], *rest]) == [(3, Problem.LINK), (3, Problem.CONTENT), (4, Problem.CONTENT)]

    def test_an_inserted_event(self) -> None:
        events = chain()
        assert findings([*events[:3], events[2], *events[3:]]) == [(3, Problem.ORDER)]
        inserted = FOREIGN.append(events[2].head, Draft("admitted"))
        assert (4, Problem.KEY) in findings([*events[:3], inserted, *events[3:]])

    def test_reordered_events(self) -> None:
        events = chain()
        events[2], events[3] = events[3], events[2]
        assert findings(events) == [(3, Problem.MISSING), (3, Problem.ORDER)]

    def test_a_cut_tail(self) -> None:
        events = chain()
        head = events[-1].head
        assert findings(events[:4]) == [], "a shorter chain is a chain: only a known head tells"
        assert findings(events[:4], anchor=head) == [(5, Problem.TRUNCATED)]

    def test_a_database_rolled_back_and_written_on(self) -> None:
        events = chain()
        head = events[4].head
        again = [*events[:3], *made([(FIRST, Draft("refused", {"n": n})) for n in range(4)], events[2].head)]
        assert findings(again) == []
        assert findings(again, anchor=head) == [(5, Problem.REPLACED)]

    def test_what_is_no_event(self) -> None:
        lines = [event.line() for event in chain()]
        report = verify(read([*lines[:2], "nonsense", *lines[3:]]), {FIRST.public}, anchor=None)
        assert [(each.seq, each.problem) for each in report.findings] == [(3, Problem.UNREADABLE)]

    def test_a_beginning_in_the_middle(self) -> None:
        assert findings(made([(FIRST, BEGUN), (FIRST, BEGUN), *some(1)])) == [(2, Problem.START)]
        assert findings(made(some(2))) == [(1, Problem.START)]


class TestKeys:
    def test_a_change_of_keys_that_the_old_key_did_not_sign(self) -> None:
        events = made([(FIRST, BEGUN), *some(1)])
        events += made([(FOREIGN, Draft("key-changed", {"public_key": FOREIGN.public}))], events[-1].head)
        assert findings(events) == [(3, Problem.KEY)]

    def test_the_old_key_signs_nothing_after_the_change(self) -> None:
        events = rotated()
        events.append(FIRST.append(events[-1].head, Draft("admitted")))
        assert findings(events, SECOND) == [(10, Problem.KEY)]

    def test_who_stole_the_old_key_cannot_rewrite_what_the_new_one_stands_behind(self) -> None:
        events = rotated()
        forged = made([(FIRST, BEGUN), *some(2), (FIRST, Draft("refused")), (FIRST, CHANGED)])
        assert (6, Problem.LINK) in findings([*forged, *events[5:]], SECOND)
        assert findings(forged, SECOND) == [(5, Problem.UNTRUSTED)]

    @pytest.mark.parametrize("body", [{}, {"public_key": "x"}, {"public_key": 5}, {"public_key": "0" * 64}])
    def test_a_change_to_nothing_leaves_no_key_in_force(self, body: dict[str, Any]) -> None:
        events = made([(FIRST, BEGUN), (FIRST, Draft("key-changed", body)), *some(1, SECOND)])
        assert findings(events) == [(3, Problem.KEY)]

    def test_no_representation_shows_a_key(self) -> None:
        assert repr(FIRST) == f"Signer({FIRST.public})"

    def test_only_ed25519(self) -> None:
        from runtime.store import EcKey

        pem = EcKey().make({})
        with pytest.raises(ValueError, match="Ed25519"):
            Signer(pem)
        with pytest.raises(ValueError, match="Ed25519"):
            public_key(PublicKey("k").make({"k": pem}))


BASES = (chain(), rotated())
FIELDS = ("seq", "time", "kind", "body", "previous", "key", "hash", "signature")


@st.composite
def mutations(draw: st.DrawFn) -> tuple[list[Event], list[Event]]:
    """A chain, and the same chain with exactly one thing done to it."""
    base = draw(st.sampled_from(BASES))
    at = draw(st.integers(0, len(base) - 1))
    events = list(base)
    match draw(st.sampled_from(["change", "remove", "repeat", "move", "resign", "rehash"])):
        case "remove":
            del events[at]
        case "repeat":
            events.insert(draw(st.integers(0, len(base))), events[at])
        case "move":
            events.insert(draw(st.integers(0, len(base) - 1)), events.pop(at))
        case "resign":
            events[at] = FOREIGN.append(Head(at, events[at].previous), Draft(events[at].kind, {}))
        case "rehash":
            other = replace(events[at], time=draw(st.text(max_size=5)))
            events[at] = replace(other, hash=other.digest())
        case _:
            events[at] = draw(changed_field(events[at]))
    return base, events


@st.composite
def changed_field(draw: st.DrawFn, event: Event) -> Event:
    name = draw(st.sampled_from(FIELDS))
    if name == "seq":
        return replace(event, seq=draw(st.integers(-(2**63), 2**63 - 1)))
    value = str(getattr(event, name))
    if name == "body" and draw(st.booleans()):
        return replace(event, body=canonical(draw(st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)))))
    at = draw(st.integers(0, len(value)))
    return changed(event, name, value[:at] + draw(st.text(max_size=2)) + value[at + draw(st.integers(0, 2)) :])


@given(mutations())
def test_any_single_mutation_is_found(pair: tuple[list[Event], list[Event]]) -> None:
    base, events = pair
    if events != base:
        assert findings(events, FIRST, SECOND, anchor=base[-1].head) != []


@given(st.data())
def test_any_changed_character_of_an_export_is_found(data: st.DataObject) -> None:
    base = data.draw(st.sampled_from(BASES))
    text = "\n".join(event.line() for event in base)
    at = data.draw(st.integers(0, len(text) - 1))
    export = text[:at] + data.draw(st.text(max_size=1)) + text[at + data.draw(st.integers(0, 1)) :]
    if export != text:
        report = verify(read(export.split("\n")), {FIRST.public}, anchor=base[-1].head)
        assert report.findings


@given(st.lists(st.text(max_size=30), max_size=4))
def test_nothing_that_is_read_makes_it_fail_otherwise(lines: list[str]) -> None:
    report = verify(read(lines), {FIRST.public}, anchor=None)
    assert len(report.findings) >= max(len(lines), 1)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with an export and the public keys."""
    (tmp_path / "chain.jsonl").write_text("".join(f"{event.line()}\n" for event in rotated()), encoding="utf-8")
    for name, pem in (("old", FIRST_PEM), ("new", SECOND_PEM), ("foreign", FOREIGN_PEM)):
        (tmp_path / f"{name}.pem").write_text(PublicKey("k").make({"k": pem}), encoding="ascii")
    return tmp_path


class TestOffline:
    """``python -m runtime.chain``: an export and a public key, and nothing else."""

    @pytest.mark.parametrize("key", ["old", "new"])
    def test_in_order(self, files: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
        assert main([str(files / "chain.jsonl"), "--key", str(files / f"{key}.pem")]) == 0
        assert "9 events" in capsys.readouterr().out

    def test_another_key_vouches_for_nothing(self, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([str(files / "chain.jsonl"), "--key", str(files / "foreign.pem"), "--json"]) == 1
        report = json.loads(capsys.readouterr().out)
        assert (report["in_order"], report["findings"][0]["problem"]) == (False, "untrusted")

    def test_a_known_head(self, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = (files / "chain.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        head = parse(lines[-1].rstrip("\n")).head
        (files / "short.jsonl").write_text("".join(lines[:-1]), encoding="utf-8")
        assert main([str(files / "short.jsonl"), "--key", str(files / "new.pem"), "--head", str(head)]) == 1
        assert "event 9: missing" in capsys.readouterr().out

    def test_many_findings_are_counted_not_poured_out(self, files: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (files / "noise").write_bytes(b"\xff\xfe\n" * 100)
        assert main([str(files / "noise"), "--key", str(files / "new.pem")]) == 1
        shown = capsys.readouterr().out.splitlines()
        assert len(shown) == 22
        assert "BROKEN" in shown[-1]

    @pytest.mark.parametrize("arguments", [["nowhere", "new.pem"], ["chain.jsonl", "nowhere"], ["chain.jsonl"] * 2])
    def test_what_cannot_be_read_is_said(
        self, files: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
    ) -> None:
        file, key = arguments
        assert main([str(files / file), "--key", str(files / key)]) == 2
        assert capsys.readouterr().err.startswith("cannot verify")

    @pytest.mark.parametrize("head", ["", "5", "5:abc", "x:" + "0" * 64, "-1:" + "0" * 64])
    def test_what_is_no_head(self, files: Path, head: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main([str(files / "chain.jsonl"), "--key", str(files / "new.pem"), f"--head={head}"])
        assert ended.value.code == 2
