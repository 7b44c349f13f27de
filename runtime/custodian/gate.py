"""The decision at the edge: who is it, what may it, and can it still pay. Everything that fails, refuses."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, lru_cache

from runtime.assertion import HEADER, Assertion
from runtime.contract import EffectivePolicy, Policies, PolicyError, pick_department, pick_role, plain, resolve
from runtime.custodian.database import AWAY, KNOWN, Database
from runtime.custodian.directory import Directory
from runtime.custodian.egress import Egress
from runtime.custodian.enrolments import Enrolments
from runtime.custodian.hashed import digest
from runtime.custodian.ledger import Standing
from runtime.custodian.litellm import Accounts
from runtime.custodian.signing import Signing
from runtime.custodian.subject import ForbiddenError, Subject, UnauthenticatedError, UnavailableError, placed
from runtime.custodian.tokens import Verifier
from runtime.custodian.virtual_keys import Terms
from runtime.dialect import Dialect, Refusal

KEY_HEADER = "x-praxis-key"
"""Where a caller says who it is when ``Authorization`` holds a token of its own for the provider."""
USER_TOKEN = re.compile(r"sk-ant-oat[0-9]{2}-[A-Za-z0-9_-]{8,500}")
"""The form of the token that Anthropic's clients hold after a user's sign-in; nothing else is passed on for a user."""
KEY_PREFIX = "sk-praxis-"
NOT_LET_IN = (UnauthenticatedError, ForbiddenError, PolicyError, UnavailableError)
"""Why a caller is not let in."""


def credential(headers: Mapping[str, str]) -> str:
    """The caller's credential: ``x-praxis-key``, else ``Authorization: Bearer``, else ``x-api-key`` (Anthropic's), else
    ``x-goog-api-key`` (Gemini's).

    Raises:
        UnauthenticatedError: there is none.
    """
    if headers.get(KEY_HEADER, "").strip():
        return headers[KEY_HEADER].strip()
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for name in ("x-api-key", "x-goog-api-key"):
        if headers.get(name, "").strip():
            return headers[name].strip()
    raise UnauthenticatedError("no credential: send Authorization: Bearer or x-api-key")


def user_token(headers: Mapping[str, str]) -> str | None:
    """The caller's own token for Anthropic, given as ``Authorization: Bearer``."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    return token.strip() if USER_TOKEN.fullmatch(token.strip()) else None


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The parts that decide together."""

    policies: Policies
    verifier: Verifier
    database: Database
    accounts: Accounts
    signing: Signing
    egress: Egress
    directory: Directory
    enrolments: Enrolments

    @cached_property
    def _resolved(self) -> Callable[[str, str, str, str], tuple[EffectivePolicy, str]]:
        """The effective policy of (role, department, name, actor) with its digest, each worked out once: neither
        changes while the custodian runs."""

        @lru_cache(maxsize=KNOWN)
        def resolved(role: str, department: str, name: str, actor: str) -> tuple[EffectivePolicy, str]:
            policy = resolve(self.policies, role=role, department=department, subject=name, actor=actor)
            return policy, policy.digest()

        return resolved

    async def pass_on(self, headers: Mapping[str, str], trace: str, dialect: Dialect) -> dict[str, str] | Refusal:
        """Headers to put on the request, or why it is refused. ``trace``: of the refusal; one that is let in may have
        another."""
        try:
            subject, own = await self.caller(headers)
            subject = await self._present(subject)
            policy, known_as = self._resolved(subject.role, subject.department, subject.name, subject.actor)
            if subject.actor:
                subject = replace(subject, actor_sub=await self.directory.agent(subject.actor))
            about = assertion(subject, known_as, trace)
            now = await self.database.standing_lately(subject.sub, policy.budget)
            if now.used_up and own is None:  # what the caller's own account pays for is in no budget
                refusal = used_up(now)
                await self.database.refuse(
                    about,
                    {"dialect": dialect.value, "model": "-", "status": 429, "reason": refusal.code},
                )
                return refusal
            key = await self.accounts.ensure(subject, raised(policy, now))
        except NOT_LET_IN as error:
            return refusal_of(error)
        except AWAY:
            return Refusal(status=503, code="unavailable", message="cannot be decided now: the ledger is away")
        signed = self.signing.signed(about)
        if own is not None:
            self.egress.keep(signed.trace, own)
        return {
            "authorization": f"Bearer {key}",
            HEADER: signed.token,
            "traceparent": f"00-{signed.trace}-{secrets.token_hex(8)}-01",
        }

    async def caller(self, headers: Mapping[str, str]) -> tuple[Subject, str | None]:
        """Who asks, and the token of its own account that pays, if it brings one.

        A credential of ours decides. An enrolment stands in for one only beside such a token, and beside a credential
        it has to be the same subject's.

        Raises:
            UnauthenticatedError, ForbiddenError, UnavailableError: as they say.
        """
        enrolment, own = await self.enrolments.of(headers), user_token(headers)
        if enrolment is None:
            subject = await self.subject(credential(headers))
            return subject, own if headers.get(KEY_HEADER, "").strip() else None
        if own is None or headers.get(KEY_HEADER, "").strip():
            subject = await self.subject(credential(headers))
            if subject.sub != enrolment.subject.sub:
                raise ForbiddenError("the enrolment in the base URL is not the credential's subject's")
        else:
            subject = enrolment.subject
        if own is not None:
            await self.enrolments.check_owner(enrolment, own)
        return subject, own

    async def subject(self, given: str) -> Subject:
        """Who holds this credential.

        Raises:
            UnauthenticatedError, ForbiddenError, UnavailableError: as they say.
        """
        if given.startswith(KEY_PREFIX):
            found = await self.database.key_subject(digest(given))
            if found is None:
                raise UnauthenticatedError("the key is not valid")
            return found
        return await self.verifier.subject(given)

    async def _present(self, subject: Subject) -> Subject:
        """``subject``, which may come in, in the role and department that it has now. An access token says what it was
        issued with, ten minutes ago at most; a virtual key and an enrolment are older.

        Raises:
            UnauthenticatedError, ForbiddenError, UnavailableError: as they say.
        """
        account = await self.directory.check(subject)
        if subject.issued is None:
            role, department = placed(self.policies, subject.name, account.roles, account.groups)
            return replace(subject, role=role, department=department)
        now = pick_role(self.policies, account.roles), pick_department(self.policies, account.groups)
        if now != (subject.role, subject.department) and subject.issued >= account.asked:
            await self.directory.ask_again(subject.sub)  # it has signed in since, and was given others
        return subject

    async def signed_in(self, token: str) -> Subject:
        """Who holds this access token, and may still come in. Not an agent that acts for somebody: it may ask models.

        Raises:
            UnauthenticatedError, ForbiddenError, UnavailableError: as they say.
        """
        subject = await self.verifier.subject(token)
        if subject.actor:
            raise ForbiddenError(f"agent '{subject.actor}' may ask models for '{subject.name}', and nothing else")
        await self.directory.check(subject)
        return subject

    def policy(self, subject: Subject | Assertion) -> EffectivePolicy:
        """The subject's effective policy. Raises ``PolicyError`` when there is none."""
        return self._resolved(subject.role, subject.department, subject.name, subject.actor)[0]

    async def new_key(self, subject: Subject, terms: Terms) -> str:
        """A new virtual key of ``subject``; only its hash is kept.

        Raises:
            ForbiddenError: it is for a model that the subject may not use.
        """
        allowed = self.policy(subject).models
        if others := [model for model in terms.models if model not in allowed]:
            raise ForbiddenError(f"no model of yours: {', '.join(others)}; one of: {', '.join(allowed)}")
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        await self.database.add_key(digest(key), subject, terms)
        return key


def assertion(subject: Subject, policy: str, trace: str) -> Assertion:
    """What is signed about this request. ``policy``: digest of the subject's."""
    return Assertion(
        sub=subject.sub,
        name=subject.name,
        kind=subject.kind,
        department=subject.department,
        role=subject.role,
        policy=policy,
        trace=trace,
        credential=subject.credential,
        demo=subject.demo,
        scope=" ".join(subject.models),
        actor=subject.actor,
        actor_sub=subject.actor_sub,
    )


def refusal_of(error: Exception) -> Refusal:
    """How one of :data:`NOT_LET_IN` is said to the caller."""
    if isinstance(error, UnauthenticatedError):
        return Refusal(status=401, code="invalid_api_key", message=str(error))
    if isinstance(error, UnavailableError):
        return Refusal(status=503, code="unavailable", message=f"cannot be decided now: {error}")
    return Refusal(status=403, code="permission_denied", message=str(error))


def raised(policy: EffectivePolicy, now: Standing) -> EffectivePolicy:
    """The policy with its budget as it stands: LiteLLM's own fence is at the same place."""
    if not now.raised:
        return policy
    return policy.model_copy(update={"budget": policy.budget.model_copy(update={"usd": now.limit})})


def used_up(now: Standing) -> Refusal:
    """Nothing is left."""
    text = f"budget used up: {plain(now.limit)} USD per {now.budget.period}; it starts anew with the next one"
    return Refusal(status=429, code="budget_exceeded", message=text, retry=False)


def too_dear(now: Standing, usd: Decimal) -> Refusal:
    """A request that could cost more than is left."""
    if now.used_up:
        return used_up(now)
    of = f"of {plain(now.limit)} USD per {now.budget.period}"
    if now.would_allow(usd):
        text = (
            f"{plain(now.reserved)} USD {of} are reserved for your requests under way; try again when they have ended"
        )
        return Refusal(status=429, code="budget_reserved", message=text, retry=True)
    text = f"this request could cost {plain(usd)} USD, and {plain(now.limit - now.spent)} {of} are left; ask for less"
    return Refusal(status=429, code="budget_exceeded", message=text, retry=False)
