"""What the input guard finds, what it lets through, and what it does to a body of either dialect."""

from __future__ import annotations

import base64
import copy
import json
import threading
from typing import Any

import pytest

from runtime.contract import CATEGORIES, GuardAction, GuardCategory, GuardPolicy
from runtime.guards import Finding, Guard, Outcome, refusal
from runtime.guards.scanner import Scanner

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


def openai(value: str) -> dict[str, Any]:
    return {
        "model": "gpt-4o",
        "stream": True,
        "temperature": 0.5,
        "messages": [
            {"role": "system", "content": f"Customer {value}."},
            {"role": "user", "content": [{"type": "text", "text": f"pay {value} now"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "pay", "arguments": json.dumps({"n": [value]})},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": f"done\\n{value}"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "pay", "description": f"as {value} does", "parameters": {}}}
        ],
    }


def anthropic(value: str) -> dict[str, Any]:
    return {
        "model": "claude-x",
        "max_tokens": 10,
        "system": [{"type": "text", "text": f"Customer {value}.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": f"pay {value} now"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "pay", "signature": "c2lnbmF0dXJl" * 20},
                    {
                        "type": "tool_use",
                        "id": "toolu_1",
                        "name": "pay",
                        "input": {"type": value, "deep": [{"id": value}]},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": value}]},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": f"<{value}>"},
                ],
            },
        ],
        "tools": [{"name": "pay", "input_schema": {"type": "object", "properties": {"type": {"type": "string"}}}}],
    }


PLAIN: dict[GuardCategory, str] = {
    "card": "4111 1111 1111 1111",
    "iban": "DE89 3704 0044 0532 0130 00",
    "ssn": "219-09-9999",
    "email": "alice@example.com",
    "phone": "+49 30 901820",
    "credential": f"ghp_{ALNUM[:36]}",
}


@pytest.mark.parametrize(("dialect", "places"), [(openai, 5), (anthropic, 6)])
@pytest.mark.parametrize("category", CATEGORIES)
def test_masks_every_place(guard: Guard, dialect: Any, places: int, category: GuardCategory) -> None:
    body = dialect(PLAIN[category])
    before = copy.deepcopy(body)
    outcome = guard.apply(body, MASK_ALL, SALT)
    assert (outcome.verdict, outcome.findings) == ("masked", {category: places})
    assert body == before
    assert PLAIN[category] not in json.dumps(outcome.body)
    mask = f"[{category}:"
    assert json.dumps(outcome.body).count(mask) == places
    if dialect is openai:
        json.loads(outcome.body["messages"][2]["tool_calls"][0]["function"]["arguments"])
        assert outcome.body["messages"][0]["content"].startswith(f"Customer {mask}")
    assert outcome.body["tools"] is body["tools"] or dialect is openai


@pytest.mark.parametrize("dialect", [openai, anthropic])
def test_the_default_policy(guard: Guard, dialect: Any) -> None:
    policy = GuardPolicy()
    for category, value in PLAIN.items():
        body = dialect(value)
        outcome = guard.apply(body, policy, SALT)
        expected = {GuardAction.ALLOW: "clean", GuardAction.MASK: "masked", GuardAction.BLOCK: "blocked"}
        assert outcome.verdict == expected[policy.action(category)]
        if outcome.verdict != "masked":
            assert outcome.body is body
        assert set(outcome.findings) == (set() if outcome.verdict == "clean" else {category})


@pytest.mark.parametrize("dialect", [openai, anthropic])
def test_nothing_to_find_gives_the_same_object(guard: Guard, dialect: Any) -> None:
    body = dialect("nobody")
    outcome = guard.apply(body, MASK_ALL, SALT)
    assert outcome == Outcome("clean", {}, body)
    assert outcome.body is body


def test_an_allowed_category_hides_nothing(guard: Guard) -> None:
    body = {"messages": [{"role": "user", "content": "a@b.co 4111111111111111 +49 30 901820"}]}
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert outcome.findings == {"card": 1}
    assert outcome.body["messages"][0]["content"].startswith("a@b.co [card:")


def test_one_block_leaves_the_body_as_it_was(guard: Guard) -> None:
    body = {
        "messages": [{"role": "user", "content": f"4111111111111111 219-09-9999 AKIAIOSFODNN7EXAMPLE ghp_{ALNUM[:36]}"}]
    }
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert outcome.verdict == "blocked"
    assert outcome.body is body
    message = refusal(outcome)
    assert "credential (2), card (1), ssn (1)" in message
    assert not any(value in message for value in ("4111", "219", "AKIA", "ghp_"))
    assert "4111" not in repr(outcome)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "the card is 4111111111111111", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "plain 4111111111111111"},
    ],
)
def test_signed_blocks_are_never_edited(guard: Guard, block: dict[str, str]) -> None:
    body = {"messages": [{"role": "assistant", "content": [block]}, {"role": "user", "content": "219-09-9999"}]}
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert (outcome.verdict, outcome.findings) == ("blocked", {"card": 1, "ssn": 1})
    assert outcome.body is body


