"""What the input guard finds, and what it lets through."""

from __future__ import annotations

import base64
import json

import pytest

from runtime.contract import CATEGORIES, GuardAction, GuardCategory, GuardPolicy
from runtime.guards import Guard

SALT = b"salt of the tests"
MASK_ALL = GuardPolicy(**dict.fromkeys(CATEGORIES, GuardAction.MASK))
ALNUM = "aB3dE5gH7jK9mN1pQ2rS4tU6vW8xY0zA1bC2dE3fG4hI5jK6lM7nO8pQ9rS0tU1vW2xY3zA4bC5"
HEX = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9"


def b64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


TRUE: dict[GuardCategory, list[str]] = {
    "card": [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "4111.1111.1111.1111",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3782 822463 10005",
        "6011111111111117",
        "3530111333300000",
        "30569309025904",
        "6212345678901232",
        "\uff14\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11\uff11",
        "\u0664\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661",
        "4111\u200b1111\u20601111\u00ad1111",
        "4111\u00a01111\u20111111\u20131111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "\\u00341111111111111\\u00311",
    ],
    "iban": [
        "DE89370400440532013000",
        "DE89 3704 0044 0532 0130 00",
        "GB82 WEST 1234 5698 7654 32",
        "FR14 2004 1010 0505 0001 3M02 606",
        "nl91abna0417164300",
        "NO93-8601-1117-947",
        "MT84MALT011000012345MTLCAST001S",
    ],
    "ssn": ["219-09-9999", "219 09 9999", "219.09.9999", "900-70-1234", "219\u201109\u20119999"],
    "email": ["alice@example.com", "a.b+c@mail.example.co.uk", "jos\u00e9@example.com", "x@xn--bcher-kva.example"],
    "phone": ["+49 30 901820", "+44 20 7946 0958", "+12127365000", "(212) 736-5000", "212-736-5000", "1-212-736-5000"],
    "credential": [
        "AKIAIOSFODNN7EXAMPLE",
        f"aws_secret_access_key = {ALNUM[:40]}",
        f"aws key '{ALNUM[:40]}'",
        f"AccountKey={ALNUM[:74]}abcdefghijkl==",
        f"ghp_{ALNUM[:36]}",
        f"github_pat_{ALNUM[:60]}",
        f"glpat-{ALNUM[:20]}",
        f"glagent-{ALNUM[:60]}",
        f"xoxb-123456789012-{ALNUM[:24].lower()}",
        f"https://hooks.slack.com/services/T0AAAAAAA/B0AAAAAAA/{ALNUM[:24]}",
        f"sk_live_{ALNUM[:24]}",
        f"rk_live_{ALNUM[:60]}",
        f"sk-{ALNUM[:20]}T3BlbkFJ{ALNUM[:20]}",
        f"sk-proj-{ALNUM[:40]}",
        f"sk-{ALNUM[:30]}",
        f"sk-ant-api03-{ALNUM[:60]}",
        f"sk-praxis-{ALNUM[:20]}_-{ALNUM[:21]}",
        f"AIza{ALNUM[:35]}",
        f"npm_{ALNUM[:36]}",
        f"//registry.example/:_authToken=npm_{ALNUM[:36]}",
        "//registry.example/:_authToken=00000000-1111-2222-3333-444444444444",
        f"pypi-AgEIcHlwaS5vcmc{ALNUM[:70]}",
        f"AC{HEX[:32]}",
        f"SG.{ALNUM[:22]}.{ALNUM[:43]}",
        f"{b64('123456789012345678')}.{ALNUM[:6]}.{ALNUM[:27]}",
        f"123456789:AA{ALNUM[:33]}",
        f"hf_{ALNUM[:34]}",
        f"{HEX[:32]}-us12",
        f"dapi{HEX[:32]}",
        f"hvs.{ALNUM[:24]}",
        f"{b64(json.dumps({'alg': 'HS256'}))}.{b64(json.dumps({'sub': '1'}))}.{ALNUM[:43]}",
        "postgres://app:c0rrect-horse@db.internal/app",
        f"Authorization: Basic {base64.b64encode(b'alice:wonderland').decode()}",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA75\nabc\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIEowIBAAKCAQEA75",
        "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEA\\n-----END OPENSSH PRIVATE KEY-----",
        f"AGE-SECRET-KEY-1{'Q' * 58}",
        f"AKC{ALNUM[:60]}",
        f"ibm_cloud_api_key = '{ALNUM[:44]}'",
    ],
}

