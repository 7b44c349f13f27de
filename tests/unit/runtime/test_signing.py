"""Assertions that are signed ahead: each is one request's, and says what one signed now would."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey

from runtime.assertion import LIFETIME_S, Assertion, InvalidAssertionError, sign, verify
from runtime.custodian import signing as module
from runtime.custodian.signing import AHEAD_S, AT_MOST, REST_S, Signed, Signing
from runtime.custodian.traces import new_trace
from runtime.with_secrets import Delivered
from tests.unit.runtime.custodian_world import deliver
from tests.unit.runtime.recorded import about

KEY, NEXT = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
ALICE = about(trace="0" * 32)
BOB = replace(ALICE, sub="sub-of-bob", name="bob")


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    deliver(tmp_path, assertion_private_key=KEY.as_pem(private=True).decode())
    return Signing(Delivered("assertion-private-key", tmp_path))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Assertion]:
    """Everything that is signed."""
    seen: list[Assertion] = []

    def counted(entry: Assertion, key: OKPKey) -> str:
        seen.append(entry)
        return sign(entry, key)

    monkeypatch.setattr(module, "sign", counted)
    return seen


async def signed(signing: Signing, entry: Assertion = ALICE) -> Signed:
    """One, and what is signed ahead after it."""
    one = signing.signed(entry)
    await asyncio.sleep(2 * REST_S)
    return one


async def test_the_first_has_the_trace_that_it_was_given(signing: Signing) -> None:
    assert (await signed(signing)).trace == ALICE.trace


async def test_every_one_has_a_trace_of_its_own_and_says_the_same_besides(signing: Signing) -> None:
    many = [await signed(signing) for _ in range(20)]
    assert len({one.trace for one in many}) == 20
    for one in many:
        assert verify(one.token, KEY) == replace(ALICE, trace=one.trace)


async def test_two_at_once_are_not_given_the_same(signing: Signing) -> None:
    await signed(signing)
    both = signing.signed(replace(ALICE, trace="1" * 32)), signing.signed(replace(ALICE, trace="2" * 32))
    assert both[0].trace not in ("1" * 32, "2" * 32)
    assert both[1].trace == "2" * 32


async def test_as_many_are_signed_ahead_as_came_at_once(signing: Signing, made: list[Assertion]) -> None:
    for _ in range(3):
        signing.signed(replace(ALICE, trace=new_trace()))
    assert len(made) == 3, "those that wait for an answer come first"
    await asyncio.sleep(4 * REST_S)
    assert len(made) == 6
    for _ in range(3):
        signing.signed(replace(ALICE, trace=new_trace()))
    assert len(made) == 6
    await asyncio.sleep(4 * REST_S)
    assert len(made) == 9


async def test_of_very_many_not_all_are_signed_ahead(signing: Signing, made: list[Assertion]) -> None:
    for _ in range(10 * AT_MOST):
        signing.signed(replace(ALICE, trace=new_trace()))
    await asyncio.sleep(20 * REST_S)
    assert len(made) <= 10 * AT_MOST + AT_MOST + 1


async def test_nobody_is_given_somebody_else_s(signing: Signing) -> None:
    await signed(signing)
    assert verify((await signed(signing, BOB)).token, KEY) == BOB


async def test_one_that_waited_long_is_not_used(signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    await signed(signing)
    now = time.monotonic()
    monkeypatch.setattr(signing._shelves, "_clock", lambda: now + AHEAD_S + 1)
    assert (await signed(signing)).trace == ALICE.trace
    assert AHEAD_S < LIFETIME_S / 2


async def test_after_a_change_of_the_key_the_new_one_signs(signing: Signing, tmp_path: Path) -> None:
    await signed(signing)
    deliver(tmp_path, assertion_private_key=NEXT.as_pem(private=True).decode())
    one = await signed(signing)
    assert verify(one.token, NEXT).trace == one.trace
    with pytest.raises(InvalidAssertionError):
        verify(one.token, KEY)


def test_a_token_is_not_in_what_is_printed() -> None:
    assert "canary" not in repr(Signed("1", "canary"))
