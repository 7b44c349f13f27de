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

    def signed(self, about: Assertion) -> Signed:
        """``about``, signed; of the trace of the one that was signed ahead, if there is one."""
        kept = replace(about, trace=""), self._key.value
        ahead = self._ahead.get(kept)
        self._ahead.forget(kept)  # a trace is one request's
        # When this request has its answer.
        asyncio.get_running_loop().call_soon(self._sign_ahead, *kept)
        return ahead or Signed(about.trace, sign(about, key_of(kept[1])))

    def _sign_ahead(self, about: Assertion, key: str) -> None:
        trace = new_trace()
        self._ahead.put((about, key), Signed(trace, sign(replace(about, trace=trace), key_of(key))))
