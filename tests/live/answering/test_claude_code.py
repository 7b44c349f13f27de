"""Claude Code with nothing but a base URL: the real client, through all layers, to the tests' own provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.between import Between, Passed
from tests.canaries import Search, containers
from tests.claude_code import ClaudeCode, Said, installed
from tests.live.answering.test_requests import AWS_KEY, anthropic_error, mlflow_trace
from tests.npm import or_skip
from tests.proof import ANTHROPIC_KEY, NAME, OTHER_USER_TOKEN, USER_TOKEN, Proof
from tests.provider import Provider
from tests.provider.server import COUNTED, WORDS

SIGNED_IN = {"CLAUDE_CODE_OAUTH_TOKEN": USER_TOKEN}
ANSWER = "".join(WORDS)
COUNT = "/v1/messages/count_tokens"
INSIDE = ("x-praxis", "x-forwarded", "x-real-ip", "x-replaced", "x-litellm", "traceparent", "cookie")


@pytest.fixture(scope="module")
def program() -> Path:
    return or_skip(installed)


@dataclass(frozen=True)
class Desk:
    """A machine with Claude Code on it, and what passes between it and the gateway."""

    claude: ClaudeCode
    between: Between

    def ask(self, text: str, base: str, model: str, more: Mapping[str, str]) -> Said:
        """One question by the base URL ``base``, passed on where it can be seen."""
        return self.claude.ask(text, self.between.url + base.removeprefix(self.between.target), model, more)

    @property
    def sent(self) -> list[Passed]:
        return self.between.questions("/v1/messages")


@pytest.fixture
def desk(program: Path, between: Between, tmp_path: Path) -> Desk:
    return Desk(ClaudeCode(program, tmp_path), between)


def enrolled(proof: Proof, subject: str = "alice", *more: str) -> str:
    """A new enrolment's base URL, as ``praxis enroll`` tells it."""
    settings = json.loads(proof.praxis("enroll", NAME, "--as", subject, "--json", *more).stdout)
    assert list(settings) == ["env"]
    (url,) = settings["env"].values()
    assert url.startswith(f"{proof.url}/e/")
    return str(url)


@pytest.fixture(scope="module")
def base(proof: Proof, provider: Provider) -> str:
    """alice's enrolment."""
    return enrolled(proof)


def same(sent: Passed, came: dict[str, Any]) -> None:
    """What came is what was sent: as JSON, and in the same order where a provider's cache looks at it."""
    assert came["body"] == sent.body
    for part in ("system", "tools", "messages"):
        assert json.dumps(came["body"].get(part)) == json.dumps(sent.body.get(part)), part
    betas = [headers["anthropic-beta"].split(",") for headers in (sent.headers, came["headers"])]
    assert sorted(betas[0]) == sorted(betas[1])
    assert not {name for name in came["headers"] if name.startswith(INSIDE)}


class TestSignedIn:
    """With a person's own account at Anthropic."""

    def test_one_variable_is_enough(self, proof: Proof, provider: Provider, base: str, desk: Desk) -> None:
        text = "a question over my own account"
        said = desk.ask(text, base, "claude-own", SIGNED_IN)
        assert (said.code, said.result["result"]) == (0, ANSWER)
        sent, came = desk.sent, provider.asked(text)
        assert len(sent) == len(came) == 1
        same(sent[0], came[0])
        assert came[0]["headers"]["authorization"] == f"Bearer {USER_TOKEN}"
        assert "x-api-key" not in came[0]["headers"]
        assert "cache_control" in json.dumps(came[0]["body"]["system"])
        trace = sent[0].answered["x-praxis-trace-id"]
        record = proof.receipt(trace)
        assert (record["name"], record["department"], record["credential"]) == ("alice", "research", "enrolment")
        assert (record["state"], record["payer"], record["provider_calls"]) == ("settled", "user", 1)
        assert record["guards"]["verdict"] == "clean"
        assert float(record["cost_usd"]) == pytest.approx((10 * 3 + 4 * 15) / 1e6)
        assert sent[0].headers["x-claude-code-session-id"] in mlflow_trace(trace)

    def test_what_the_company_pays_for_is_not_to_be_had(
        self, proof: Proof, provider: Provider, base: str, desk: Desk
    ) -> None:
        text = "a question that the company would pay for"
        said = desk.ask(text, base, "claude", SIGNED_IN)
        assert said.result["is_error"]
        assert provider.asked(text) == []
        assert proof.message(None, text, {"authorization": f"Bearer {USER_TOKEN}"}).status_code == 401

    def test_another_account_is_refused(self, proof: Proof, provider: Provider, desk: Desk) -> None:
        text = "a question over somebody else's account"
        other = {"CLAUDE_CODE_OAUTH_TOKEN": OTHER_USER_TOKEN}
        new = enrolled(proof)  # bound to nobody yet: the e-mail address decides
        said = desk.ask(text, new, "claude-own", other)
        assert said.result["is_error"]
        assert {one.status for one in desk.sent} == {403}
        assert provider.asked(text) == []

    @pytest.mark.parametrize("path", ["", COUNT])
    def test_a_sign_in_that_has_ended_is_said(self, proof: Proof, provider: Provider, base: str, path: str) -> None:
        answer = ask(base, "please refuse me", path=path)
        assert anthropic_error(answer, 401) == "authentication_error"
        assert answer.headers["x-should-retry"] == "false"
        assert ask(base, "again, signed in anew", path=path).status_code == 200

    def test_a_revoked_one_is_refused_at_once(self, proof: Proof, provider: Provider) -> None:
        url = enrolled(proof, "alice", "--device", "lost laptop")
        assert ask(url, "before it was lost").status_code == 200
        (lost,) = [each for each in listed(proof) if each["device"] == "lost laptop"]
        assert (lost["name"], lost["client"], lost["bound"]) == ("alice", "claude-code", True)
        proof.praxis("enrolments", "revoke", NAME, "--as", "alice", "--enrolment", lost["enrolment"], "--yes")
        assert anthropic_error(ask(url, "after it was lost"), 401) == "authentication_error"


