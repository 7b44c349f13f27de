"""Assertions, some of each subject signed ahead: a signature is the dearest step on the way of a request."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace

from runtime.assertion import LIFETIME_S, Assertion, sign
from runtime.assertion import key as key_of
from runtime.custodian.remembering import Lately
from runtime.custodian.traces import new_trace
from runtime.with_secrets import Delivered

AHEAD_S = LIFETIME_S / 3
"""How long those that are signed ahead wait to be used: most of their life is still before them then."""
SUBJECTS = 1000
AT_MOST = 16
"""Signed ahead of one subject: as many as it asks for at once."""
REST_S = 0.005
"""After a request, before the next ones are signed: those that came with it have their answers by then."""


@dataclass(frozen=True)
class Signed:
    """An assertion about a request of ``trace``."""

    trace: str
    token: str = field(repr=False)


class _Shelf:
    """What is signed ahead of one subject, and how many of it were taken and not signed anew yet."""

    def __init__(self) -> None:
        self.signed: deque[Signed] = deque()
        self.wanted = 0


class Signing:
    """``key``: the private key, in PEM."""

    def __init__(self, key: Delivered) -> None:
        self._key = key
        self._shelves: Lately[tuple[Assertion, str], _Shelf] = Lately(AHEAD_S, SUBJECTS)

    def signed(self, about: Assertion) -> Signed:
        """``about``, signed; of the trace of one that was signed ahead, if there is one."""
        kept = replace(about, trace=""), self._key.value
        shelf = self._shelves.get(kept)
        if shelf is None:
            shelf = _Shelf()
            self._shelves.put(kept, shelf)
        if shelf.wanted == 0:
            asyncio.get_running_loop().call_later(REST_S, self._sign_ahead, kept, shelf)
        if shelf.wanted + len(shelf.signed) <= AT_MOST:
            shelf.wanted += 1
        # A trace is one request's, so it is taken off.
        return shelf.signed.popleft() if shelf.signed else Signed(about.trace, sign(about, key_of(kept[1])))

    def _sign_ahead(self, kept: tuple[Assertion, str], shelf: _Shelf) -> None:
        """One, and the next one after what else has come meanwhile."""
        trace, (about, key) = new_trace(), kept
        shelf.signed.append(Signed(trace, sign(replace(about, trace=trace), key_of(key))))
        shelf.wanted -= 1
        if shelf.wanted:
            asyncio.get_running_loop().call_soon(self._sign_ahead, kept, shelf)