FALSE: list[str] = [
    "4111111111111112",  # 16 digits, wrong check digit
    "1234567890123456",
    "1111111111111117",
    "0000000000000000",
    "9999999999999995",  # Luhn holds, no issuer
    "0.4111111111111111",  # decimals
    "x4111111111111111",
    "4111111111111111f",
    "41111111111111111111111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2 5 3",  # a row of numbers
    "1700000000000",
    "1700000000000000000",
    "2024-01-31 12:00:00.123456",
    "550e8400-e29b-41d4-a716-446655440000",
    "DE89370400440532013001",
    "ZZ89370400440532013000",
    "DE8937040044053201300",
    "000-12-3456",
    "666-12-3456",
    "219-00-9999",
    "219-09-0000",
    "111-11-1111",
    "078-05-1120",
    "219-09.9999",
    "219099999",  # nine digits that nothing calls an SSN
    "3219-09-99991",
    "logo@2x.png",
    "pkg@1.2.3",
    "@decorator.method",
    "alice@localhost",
    "+1 000 000 0000",
    "+1700000000",
    "192.168.100.1234",
    "10.20.30.40:8080",
    "AKIA1234",
    "APACHEKAFKA01 APDUCommandHandler",
    f"sk-{'x' * 30}",
    "sk-learn-contrib-something-long",
    "eyJub3QiOiJhIGp3dCJ9.bm90anNvbg.abc",
    "https://user:password@db/",
    "https://postgres:postgres@db/",
    "https://user:${PASSWORD}@db/",
    "https://example.com:8443/path@x",
    '"-----BEGIN PRIVATE KEY-----" in text',
    "-----BEGIN CERTIFICATE-----\nMIIEowIBAAKCAQEA75",
    "Authorization: Basic realm-name",
    "Authorization: Bearer $TOKEN",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "ACABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "MyNotificationClassNameLong.method.anotherVeryLongMethodName01",
]


@pytest.fixture(scope="module")
def guard() -> Guard:
    return Guard()


def texts(guard: Guard, text: str) -> list[tuple[str, str]]:
    return [(f.category, text[f.start : f.end]) for f in guard.scan_text(text)]


@pytest.mark.parametrize(("category", "value"), [(c, v) for c, values in TRUE.items() for v in values])
@pytest.mark.parametrize(
    "around", ["{}", "see {}.", "a\n{}\nb", '{{"k": "{}"}}', "line\\n{}\\nline", "\u6211\u7684{}\u7684"]
)
def test_finds(guard: Guard, category: GuardCategory, value: str, around: str) -> None:
    text = around.format(value)
    found = guard.scan_text(text)
    assert {f.category for f in found} == {category}
    core = text[found[0].start : found[-1].end]
    assert core in value or value in core
    assert len(core) >= min(len(value), 12) or category == "credential"


@pytest.mark.parametrize("value", FALSE)
@pytest.mark.parametrize("around", ["{}", "see {} there", "a\n{}\nb"])
def test_lets_through(guard: Guard, value: str, around: str) -> None:
    assert guard.scan_text(around.format(value)) == []


@pytest.mark.parametrize("text", ["SSN: 219099999", "ssn is 219099999", "Social Security number 219099999"])
def test_an_ssn_without_groups_needs_its_name(guard: Guard, text: str) -> None:
    assert texts(guard, text) == [("ssn", "219099999")]


def test_spans_are_those_of_the_original(guard: Guard) -> None:
    text = "\u200b\ufeff\u4e2d\U0001f642\\n" + "\u200d4111\u200b1111 1111 1111, a@b.co"
    assert texts(guard, text) == [("card", "4111\u200b1111 1111 1111"), ("email", "a@b.co")]


def test_a_finding_never_shows_the_value(guard: Guard) -> None:
    assert "4111" not in repr(guard.scan_text("4111111111111111"))
    assert "4111" not in repr(guard.apply({"x": "4111111111111111"}, MASK_ALL, SALT).findings)


def test_overlaps_become_one(guard: Guard) -> None:
    text = "postgres://app:c0rrect-horse@db.example.com/app"
    assert texts(guard, text) == [("credential", "c0rrect-horse@db.example.com")]