class TestAKeyOfTheGateways:
    @pytest.mark.parametrize("enrolment", [False, True])
    @pytest.mark.parametrize("variable", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY"])
    @pytest.mark.parametrize("kind", ["virtual-key", "access"])
    def test_it_decides(
        self, proof: Proof, provider: Provider, base: str, desk: Desk, enrolment: bool, variable: str, kind: str
    ) -> None:
        text = f"a question by {variable} with {kind} {enrolment}"
        key = proof.token("alice", "--kind", kind)
        said = desk.ask(text, base if enrolment else proof.url, "claude", {variable: key})
        assert (said.code, said.result["result"]) == (0, ANSWER)
        (sent,), (came,) = desk.sent, provider.asked(text)
        same(sent, came)
        assert came["headers"]["x-api-key"] == ANTHROPIC_KEY
        assert proof.receipt(sent.answered["x-praxis-trace-id"])["payer"] == "company"

    def test_by_the_enrolment_of_another_it_is_refused(self, proof: Proof, base: str, bob: str) -> None:
        assert anthropic_error(ask(base, "hi", bob, "smollm2"), 403) == "permission_error"
        assert anthropic_error(ask(base, "hi", "sk-praxis-nonsense", "smollm2"), 401) == "authentication_error"


class TestCounting:
    def test_over_the_own_account(self, proof: Proof, provider: Provider, base: str) -> None:
        text = "count this over my own account"
        answer = ask(base, text, path=f"{COUNT}?beta=true", thinking={"type": "enabled", "budget_tokens": 1024})
        assert (answer.status_code, answer.json()) == (200, {"input_tokens": COUNTED})
        (came,) = provider.asked(text, COUNT)
        assert came["path"] == f"{COUNT}?beta=true"
        assert came["body"]["thinking"] == {"type": "enabled", "budget_tokens": 1024}
        assert came["headers"]["authorization"] == f"Bearer {USER_TOKEN}"
        assert came["headers"]["anthropic-beta"] == "oauth-2025-04-20,token-counting-2024-11-01"
        assert not {name for name in came["headers"] if name.startswith(INSIDE)}
        record = proof.receipt(answer.headers["x-praxis-trace-id"])
        assert (record["name"], record["state"], record["reason"]) == ("alice", "settled", "count_tokens")
        assert (record["input_tokens"], float(record["cost_usd"]), record["provider_calls"]) == (0, 0, 1)

    def test_with_the_companys_key(self, proof: Proof, provider: Provider, alice: str) -> None:
        text = "count this with the company's key"
        assert ask(proof.url, text, alice, "claude", COUNT).json() == {"input_tokens": COUNTED}
        (came,) = provider.asked(text, COUNT)
        assert came["headers"]["x-api-key"] == ANTHROPIC_KEY
        assert "authorization" not in came["headers"]

    @pytest.mark.parametrize("model", ["smollm2", "gpt"])
    def test_other_models_are_counted_here(self, proof: Proof, provider: Provider, alice: str, model: str) -> None:
        answer = ask(proof.url, "count this elsewhere", alice, model, COUNT)
        assert answer.status_code == 200, answer.text
        assert 0 < answer.json()["input_tokens"] < 200
        assert provider.asked("count this elsewhere", COUNT) == []

    def test_it_is_guarded(self, proof: Proof, provider: Provider, base: str) -> None:
        answer = ask(base, f"count {AWS_KEY}", path=COUNT)
        assert anthropic_error(answer, 400) == "invalid_request_error"
        assert provider.asked(AWS_KEY, COUNT) == []


def test_the_base_url_says_the_same_to_everybody(proof: Proof, base: str) -> None:
    for url in (base, f"{base}/", f"{proof.url}/e/{'A' * 43}"):
        for method in ("GET", "HEAD"):
            answer = httpx.request(method, url, trust_env=False)
            assert (answer.status_code, answer.content) == (204, b"")
    for rest in ("/key/info", "/v1/messages/", "/health", "/v1/messages/../../key/info"):
        assert httpx.get(f"{base}{rest}", trust_env=False).status_code == 404


def test_no_log_holds_the_id_or_a_token(proof: Proof, base: str) -> None:
    search = Search({"enrolment": base.rpartition("/")[2], "user's-own-token": USER_TOKEN, "other": OTHER_USER_TOKEN})
    assert ask(base, "what is written down of this").status_code == 200
    assert httpx.get(f"{base}/nothing/here", trust_env=False).status_code == 404
    looked = {each.name: each.logs() for each in containers()}
    assert b"RouterName" in looked[f"praxis-{NAME}-edge"], "requests are logged"
    assert search.hits(looked.items()) == []  # type: ignore[arg-type]  # an iterator is enough


def ask(url: str, text: str, key: str = USER_TOKEN, model: str = "claude-own", path: str = "", **body: Any) -> Any:
    """One request in Anthropic's dialect, by a base URL."""
    headers = {"authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"}
    if key == USER_TOKEN:
        headers["anthropic-beta"] = "oauth-2025-04-20,token-counting-2024-11-01"
    content = {"model": model, "messages": [{"role": "user", "content": text}], **body}
    if not path:
        content["max_tokens"] = 8
    return httpx.post(f"{url}{path or '/v1/messages'}", json=content, headers=headers, timeout=60, trust_env=False)


def listed(proof: Proof) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(proof.praxis("enrolments", "list", NAME, "--json").stdout)
    return found
