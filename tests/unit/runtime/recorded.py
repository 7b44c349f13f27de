"""Requests of alice, as the custodian records them."""

from __future__ import annotations

import secrets
from decimal import Decimal
from typing import Any

from runtime.assertion import Assertion
from runtime.contract import Budget, Kind
from runtime.custodian.database import Database, Request
from runtime.custodian.ledger import Claim
from runtime.custodian.subject import Subject

ALICE = Subject(
    sub="sub-of-alice",
    name="alice",
    kind=Kind.PERSON,
    role="engineer",
    department="research",
    credential="oidc",
    demo=True,
)
MONTH = Budget(usd=Decimal(5), period="month")


def asking(usd: str = "0", budget: Budget = MONTH) -> Request:
    """A request that could cost so much."""
    claim = Claim(usd=Decimal(usd), budget=budget)
    return Request(dialect="openai", model="small", prompt_digest="d" * 64, claim=claim)


ASKED = asking()


def about(subject: Subject = ALICE, trace: str | None = None) -> Assertion:
    return Assertion(
        sub=subject.sub,
        name=subject.name,
        kind=subject.kind,
        department=subject.department,
        role=subject.role,
        policy="p" * 64,
        trace=trace or secrets.token_hex(16),
        credential=subject.credential,
        demo=subject.demo,
    )


def ending(**changes: Any) -> dict[str, Any]:
    base = {"status": 200, "input_tokens": 7, "output_tokens": 3, "guards": {"verdict": "clean"}, "reason": None}
    base |= {"provider_calls": 1, "cache_read_tokens": 0, "cache_write_tokens": 0}
    return {**base, **changes}


async def admitted(database: Database, subject: Subject = ALICE, request: Request = ASKED) -> str:
    entry = about(subject)
    assert await database.admit(entry, request) is None
    return entry.trace


async def spent(database: Database, sub: str = ALICE.sub, budget: Budget = MONTH) -> Decimal:
    """What somebody has spent in the running period."""
    return (await database.standing(sub, budget)).spent
