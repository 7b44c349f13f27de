"""The custodian's signed word: only its own, only for a minute, only whole."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OKPKey

from runtime.assertion import LIFETIME_S, Assertion, InvalidAssertionError, sign, verify
from runtime.contract import Kind

KEY = OKPKey.generate_key("Ed25519")
PUBLIC = OKPKey.import_key(KEY.as_pem(private=False))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def assertion(**changes: Any) -> Assertion:
    base: dict[str, Any] = {
        "sub": "s",
        "name": "alice",
        "kind": Kind.PERSON,
        "department": "research",
        "role": "engineer",
        "policy": "p",
        "trace": "t",
        "credential": "oidc",
        "demo": False,
    }
    return Assertion(**{**base, **changes})


def test_one_without_a_scope_is_of_a_custodian_that_knew_none() -> None:
    """While a stack is updated its parts are of two versions for a moment."""
    token = sign(assertion(), KEY)
    body = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    del body["scope"]
    assert verify(jwt.encode({"alg": "Ed25519", "typ": "JWT"}, body, KEY, algorithms=["Ed25519"]), PUBLIC).scope == ""


@given(sub=TEXT, name=TEXT, kind=st.sampled_from(Kind), trace=TEXT, demo=st.booleans())
def test_what_was_signed_is_read(sub: str, name: str, kind: Kind, trace: str, demo: bool) -> None:
    about = assertion(sub=sub, name=name, kind=kind, trace=trace, demo=demo)
    assert verify(sign(about, KEY), PUBLIC) == about


def test_it_lives_a_minute() -> None:
    about, now = assertion(), time.time()
    assert verify(sign(about, KEY, now - LIFETIME_S + 2), PUBLIC, leeway_s=0) == about
    with pytest.raises(InvalidAssertionError):
        verify(sign(about, KEY, now - LIFETIME_S - 1), PUBLIC, leeway_s=0)
    assert verify(sign(about, KEY, now - 600), PUBLIC, leeway_s=3600) == about


def test_nobody_elses_word_counts() -> None:
    with pytest.raises(InvalidAssertionError):
        verify(sign(assertion(), OKPKey.generate_key("Ed25519")), PUBLIC)


@pytest.mark.parametrize(("alg", "name"), [("HS256", "sha256"), ("HS512", "sha512"), ("Ed25519", "sha512")])
def test_the_public_key_is_no_shared_secret(alg: str, name: str) -> None:
    header = base64.urlsafe_b64encode(json.dumps({"alg": alg}).encode()).decode().rstrip("=")
    signed = f"{header}.{sign(assertion(), KEY).split('.')[1]}"
    for secret in (KEY.as_pem(private=False), KEY.as_der(private=False)):
        mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), name)).decode().rstrip("=")
        with pytest.raises(InvalidAssertionError):
            verify(f"{signed}.{mac}", PUBLIC)


def test_unsigned_is_nothing() -> None:
    body = sign(assertion(), KEY).split(".")[1]
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).decode().rstrip("=")
    for tail in ("", "AAAA"):
        with pytest.raises(InvalidAssertionError):
            verify(f"{header}.{body}.{tail}", PUBLIC)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "elsewhere"},
        {"exp": None},
        {"kind": "robot"},
        {"sub": None},
        {"policy": None},
        {"trace": None},
        {"demo": "yes"},
        {"sub": 7},
        {"trace": ["a"]},
    ],
)
def test_a_wrong_or_missing_claim(changes: dict[str, Any]) -> None:
    claims = dict(jwt.decode(sign(assertion(), KEY), PUBLIC, algorithms=["Ed25519"]).claims)
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    with pytest.raises(InvalidAssertionError):
        verify(jwt.encode({"alg": "Ed25519"}, claims, KEY, algorithms=["Ed25519"]), PUBLIC)


@settings(max_examples=300)
@given(text=st.text(max_size=200) | st.from_regex(r"\A[\w-]{0,60}\.[\w-]{0,60}\.[\w-]{0,90}\Z"))
def test_any_text_is_no_assertion(text: str) -> None:
    with pytest.raises(InvalidAssertionError):
        verify(text, PUBLIC)
