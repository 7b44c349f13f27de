"""Every book of a day, read one after the other: the ledger first, so that what comes meanwhile is no finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import httpx

from config.stack import Stack
from infra.cli.console import CommandError
from infra.cli.custodian import TOKEN, custodian
from infra.cli.loading import Loaded
from infra.drift.gateway import client
from infra.reconcile.books import Book, Day, Item, record
from infra.reconcile.reconciling import COMPARED, Seen, reconciled
from infra.reconcile.report import Look, Report
from infra.reconcile.spend import rows
from infra.reconcile.traces import traces
from runtime.store import Store

LANGFUSE = Look(state="not compared", why="the traces are in Langfuse, whose API is not on the operator's entrance")


def look(loaded: Loaded, day: Day, only: str | None = None) -> Report:
    """Read every book. What cannot be looked at is in the report as such. ``only``: one subject's part of it.

    Raises:
        CommandError: the custodian does not answer, and without the ledger there is nothing to compare with.
    """
    store = loaded.store()
    begins, ends = day.span
    with custodian(loaded.stack, store.get(TOKEN)) as asked:
        records = [record(one) for one in asked.ledger(begins, ends)]
    seen = {
        Book.LITELLM: _seen(lambda: _spent(loaded.stack, store, day)),
        Book.TRACES: _seen(lambda: traces(loaded.name, begins, ends))
        if loaded.stack.observability.backend == "mlflow"
        else Seen(LANGFUSE),
    }
    return reconciled(loaded.name, day, records, seen, only)


def _spent(stack: Stack, store: Store, day: Day) -> list[Item]:
    with client(stack, store.get("litellm-master-key")) as http:
        return list(rows(http, *day.span))


def _seen(read: Callable[[], Iterable[Item]]) -> Seen:
    try:
        return Seen(COMPARED, tuple(read()))
    except (httpx.HTTPError, KeyError, ValueError, TypeError, ArithmeticError, CommandError) as error:
        return Seen(Look(state="unseen", why=f"{type(error).__name__}: {error}"[:300]))
