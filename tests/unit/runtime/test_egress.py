"""Which credential goes out with which request; and everything that gets none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.custodian.egress import LIFETIME_S, MAX_CALLS, QUESTION_S, Egress, EgressError
from runtime.providers import Upstream, Upstreams
from runtime.wire import COUNT_PATH, EGRESS_PLACEHOLDER, PROFILE_PATH, TICKET_HEADER

TOKEN = "sk-ant-oat01-" + "u" * 40
KEYS = {"anthropic-api-key": "sk-ant-api03-real\n", "openai-api-key": "sk-real"}
UPSTREAMS = Upstreams(
    upstreams={
        "anthropic": Upstream(secret="anthropic-api-key", header="x-api-key", models=("claude",)),
        "anthropic-2": Upstream(secret=None, header="x-api-key", models=("claude-own",), user_tokens=True),
        "openai": Upstream(secret="openai-api-key", header="authorization", prefix="Bearer ", models=("gpt",)),
        "gone": Upstream(secret="never-delivered", header="x-api-key", models=("lost",)),
    }
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def egress(clock: Clock) -> Egress:
    return Egress(UPSTREAMS, KEYS.get, clock)


def admitted(egress: Egress, model: str, trace: str = "t1") -> dict[str, str]:
    """Headers of LiteLLM's request after its record was admitted."""
    ticket = egress.admit(trace, model)
    assert ticket is not None
    return {TICKET_HEADER: ticket, "x-api-key": EGRESS_PLACEHOLDER}


def refused(egress: Egress, uri: str, headers: dict[str, str], method: str = "POST") -> str:
    with pytest.raises(EgressError) as caught:
        egress.decide(method, uri, headers)
    assert not any(value.strip() in str(caught.value) for value in (*KEYS.values(), TOKEN))
    return caught.value.code


def test_the_company_key_goes_on_in_the_providers_own_header(egress: Egress) -> None:
    assert egress.decide("POST", "/anthropic/v1/messages?beta=true", admitted(egress, "claude")) == {
        "x-api-key": "sk-ant-api03-real"
    }
    headers = {**admitted(egress, "gpt", "t2"), "authorization": f"Bearer {EGRESS_PLACEHOLDER}"}
    assert egress.decide("POST", "/openai/v1/chat/completions", headers) == {"authorization": "Bearer sk-real"}


def test_the_callers_own_token_goes_where_it_is_taken(egress: Egress) -> None:
    egress.keep("t1", TOKEN)
    assert egress.decide("POST", "/anthropic-2/v1/messages", admitted(egress, "claude-own")) == {
        "authorization": f"Bearer {TOKEN}"
    }


def test_the_callers_own_token_goes_nowhere_else(egress: Egress) -> None:
    egress.keep("t1", TOKEN)
    with pytest.raises(EgressError) as caught:
        egress.check("t1", "gpt")
    assert caught.value.code == "user_token_refused"


def test_a_model_of_users_tokens_needs_one(egress: Egress) -> None:
    with pytest.raises(EgressError) as caught:
        egress.check("t1", "claude-own")
    assert caught.value.code == "user_token_missing"


def test_a_local_model_needs_no_ticket(egress: Egress) -> None:
    egress.keep("t1", TOKEN)
    assert egress.admit("t1", "smollm2") is None


@pytest.mark.parametrize("headers", [{}, {TICKET_HEADER: ""}, {TICKET_HEADER: "guessed"}])
def test_without_an_admitted_record_nothing_goes(egress: Egress, headers: dict[str, str]) -> None:
    admitted(egress, "claude")
    assert refused(egress, "/anthropic/v1/messages", headers) == "not_admitted"


def test_an_ended_record_opens_nothing(egress: Egress) -> None:
    headers = admitted(egress, "claude")
    egress.decide("POST", "/anthropic/v1/messages", headers)
    ended = egress.end("t1")
    assert ended is not None
    assert ended.calls == 1
    assert refused(egress, "/anthropic/v1/messages", headers) == "not_admitted"


def test_an_old_record_opens_nothing_and_is_let_go_of(egress: Egress, clock: Clock) -> None:
    headers = admitted(egress, "claude")
    egress.keep("t9", TOKEN)
    clock.now += LIFETIME_S + 1
    assert refused(egress, "/anthropic/v1/messages", headers) == "not_admitted"
    admitted(egress, "claude", "t2")
    assert egress.end("t1") is None
    assert egress.admit("t9", "claude") is not None  # its token is gone, so the company's key is used


@pytest.mark.parametrize("uri", ["/openai/v1/chat/completions", "/", "//anthropic/v1/messages", "/anthropicevil/v1"])
def test_a_ticket_is_for_one_provider(egress: Egress, uri: str) -> None:
    assert refused(egress, uri, admitted(egress, "claude")) == "other_provider"


