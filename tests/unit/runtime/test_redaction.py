"""Redaction: every form of every secret goes, nothing else does, and the cuts of the stream do not matter."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.redaction import MIN_BYTES, Patterns, Redactor, forms

KEY = 'sk-"ä/+ key?&=\\~é-0123456789'
NASTY = [("one", b"aaaaaaaab"), ("two", b"aaaaaaaaaaaa"), ("three", b"bcdefghijk"), ("four", b"cdefghij")]
"""Beginnings of one another, and one within another."""


def redacted(patterns: Patterns, chunks: list[bytes]) -> bytes:
    redactor = Redactor(patterns)
    return b"".join([*map(redactor.feed, chunks), redactor.finish()])


def plainly(values: list[tuple[str, bytes]], text: bytes) -> bytes:
    """What redaction means, without any thought of speed: at each place the longest form that stands there."""
    names = {form: f"[{name}]".encode() for name, value in reversed(values) for form in forms(value)}
    said, at = b"", 0
    while at < len(text):
        here = max((form for form in names if text.startswith(form, at)), key=len, default=None)
        said += names[here] if here else text[at : at + 1]
        at += len(here) if here else 1
    return said


def cut(text: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, *(each % (len(text) + 1) for each in cuts), len(text)})
    return [text[begin:end] for begin, end in pairwise(places)]


pieces = st.one_of(
    st.sampled_from([form for _, value in NASTY for form in sorted(forms(value))]),
    st.sampled_from([value[:end] for _, value in NASTY for end in range(1, len(value))]),
    st.binary(max_size=6),
    st.text("abcdefghijk", max_size=12).map(str.encode),
)


@settings(max_examples=500)
@given(st.lists(pieces, max_size=12).map(b"".join), st.lists(st.integers(min_value=0), max_size=20))
def test_any_cut_of_any_text_gives_what_redaction_means(text: bytes, cuts: list[int]) -> None:
    assert redacted(Patterns(NASTY), cut(text, cuts)) == plainly(sorted(NASTY), text)


@settings(max_examples=200)
@given(st.binary(), st.lists(st.integers(min_value=0), max_size=10))
def test_what_is_no_secret_is_not_changed(text: bytes, cuts: list[int]) -> None:
    values = [("key", KEY.encode()), ("other", b"correct horse battery staple")]
    assert redacted(Patterns(values), cut(text, cuts)) == text


@settings(max_examples=200)
@given(st.text(min_size=MIN_BYTES), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_of_more_than_the_secret_is_found_too(value: str, before: bytes, after: bytes) -> None:
    """As in `Authorization: Basic`, where the user's name stands before the password."""
    secret = value.strip().encode()
    if len(secret) < MIN_BYTES:
        return
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        said = redacted(Patterns([("key", secret)]), [encode(before + secret + after)])
        assert b"[key]" in said
        assert len(said.replace(b"[key]", b"")) <= len(encode(before)) + len(encode(after)) + 4


@pytest.mark.parametrize(
    "written",
    [
        KEY.encode(),
        base64.b64encode(KEY.encode()),
        base64.urlsafe_b64encode(KEY.encode()).rstrip(b"="),
        quote(KEY).encode(),
        quote(KEY, safe="").encode(),
        quote(KEY, safe="").lower().encode(),  # it has no letter in upper case
        quote_plus(KEY).encode(),
        json.dumps(KEY)[1:-1].encode(),
        json.dumps(KEY, ensure_ascii=False)[1:-1].encode(),
    ],
)
def test_each_way_of_writing_it(written: bytes) -> None:
    text = b"before " + written + b"\nafter\n"
    one_by_one = [text[at : at + 1] for at in range(len(text))]
    assert redacted(Patterns([("api-key", KEY.encode() + b"\n")]), one_by_one) == b"before [api-key]\nafter\n"


def test_a_key_of_several_lines_goes_whole_and_line_by_line() -> None:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    patterns = Patterns([("tls.key", pem)])
    assert redacted(patterns, [b"x" + pem]) == b"x[tls.key]\n"
    assert redacted(patterns, [json.dumps(pem.decode().strip()).encode()]) == b'"[tls.key]"'
    _, first, *_ = pem.splitlines()
    assert redacted(patterns, [b"| " + first + b"\r\n"]) == b"| [tls.key]\r\n"
    assert redacted(patterns, [b"-----BEGIN PRIVATE KEY-----\n"]) == b"-----BEGIN PRIVATE KEY-----\n"


def test_a_short_value_is_named_and_left() -> None:
    patterns = Patterns([("pin", b"1234"), ("key", b"0123456789")])
    assert patterns.too_short == ("pin",)
    assert redacted(patterns, [b"1234 0123456789"]) == b"1234 [key]"


def test_a_line_is_there_at_once_and_only_a_beginning_waits() -> None:
    redactor = Redactor(Patterns([("key", b"0123456789")]))
    assert redactor.feed(b"a line\n") == b"a line\n"
    assert redactor.feed(b"amount: 0123") == b"amount: "
    assert redactor.feed(b"x\n") == b"0123x\n"
    assert redactor.feed(b"01234567") == b""
    assert redactor.feed(b"89") == b"[key]"
    assert redactor.feed(b"012") == b""
    assert redactor.finish() == b"012"


def test_a_rotated_value_counts_amid_the_stream() -> None:
    redactor = Redactor(Patterns([("key", b"old-value-1")]))
    assert redactor.feed(b"old-value-1 new-val") == b"[key] new-val"
    redactor.patterns = Patterns([("key", b"old-value-1"), ("key", b"new-value-2")])
    assert redactor.feed(b" old-value-1 new-value-2") == b" [key] [key]"
