"""Assertions, the next one of each subject signed ahead: a signature is the dearest step on the way of a request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from runtime.assertion import LIFETIME_S, Assertion, sign
from runtime.assertion import key as key_of
from runtime.custodian.remembering import Lately
from runtime.custodian.traces import new_trace
from runtime.with_secrets import Delivered

AHEAD_S = LIFETIME_S / 3
"""How long one that is signed ahead waits to be used: most of its life is still before it then."""
SUBJECTS = 1000


@dataclass(frozen=True)
class Signed:
    """An assertion about a request of ``trace``."""

    trace: str
    token: str = field(repr=False)


class Signing:
    """``key``: the private key, in PEM."""

    def __init__(self, key: Delivered) -> None:
        self._key = key
        self._ahead: Lately[tuple[Assertion, str], Signed] = Lately(AHEAD_S, SUBJECTS)
        self._next: set[tuple[Assertion, str]] = set()
        """Of which the next one is about to be signed."""

    def signed(self, about: Assertion) -> Signed:
        """``about``, signed; of the trace of the one that was signed ahead, if there is one."""
        kept = replace(about, trace=""), self._key.value
        ahead = self._ahead.get(kept)
        self._ahead.forget(kept)  # a trace is one request's
        if kept not in self._next:  # one for many at once: each that nobody takes is a signature too many
            self._next.add(kept)
            asyncio.get_running_loop().call_soon(self._sign_ahead, kept)  # when this request has its answer
        return ahead or Signed(about.trace, sign(about, key_of(kept[1])))

    def _sign_ahead(self, kept: tuple[Assertion, str]) -> None:
        self._next.discard(kept)
        trace, (about, key) = new_trace(), kept
        self._ahead.put(kept, Signed(trace, sign(replace(about, trace=trace), key_of(key))))