def test_media_are_not_read(guard: Guard) -> None:
    data = base64.b64encode(bytes(range(255))).decode() + "AKIAIOSFODNN7EXAMPLE/4111111111111111/"
    body = {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
                    {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
                    {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}},
                ],
            }
        ]
    }
    assert guard.apply(body, MASK_ALL, SALT).body is body


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "4111 1111 1111 1111"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "4111 1111 1111 1111"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/?card=4111111111111111"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64, 4111 1111 1111 1111"}},
        {"type": "text", "id": "my card is 4111 1111 1111 1111", "text": ""},
        {"type": "tool_use", "name": "n", "input": {"4111 1111 1111 1111": 1}},
        {"type": "tool_use", "name": "n", "input": {"card": 4111111111111111}},
        {"type": "something_new", "x": {"y": [["4111 1111 1111 1111"]]}},
        {"type": "tool_use", "name": "n", "input": {"type": "thinking", "x": "4111 1111 1111 1111"}},
    ],
)
def test_what_only_looks_like_structure_is_read(guard: Guard, part: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [part]}]}
    outcome = guard.apply(body, GuardPolicy(), SALT)
    assert (outcome.verdict, outcome.findings) == ("masked", {"card": 1})
    assert "1111" not in json.dumps(outcome.body)


def test_ids_and_names_of_the_protocol_stay(guard: Guard) -> None:
    body = {
        "model": "4111111111111111",
        "messages": [{"role": "tool", "tool_call_id": "4111111111111111", "content": "x"}],
    }
    assert guard.apply(body, MASK_ALL, SALT).body is body


def test_a_number_outside_a_tools_input_stays(guard: Guard) -> None:
    body = {"seed": 4111111111111111, "messages": []}
    assert guard.apply(body, MASK_ALL, SALT).body is body


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        ({"ssn": "219099999"}, "219099999"),
        ({"ssn": 219099999}, "219099999"),
        ({"aws_secret_access_key": ALNUM[:40]}, ALNUM[:40]),
        ({"card": 4111111111111111}, "4111111111111111"),
        ({"note": "\u2603\n4111111111111111"}, "4111111111111111"),
    ],
)
def test_a_key_may_tell_what_its_value_is(guard: Guard, arguments: dict[str, Any], left: str) -> None:
    for body in (
        {"tool_calls": [{"type": "function", "function": {"name": "f", "arguments": json.dumps(arguments)}}]},
        {"content": [{"type": "tool_use", "name": "f", "input": arguments}]},
    ):
        outcome = guard.apply(body, MASK_ALL, SALT)
        assert outcome.verdict == "masked"
        assert left not in json.dumps(outcome.body)
        if "tool_calls" in body:
            assert set(json.loads(outcome.body["tool_calls"][0]["function"]["arguments"])) == set(arguments)


def test_arguments_that_are_no_json(guard: Guard) -> None:
    body = {"function": {"arguments": '{"card": "4111111111111111"'}}
    assert guard.apply(body, MASK_ALL, SALT).body["function"]["arguments"].startswith('{"card": "[card:')


def test_masks_depend_on_salt_category_and_value_only(guard: Guard) -> None:
    def masked(text: str, salt: bytes = SALT) -> str:
        return str(guard.apply({"text": text}, MASK_ALL, salt).body["text"])

    assert masked("4111111111111111") == masked("4111111111111111")
    assert masked("4111111111111111") != masked("4111111111111111", b"another")
    assert masked("4111111111111111") != masked("5555555555554444")


def test_an_error_inside_comes_out(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Finding:
        raise RuntimeError("broken")

    monkeypatch.setattr(Scanner, "scan", broken)
    with pytest.raises(RuntimeError, match="broken"):
        guard.apply({"text": "hello there"}, MASK_ALL, SALT)


def test_threads_share_one_guard(guard: Guard) -> None:
    body = anthropic(PLAIN["card"])
    expected = guard.apply(body, MASK_ALL, SALT)
    results: list[Outcome] = []

    def work() -> None:
        results.extend(guard.apply(body, MASK_ALL, SALT) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 400
    assert all(result == expected for result in results)
