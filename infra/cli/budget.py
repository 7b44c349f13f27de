"""``praxis budget``: what is spent, what is left, and more for somebody for a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from infra.cli import edge
from infra.cli.console import CommandError, Exit, emit_json, say, table
from infra.cli.custodian import TOKEN, custodian
from infra.cli.keycloak import signed_in
from infra.cli.loading import Loaded
from infra.cli.values import duration
from runtime.contract import BudgetRaise, plain, resolve

ALLOWED = "--usd above 0 with at most 6 decimals, --for 1m to 31d, --why of 3 to 200 characters"


@dataclass(frozen=True, kw_only=True)
class Row:
    """How a subject stands. Amounts are text: exact, as the ledger holds them. ``None``: its policy is in its token."""

    subject: str
    period: str
    budget_usd: str | None
    raised_usd: str
    spent_usd: str
    reserved_usd: str
    left_usd: str | None


def show(loaded: Loaded, subject: str | None, *, as_json: bool) -> None:
    """Every subject's budget, or one's.

    Raises:
        CommandError: no such subject, or the custodian does not answer.
    """
    if subject is not None and subject not in loaded.stack.subjects():
        raise edge.unknown(loaded.stack, subject)
    with custodian(loaded.stack, loaded.store().get(TOKEN)) as asked:
        money = asked.money()
    holding = [one for one in money["raises"] if datetime.fromisoformat(one["ends"]) > datetime.now(UTC)]
    rows = [row for row in _rows(loaded, money["spending"], holding) if subject in (None, row.subject)]
    if as_json:
        emit_json({"budgets": [asdict(row) for row in rows], "raises": holding})
        return
    columns = ["subject", "period", "budget", "raised", "spent", "reserved", "left"]
    table("Budgets (USD)", columns, [[str(value or "-") for value in asdict(row).values()] for row in rows])
    if holding:
        shown = [[one[key] for key in ("name", "usd", "ends", "why")] for one in holding]
        table(
            "Raises that hold",
            ["subject", "USD", "until", "why"],
            shown,
        )


def _rows(loaded: Loaded, spending: list[dict[str, Any]], holding: list[dict[str, Any]]) -> Iterator[Row]:
    policies, declared = loaded.stack.policies(loaded.name), loaded.stack.subjects()
    spent = {(one["name"], one["period"]): one for one in spending}
    for name, own in declared.items():
        budget = resolve(policies, role=own.role, department=own.department, subject=name).budget
        found = spent.get((name, budget.period), {})
        raised = sum((Decimal(one["usd"]) for one in holding if one["name"] == name), Decimal(0))
        used = Decimal(found.get("spent_usd", 0)) + Decimal(found.get("reserved_usd", 0))
        yield Row(
            subject=name,
            period=budget.period,
            budget_usd=f"{budget.usd:f}",
            raised_usd=f"{raised:f}",
            spent_usd=found.get("spent_usd", "0"),
            reserved_usd=found.get("reserved_usd", "0"),
            left_usd=plain(max(budget.usd + raised - used, Decimal(0))),
        )
    for (name, period), found in spent.items():
        if name not in declared:
            amounts = {key: found[key] for key in ("spent_usd", "reserved_usd")}
            yield Row(subject=str(name), period=period, budget_usd=None, raised_usd="0", left_usd=None, **amounts)


def raise_budget(loaded: Loaded, subject: str, usd: str, lasts: str, why: str) -> None:
    """Let a subject spend more for a time.

    Raises:
        CommandError: bad input, no such subject, or the stack does not answer.
    """
    if subject not in loaded.stack.subjects():
        raise edge.unknown(loaded.stack, subject)
    wanted = _checked(subject, usd, lasts, why)
    store = loaded.store()
    with signed_in(loaded.stack, store) as admin:
        sub = admin.subject_id(subject, agent=subject in loaded.stack.agents)
    with custodian(loaded.stack, store.get(TOKEN)) as asked:
        body = wanted.model_copy(update={"sub": sub}).model_dump(mode="json")
        ends = asked.post("/budgets/raises", body)["ends"]
    say(f"{subject} may spend {wanted.usd:f} USD more until {ends}; it is in the audit chain")


def _checked(subject: str, usd: str, lasts: str, why: str) -> BudgetRaise:
    span = duration(lasts, "--for")
    given = {"usd": ("--usd", usd), "seconds": ("--for", lasts), "why": ("--why", why)}
    try:
        return BudgetRaise.model_validate(
            {
                **{"sub": "-", "name": subject, "usd": usd, "why": why},
                "seconds": int(span.total_seconds()) if span else 0,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        option, text = given[str(first["loc"][0])]
        raise CommandError(f"{option} '{text}': {first['msg']}", fix=ALLOWED, code=Exit.USAGE) from None
