"""What holds for every body: masks leave no value, change nothing else, and a second pass changes nothing at all."""

from __future__ import annotations

import json
import string
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.contract import CATEGORIES, GuardAction, GuardCategory, GuardPolicy
from runtime.guards import Guard
from runtime.guards.fold import Folder
from runtime.guards.personal import luhn

SALT = b"salt of the tests"
MASK_ALL = GuardPolicy(**dict.fromkeys(CATEGORIES, GuardAction.MASK))
PROTOCOL = ("type", "role", "id", "model", "content", "text", "input", "arguments", "messages", "metadata", "data")


@cache
def guard() -> Guard:
    return Guard()


@cache
def folder() -> Folder:
    return Folder()


def _check_digit(digits: str) -> str:
    return next(digits + last for last in string.digits if luhn(digits + last))


def _iban(account: str) -> str:
    rest = int("".join(str(int(char, 36)) for char in account + "DE00"))
    return f"DE{98 - rest % 97:02}{account}"


def _digits(count: int) -> st.SearchStrategy[str]:
    return st.text(string.digits, min_size=count, max_size=count)


def _token(count: int, alphabet: str = string.ascii_letters + string.digits) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=count, max_size=count)


VALUES: dict[GuardCategory, st.SearchStrategy[str]] = {
    "card": _digits(14).map(lambda d: _check_digit("4" + d)),
    "iban": _digits(18).map(_iban),
    "ssn": st.tuples(st.integers(1, 665), st.integers(1, 99), st.integers(1, 9999)).map(
        lambda n: f"{n[0]:03}-{n[1]:02}-{n[2]:04}"
    ),
    "email": _token(6, string.ascii_lowercase).map(lambda name: f"{name}@example.com"),
    "phone": _digits(4).map(lambda d: f"+1 212-736-{d}"),
    "credential": st.one_of(
        _token(36).map("ghp_{}".format),
        _token(16, string.ascii_uppercase + string.digits).map("AKIA{}".format),
        _token(40).map("sk-ant-api03-{}".format),
        _token(43).map("sk-praxis-{}".format),
    ),
}
SAMPLES = {"078-05-1120", "111-11-1111", "222-22-2222", "333-33-3333", "444-44-4444", "555-55-5555"}
PLANTED = st.one_of(*VALUES.values()).filter(lambda value: value not in SAMPLES)
WORDS = st.text(
    st.characters(blacklist_categories=["Nd", "Nl", "No", "Cs"], blacklist_characters="@:-+.[]\\"), max_size=20
)
BETWEEN = st.sampled_from([" ", "\n", ", ", "\t", " \u4e2d ", "(", '"', "\U0001f642"])


@st.composite
def planted_texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    values = draw(st.lists(PLANTED, min_size=1, max_size=3))
    text = draw(WORDS)
    for value in values:
        text += f"; {value};" + draw(BETWEEN) + draw(WORDS)
    return text, values


def _structure(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _structure(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_structure(item) for item in value]
    return "" if isinstance(value, str) else value


SCALARS = st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(allow_nan=False) | WORDS
BODIES = st.dictionaries(
    st.sampled_from(PROTOCOL) | WORDS,
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(PROTOCOL) | WORDS, inner, max_size=4)
        ),
        max_leaves=15,
    ),
    max_size=4,
)


@given(planted=planted_texts(), around=BODIES)
@settings(max_examples=300, deadline=None)
def test_no_value_is_left_and_nothing_else_changes(planted: tuple[str, list[str]], around: dict[str, Any]) -> None:
    text, values = planted
    body = {
        **around,
        "messages": [
            {"role": "user", "content": text},
            {"role": "user", "content": [{"type": "text", "text": text}, around]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"deep": [text]}}]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": json.dumps({"a": text})}}]},
        ],
    }
    before = json.dumps(body)
    outcome = guard().apply(body, MASK_ALL, SALT)
    assert outcome.verdict == "masked"
    assert json.dumps(body) == before
    after = json.dumps(outcome.body, ensure_ascii=False)
    assert not [value for value in values if value in after]
    assert _structure(outcome.body) == _structure(body)
    assert set(json.loads(outcome.body["messages"][3]["tool_calls"][0]["function"]["arguments"])) == {"a"}
    again = guard().apply(outcome.body, MASK_ALL, SALT)
    assert again.verdict == "clean"
    assert again.body is outcome.body


@given(body=BODIES)
@settings(max_examples=300, deadline=None)
def test_a_body_without_findings_stays_the_same_object(body: dict[str, Any]) -> None:
    outcome = guard().apply(body, MASK_ALL, SALT)
    assert (outcome.verdict, outcome.findings) == ("clean", {})
    assert outcome.body is body


@given(digits=_digits(16).filter(lambda digits: not luhn(digits)), gap=st.sampled_from(["", " ", "-"]))
@settings(max_examples=300, deadline=None)
def test_sixteen_digits_without_the_check_digit_pass(digits: str, gap: str) -> None:
    text = gap.join(digits[at : at + 4] for at in range(0, 16, 4))
    assert not [finding for finding in guard().scan_text(f"number {text}!") if finding.category == "card"]


@given(
    category=st.sampled_from(CATEGORIES),
    data=st.data(),
    hidden=st.sampled_from(["\u200b", "\u2060", "\ufe0f", "\u00ad"]),
)
@settings(max_examples=200, deadline=None)
def test_what_has_no_width_hides_nothing(category: GuardCategory, data: st.DataObject, hidden: str) -> None:
    value = data.draw(VALUES[category].filter(lambda value: value not in SAMPLES))
    at = data.draw(st.integers(1, len(value) - 1))
    text = f"; {value[:at]}{hidden}{value[at:]} ;"
    assert [(f.category, text[f.start : f.end].replace(hidden, "")) for f in guard().scan_text(text)] == [
        (category, value)
    ]


@given(text=st.text(st.characters() | st.sampled_from('\\nu0034"\u200b\uff14\ud800'), max_size=60))
@settings(max_examples=500, deadline=None)
def test_the_copy_leads_back_to_the_original(text: str) -> None:
    folded = folder()(text)
    assert folded.text.encode("latin-1").decode("latin-1") == folded.text
    origins = [folded.origin(offset) for offset in range(len(folded.text) + 1)]
    assert origins == sorted(set(origins))
    assert origins[-1] == len(text)
    for offset, char in enumerate(folded.text):
        if char.isascii() and char.isalpha():
            assert folder()(text[origins[offset] : origins[offset + 1]]).text == char


@pytest.mark.parametrize("secret", ["4111111111111111", f"ghp_{'aB3' * 12}"])
@given(before=st.text(max_size=30), after=st.text(max_size=30))
@settings(max_examples=100, deadline=None)
def test_any_text_around_a_value_is_kept(secret: str, before: str, after: str) -> None:
    body = {"text": f"{before} ; {secret} ; {after}"}
    masked = guard().apply(body, GuardPolicy(credential=GuardAction.MASK), SALT).body["text"]
    assert masked.startswith(f"{before} ; [") or guard().scan_text(before)
    assert masked.endswith(f"] ; {after}") or guard().scan_text(after)
    assert secret not in masked


@given(text=st.text(st.characters(blacklist_characters="\0"), max_size=60))
@settings(max_examples=200, deadline=None)
def test_many_different_characters_are_folded_like_few(text: str) -> None:
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 100)))
    assert folder()(text + many).text == folder()(text).text + "\xff" * 100
