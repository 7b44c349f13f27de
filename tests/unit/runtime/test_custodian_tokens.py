"""Access tokens: what is good is taken for what it says; everything else is refused."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey, RSAKey

from runtime.contract import Kind
from runtime.custodian import tokens
from runtime.custodian.subject import ForbiddenError, UnauthenticatedError, UnavailableError
from runtime.custodian.tokens import LEEWAY_S, MAX_TOKEN_BYTES, Keys, Rules, Verifier
from tests.unit.runtime.realm import AUDIENCE, AUDITOR, DEMO_CLIENT, ISSUER, JWKS_URL, POLICIES, Realm, agent, claims

RULES = Rules(issuer=ISSUER, audience=AUDIENCE, demo_client=DEMO_CLIENT, auditor_role=AUDITOR)
NOW = int(time.time())


@pytest.fixture(scope="module")
def realm() -> Realm:
    return Realm()


def verifier(realm: Realm) -> Verifier:
    return Verifier(RULES, Keys(JWKS_URL, realm.http()), POLICIES)


class Clock:
    """``time`` as the module under test sees it; moved by hand."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead

    def time(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(tokens, "time", moved)
    return moved


class TestGood:
    @pytest.mark.parametrize("which", ["rsa", "ec"])
    async def test_a_person(self, realm: Realm, which: str) -> None:
        subject = await verifier(realm).subject(realm.sign(claims(), getattr(realm, which)))
        assert (subject.name, subject.kind, subject.role, subject.department) == (
            "alice",
            Kind.PERSON,
            "engineer",
            "research",
        )
        assert subject.sub == claims()["sub"]
        assert (subject.credential, subject.demo) == ("oidc", False)

    async def test_an_agent(self, realm: Realm) -> None:
        subject = await verifier(realm).subject(realm.sign(agent("nightly-report")))
        assert (subject.name, subject.kind) == ("nightly-report", Kind.AGENT)
        assert (subject.role, subject.department) == ("analyst", "finance")

    async def test_the_demonstration_is_marked(self, realm: Realm) -> None:
        token = realm.sign(claims(azp=DEMO_CLIENT))
        assert (await verifier(realm).subject(token)).demo
        elsewhere = Verifier(replace(RULES, demo_client=""), Keys(JWKS_URL, realm.http()), POLICIES)
        assert not (await elsewhere.subject(token)).demo

    async def test_the_first_declared_role_wins_whatever_the_order_in_the_token(self, realm: Realm) -> None:
        token = realm.sign(claims(roles=["analyst", "engineer", "uma_authorization"]))
        assert (await verifier(realm).subject(token)).role == "engineer"

    async def test_clocks_may_differ_a_little(self, realm: Realm) -> None:
        now = int(time.time())
        early = realm.sign(claims(iat=now + LEEWAY_S - 5, nbf=now + LEEWAY_S - 5))
        assert (await verifier(realm).subject(early)).name == "alice"


class TestNoPolicy:
    @pytest.mark.parametrize(
        "changes",
        [
            {"roles": ["stranger"]},
            {"roles": None},
            {"roles": "engineer-in-a-string-is-no-list"},
            {"department": None},
            {"department": []},
            {"department": ["nowhere"]},
        ],
    )
    async def test_known_but_without_role_or_department(self, realm: Realm, changes: dict[str, Any]) -> None:
        with pytest.raises(ForbiddenError):
            await verifier(realm).subject(realm.sign(claims(**changes)))

    @pytest.mark.parametrize(
        ("azp", "username"),
        [
            ("praxis-consoles", "service-account-praxis-consoles"),
            ("praxis-cli", "service-account-agent-nightly-report"),
            ("agent-other", "service-account-agent-nightly-report"),
            ("alice", "service-account-alice"),
        ],
    )
    async def test_a_service_account_that_is_no_agents(self, realm: Realm, azp: str, username: str) -> None:
        """Neither another client's account nor a person with such a user name is taken for an agent."""
        with pytest.raises(ForbiddenError):
            await verifier(realm).subject(realm.sign(claims(azp=azp, preferred_username=username)))


class TestRefused:
    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "http://evil.example/realms/praxis"},
            {"iss": None},
            {"iss": ISSUER + "/"},
            {"aud": "account"},
            {"aud": None},
            {"aud": []},
            {"sub": None},
            {"exp": None},
            {"exp": NOW - LEEWAY_S - 5},
            {"exp": "tomorrow"},
            {"nbf": NOW + 3600},
            {"iat": NOW + 3600},
            {"typ": "ID"},
            {"typ": "Refresh"},
            {"typ": None},
        ],
        ids=lambda changes: "-".join(
            f"{k}={v - NOW:+d}" if isinstance(v, int) else f"{k}={v}" for k, v in changes.items()
        )[:40],
    )
    async def test_a_claim_that_is_wrong_or_missing(self, realm: Realm, changes: dict[str, Any]) -> None:
        with pytest.raises(UnauthenticatedError) as caught:
            await verifier(realm).subject(realm.sign(claims(**changes)))
        assert "evil" not in str(caught.value)

    async def test_signed_by_nobody(self, realm: Realm) -> None:
        for alg in ("none", "None", "NONE"):
            for tail in ("", "AAAA"):
                token = ".".join((part({"alg": alg, "kid": "rsa-1"}), part(claims()), tail))
                with pytest.raises(UnauthenticatedError):
                    await verifier(realm).subject(token)

    async def test_key_confusion(self, realm: Realm) -> None:
        """A public key is public: used as the secret of an HMAC it must open nothing (RFC 8725, 3.1)."""
        secrets = [
            realm.rsa.as_pem(private=False),
            realm.rsa.as_pem(private=False).strip(),
            realm.rsa.as_der(private=False),
            json.dumps(realm.rsa.as_dict(private=False)).encode(),
        ]
        for alg, name in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512"), ("RS256", "sha256")):
            signed = ".".join((part({"alg": alg, "kid": "rsa-1"}), part(claims())))
            for secret in secrets:
                mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), name)).rstrip(b"=").decode()
                with pytest.raises(UnauthenticatedError):
                    await verifier(realm).subject(f"{signed}.{mac}")

    async def test_signed_by_somebody_else_with_the_realms_key_id(self, realm: Realm) -> None:
        for forged in (
            RSAKey.generate_key(2048, {"kid": "rsa-1", "alg": "RS256"}),
            ECKey.generate_key("P-256", {"kid": "ec-1", "alg": "ES256"}),
            ECKey.generate_key("P-256", {"kid": "rsa-1", "alg": "ES256"}),
        ):
            with pytest.raises(UnauthenticatedError):
                await verifier(realm).subject(realm.sign(claims(), forged))

    async def test_a_key_brought_along_is_not_used(self, realm: Realm) -> None:
        forged = RSAKey.generate_key(2048, {"kid": "mine", "alg": "RS256"})
        own = forged.as_dict(private=False)
        for header in ({"jwk": own}, {"jku": "http://evil.example/jwks"}, {"x5u": "http://evil.example/x5"}):
            for kid in ("mine", "rsa-1"):
                with pytest.raises(UnauthenticatedError):
                    await verifier(realm).subject(realm.sign(claims(), forged, **{**header, "kid": kid}))

    async def test_the_realms_encryption_key_signs_nothing(self, realm: Realm) -> None:
        signer = RSAKey.import_key({**realm.encryption.as_dict(private=True), "use": "sig", "alg": "RS256"})
        with pytest.raises(UnauthenticatedError):
            await verifier(realm).subject(realm.sign(claims(), signer))

    async def test_without_a_key_id_or_with_an_unknown_critical_header(self, realm: Realm) -> None:
        for header in ({"kid": 7}, {"kid": None}, {"crit": ["x"], "x": 1}):
            with pytest.raises(UnauthenticatedError):
                await verifier(realm).subject(tampered(realm.sign(claims()), header))

    @pytest.mark.parametrize("size", [MAX_TOKEN_BYTES + 1, 100_000])
    async def test_oversize(self, realm: Realm, size: int) -> None:
        for token in ("x" * size, realm.sign(claims(pad="x" * size))):
            with pytest.raises(UnauthenticatedError):
                await verifier(realm).subject(token)

    @settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(text=st.text(max_size=300) | st.from_regex(r"\A[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]*\Z"))
    async def test_any_text(self, realm: Realm, text: str) -> None:
        with pytest.raises(UnauthenticatedError):
            await verifier(realm).subject(text)

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        header=st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=10),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["alg", "kid", "b64"]), inner),
            max_leaves=6,
        )
    )
    async def test_any_header(self, realm: Realm, header: Any) -> None:
        with pytest.raises(UnauthenticatedError):
            await verifier(realm).subject(f"{part(header)}.{part(claims())}.AAAA")

    @settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 5))
    async def test_one_changed_character(self, realm: Realm, position: float, bit: int) -> None:
        """Any change that changes what a token decodes to breaks it."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        token = realm.sign(claims())
        index = int(position * len(token))
        if token[index] == ".":
            changed = token[:index] + token[index + 1 :]
        else:
            changed = token[:index] + alphabet[alphabet.index(token[index]) ^ (1 << bit)] + token[index + 1 :]
            if [decoded(p) for p in changed.split(".")] == [decoded(p) for p in token.split(".")]:
                return  # only the unused bits at the end of a part differ
        with pytest.raises((UnauthenticatedError, ForbiddenError)):
            await verifier(realm).subject(changed)

    async def test_deeply_nested_json(self, realm: Realm) -> None:
        nested = base64.urlsafe_b64encode(b"[" * 4000).decode().rstrip("=")
        for token in (f"{nested}.e30.AAAA", f"{part({'alg': 'RS256', 'kid': 'rsa-1'})}.{nested}.AAAA"):
            with pytest.raises(UnauthenticatedError):
                await verifier(realm).subject(token)


class TestKeys:
    async def test_fetched_once_and_kept(self, clock: Clock) -> None:
        realm = Realm()
        checks = verifier(realm)
        for number in range(3):
            await checks.subject(realm.sign(claims(jti=str(number))))
        assert realm.asked == 1

    async def test_a_rotation_is_followed(self, clock: Clock) -> None:
        realm = Realm()
        checks = verifier(realm)
        await checks.subject(realm.sign(claims()))
        new = RSAKey.generate_key(2048, {"kid": "rsa-2", "use": "sig", "alg": "RS256"})
        realm.published = [new]
        clock.ahead += 6
        assert (await checks.subject(realm.sign(claims(jti="new"), new))).name == "alice"
        with pytest.raises(UnauthenticatedError):
            await checks.subject(realm.sign(claims(jti="old")))

    async def test_invented_key_ids_do_not_hammer_the_realm(self, clock: Clock) -> None:
        realm = Realm()
        checks = verifier(realm)
        await checks.subject(realm.sign(claims()))
        for number in range(50):
            with pytest.raises(UnauthenticatedError):
                await checks.subject(tampered(realm.sign(claims()), {"kid": f"invented-{number}"}))
        assert realm.asked <= 2

    async def test_without_keys_nothing_is_decided(self, clock: Clock) -> None:
        realm = Realm()
        realm.down = True
        checks = verifier(realm)
        with pytest.raises(UnavailableError):
            await checks.subject(realm.sign(claims()))
        with pytest.raises(UnavailableError):
            await checks.ready()
        realm.down = False
        clock.ahead += 6
        assert (await checks.subject(realm.sign(claims()))).name == "alice"

    async def test_known_keys_serve_while_the_realm_is_away_but_not_for_ever(self, clock: Clock) -> None:
        """A key that was withdrawn while nobody could be asked must not stay good without an end."""
        realm = Realm()
        checks = verifier(realm)
        await checks.subject(realm.sign(claims()))
        realm.down = True
        clock.ahead += 600
        long = {"exp": int(time.time()) + 9 * 3600}
        assert (await checks.subject(realm.sign(claims(jti="a", **long)))).name == "alice"
        clock.ahead += 4 * 3600
        with pytest.raises(UnavailableError):
            await checks.subject(realm.sign(claims(jti="b", **long)))

    async def test_one_odd_key_does_not_take_the_others_away(self, clock: Clock) -> None:
        realm = Realm()
        realm.odd = [{"kty": "NEW-KIND", "kid": "odd", "use": "sig"}, {"kty": "RSA", "kid": "half", "use": "sig"}]
        assert (await verifier(realm).subject(realm.sign(claims()))).name == "alice"


async def test_a_remembered_token_ends_when_it_ends(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "LEEWAY_S", 0)
    checks = verifier(realm)
    token = realm.sign(claims(exp=int(time.time()) + 2))
    await checks.subject(token)
    await checks.subject(token)
    await asyncio.sleep(2.1)
    with pytest.raises(UnauthenticatedError):
        await checks.subject(token)


async def test_what_was_remembered_is_bounded(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "REMEMBERED", 3)
    checks = verifier(realm)
    for number in range(6):
        await checks.subject(realm.sign(claims(jti=str(number))))
    assert len(checks._known) == 3


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def tampered(token: str, header: dict[str, Any]) -> str:
    head, body, signature = token.split(".")
    return ".".join((part({**json.loads(decoded(head)), **header}), body, signature))
