"""The decision at the egress: which credential goes with a request to a provider, and whether one goes at all.

A request gets one only with the ticket of an admitted record that has not ended, only on the path of the provider
that serves the record's model, and only when it carries no other credential: a poisoned package in LiteLLM's process
can neither send to an account of its own nor spend the company's key off the record.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from runtime.providers import CredentialHeader, Upstream, Upstreams
from runtime.wire import COUNT_PATH, EGRESS_PLACEHOLDER, PROFILE_PATH, TICKET_HEADER

LIFETIME_S = 900.0
"""After this the reaper has written *aborted*; an answer that has begun goes on, a new call does not."""
QUESTION_S = 30.0
"""How long a question of the custodian's own may take to get to the egress."""
MAX_CALLS = 3
"""Calls that one admitted record may make: the request itself, and what a client library tries again."""

HEADERS: tuple[CredentialHeader, ...] = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
QUERY = frozenset({"beta", "alt", "api-version"})
"""Parameters that providers' APIs need; some also take a key there, so no other passes."""

Payer = Literal["company", "user"]
Secret = Callable[[str], str | None]
"""The value of a secret by its name; ``None`` when it is not delivered."""


class EgressError(Exception):
    """The request does not go out. ``code`` is a short machine-readable reason; the message holds no value."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Admission:
    """One admitted request that a provider is to answer."""

    trace: str
    upstream: str
    token: str | None = field(repr=False)
    """The caller's own token, which pays in place of the company's key; held here and nowhere else."""
    until: float
    payer: Payer = "company"
    counting: bool = False
    """Only the size of the request is asked for, which costs nothing: its ticket is good for that alone."""
    calls: int = 0
    ended: bool = False


@dataclass
class Egress:
    """Open admissions, in memory alone: after a restart what was on its way is refused and tried again."""

    upstreams: Upstreams
    secret: Secret
    clock: Callable[[], float] = time.monotonic
    max_calls: int = MAX_CALLS
    _open: dict[str, Admission] = field(default_factory=dict, repr=False)
    _tickets: dict[str, str] = field(default_factory=dict, repr=False)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)
    _questions: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def keep(self, trace: str, token: str) -> None:
        """Hold the caller's own token until the request of ``trace`` is admitted or refused."""
        self._forget_old()
        self._tokens[trace] = (token, self.clock() + LIFETIME_S)

    def question(self, token: str) -> str:
        """A ticket for one question to Anthropic, whose ``token`` is. LiteLLM is never given one."""
        self._forget_old()
        ticket = secrets.token_urlsafe(24)
        self._questions[ticket] = (token, self.clock() + QUESTION_S)
        return ticket

    def check(self, trace: str, model: str) -> Payer:
        """Whose credential will go with the request of ``trace`` to ``model``, before it is recorded.

        Raises:
            EgressError: none will.
        """
        token, _ = self._tokens.get(trace, (None, 0.0))
        found = self.upstreams.of(model)
        if found is None:
            return "company"
        _, upstream = found
        if token is not None and not upstream.user_tokens:
            raise EgressError("user_token_refused", f"model '{model}' takes no token of your own: send none")
        if token is None and upstream.secret is None:
            raise EgressError("user_token_missing", f"model '{model}' needs your own token as Authorization: Bearer")
        return "company" if token is None else "user"

    def admit(self, trace: str, model: str, payer: Payer = "company", *, counting: bool = False) -> str | None:
        """The ticket of a request whose record has just been written; ``None`` when its model is a local one.

        Args:
            payer: as :meth:`check` said before that; what it said of the caller is never paid for by the company.
            counting: it goes to where tokens are counted and nowhere else.
        """
        token, _ = self._tokens.pop(trace, (None, 0.0))
        found = self.upstreams.of(model)
        if found is None:
            return None
        self._forget_old()
        ticket = secrets.token_urlsafe(24)
        self._open[ticket] = Admission(trace, found[0], token, self.clock() + LIFETIME_S, payer, counting)
        self._tickets[trace] = ticket
        return ticket

    def end(self, trace: str) -> Admission | None:
        """The request has ended, or is refused: its ticket is void, and its caller's token is let go of.

        Returns what was admitted (``None`` for a local model), until :meth:`forget`: an ending that could not be
        recorded is told again.
        """
        self._tokens.pop(trace, None)
        admission = self._open.get(self._tickets.get(trace, ""))
        if admission is not None:
            admission.ended = True
        return admission

    def forget(self, trace: str) -> None:
        """The ending is recorded."""
        ticket = self._tickets.pop(trace, None)
        if ticket is not None:
            self._open.pop(ticket, None)

    def decide(self, method: str, uri: str, headers: Mapping[str, str]) -> dict[str, str]:
        """The credential header to put on a request (header name -> value).

        Args:
            uri: path and query as LiteLLM asked for them; the first part of the path names the provider.
            headers: of LiteLLM's request, names in lower case.

        Raises:
            EgressError: it does not go out.
        """
        parts = urlsplit(uri)
        if parts.path == PROFILE_PATH:
            return self._asked(method, parts.query, headers)
        admission = self._open.get(headers.get(TICKET_HEADER, ""))
        if admission is None or admission.ended or admission.until < self.clock():
            raise EgressError("not_admitted", "no admitted record goes with this request")
        if method != "POST" or parts.path.split("/")[1:2] != [admission.upstream]:
            raise EgressError("other_provider", "the admitted record is for another provider")
        if parts.path.endswith(COUNT_PATH) != admission.counting:
            raise EgressError("other_call", "the admitted record is for another call")
        if unknown := sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - QUERY):
            raise EgressError("unknown_parameter", f"query parameters that do not go out: {', '.join(unknown)[:200]}")
        upstream = self.upstreams.upstreams[admission.upstream]
        self._refuse_other_credentials(headers)
        if admission.calls >= self.max_calls:
            raise EgressError("too_many_calls", f"one admitted record makes at most {self.max_calls} calls")
        credential = self._credential(upstream, admission)
        admission.calls += 1
        return credential

    def _asked(self, method: str, query: str, headers: Mapping[str, str]) -> dict[str, str]:
        """For a question of the custodian's own."""
        token, until = self._questions.pop(headers.get(TICKET_HEADER, ""), ("", 0.0))
        if method != "GET" or query or until < self.clock():
            raise EgressError("not_asked", "the custodian has not asked this")
        self._refuse_other_credentials(headers)
        return {"authorization": f"Bearer {token}"}

    def _credential(self, upstream: Upstream, admission: Admission) -> dict[str, str]:
        if admission.token is not None:
            return {"authorization": f"Bearer {admission.token}"}
        if admission.payer == "user":
            raise EgressError("no_credential", "the caller's own token is not here any more")
        value = self.secret(upstream.secret) if upstream.secret else None
        if not value:
            raise EgressError("no_credential", f"the secret '{upstream.secret}' is not delivered")
        return {upstream.header: upstream.prefix + value.strip()}

    @staticmethod
    def _refuse_other_credentials(headers: Mapping[str, str]) -> None:
        for name in HEADERS:
            given = headers.get(name)
            if given is not None and given.removeprefix("Bearer ") != EGRESS_PLACEHOLDER:
                raise EgressError("unknown_credential", f"the request carries a credential of its own in {name}")

    def _forget_old(self) -> None:
        """Let go of what was never ended; both tables are in order of time, so only their beginnings are looked at."""
        now = self.clock()
        while self._open and (oldest := next(iter(self._open.items())))[1].until < now:
            del self._open[oldest[0]]
            self._tickets.pop(oldest[1].trace, None)
        while self._tokens and (kept := next(iter(self._tokens.items())))[1][1] < now:
            del self._tokens[kept[0]]
        while self._questions and (asked := next(iter(self._questions.items())))[1][1] < now:
            del self._questions[asked[0]]