def test_only_post_goes_out(egress: Egress) -> None:
    assert refused(egress, "/anthropic/v1/messages", admitted(egress, "claude"), "GET") == "other_provider"


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key", "x-goog-api-key"])
@pytest.mark.parametrize("value", ["sk-of-somebody-else", "Bearer sk-of-somebody-else", "Basic x", ""])
def test_a_request_with_a_credential_of_its_own_stays_here(egress: Egress, header: str, value: str) -> None:
    headers = {**admitted(egress, "claude"), header: value}
    assert refused(egress, "/anthropic/v1/messages", headers) == "unknown_credential"


@pytest.mark.parametrize("query", ["key=sk-x", "beta=true&api_key=", "access_token=1"])
def test_a_key_in_the_query_stays_here(egress: Egress, query: str) -> None:
    assert refused(egress, f"/anthropic/v1/messages?{query}", admitted(egress, "claude")) == "unknown_parameter"


def test_a_record_makes_a_few_calls_and_no_more(egress: Egress) -> None:
    headers = admitted(egress, "claude")
    for _ in range(MAX_CALLS):
        egress.decide("POST", "/anthropic/v1/messages", headers)
    assert refused(egress, "/anthropic/v1/messages", headers) == "too_many_calls"
    ended = egress.end("t1")
    assert ended is not None
    assert ended.calls == MAX_CALLS


def test_what_the_caller_was_to_pay_for_the_company_never_does(egress: Egress) -> None:
    egress.keep("t1", TOKEN)
    egress.end("t1")  # its token was let go of between the look and the record
    ticket = egress.admit("t1", "claude", "user")
    assert ticket is not None
    assert refused(egress, "/anthropic/v1/messages", {TICKET_HEADER: ticket}) == "no_credential"


def test_a_ticket_to_count_is_for_nothing_else(egress: Egress) -> None:
    ticket = egress.admit("t1", "claude", counting=True)
    assert ticket is not None
    headers = {TICKET_HEADER: ticket}
    assert refused(egress, "/anthropic/v1/messages", headers) == "other_call"
    assert egress.decide("POST", f"/anthropic{COUNT_PATH}?beta=true", headers)
    assert refused(egress, f"/anthropic{COUNT_PATH}", admitted(egress, "claude", "t2")) == "other_call"


class TestQuestions:
    def test_one_with_each_ticket(self, egress: Egress) -> None:
        headers = {TICKET_HEADER: egress.question(TOKEN)}
        assert egress.decide("GET", PROFILE_PATH, headers) == {"authorization": f"Bearer {TOKEN}"}
        assert refused(egress, PROFILE_PATH, headers, "GET") == "not_asked"

    @pytest.mark.parametrize(("method", "query"), [("POST", ""), ("GET", "?beta=true")])
    def test_it_is_asked_in_one_way(self, egress: Egress, method: str, query: str) -> None:
        headers = {TICKET_HEADER: egress.question(TOKEN)}
        assert refused(egress, f"{PROFILE_PATH}{query}", headers, method) == "not_asked"

    def test_its_ticket_goes_nowhere_else(self, egress: Egress) -> None:
        headers = {TICKET_HEADER: egress.question(TOKEN)}
        assert refused(egress, "/anthropic-2/v1/messages", headers) == "not_admitted"

    def test_not_beside_another_credential(self, egress: Egress) -> None:
        headers = {TICKET_HEADER: egress.question(TOKEN), "x-api-key": "sk-other"}
        assert refused(egress, PROFILE_PATH, headers, "GET") == "unknown_credential"

    def test_late_it_is_let_go_of(self, egress: Egress, clock: Clock) -> None:
        headers = {TICKET_HEADER: egress.question(TOKEN)}
        assert TOKEN not in repr(egress)
        clock.now += QUESTION_S + 1
        egress.question("other")
        assert refused(egress, PROFILE_PATH, headers, "GET") == "not_asked"


def test_what_was_admitted_is_known_until_its_ending_is_recorded(egress: Egress) -> None:
    egress.keep("t1", TOKEN)
    admitted(egress, "claude-own")
    for _ in range(2):
        ended = egress.end("t1")
        assert ended is not None
        assert ended.upstream == "anthropic-2"
    egress.forget("t1")
    assert egress.end("t1") is None


def test_a_secret_that_is_not_delivered_is_named(egress: Egress) -> None:
    assert refused(egress, "/gone/v1/messages", admitted(egress, "lost")) == "no_credential"


@given(st.text(max_size=60), st.text(max_size=60), st.dictionaries(st.text(max_size=12), st.text(max_size=20)))
def test_nothing_but_a_ticket_opens_the_way(method: str, uri: str, headers: dict[str, str]) -> None:
    egress = Egress(UPSTREAMS, KEYS.get)
    egress.admit("t1", "claude")
    with pytest.raises((EgressError, ValueError)):
        egress.decide(method, uri, headers)


def test_no_repr_shows_a_token(egress: Egress) -> None:
    egress.keep("t1", TOKEN)
    egress.admit("t1", "claude-own")
    assert TOKEN not in repr(egress)
