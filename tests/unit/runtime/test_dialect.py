"""Refusals, read by the clients that they are for."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseFailedEvent

from runtime.dialect import Dialect, Refusal, dialect_of

STATUSES = [400, 401, 403, 404, 413, 429, 500, 503]


class Refusing:
    """A server on loopback that refuses everything, and counts."""

    def __init__(self, refusal: Refusal, dialect: Dialect) -> None:
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked += 1
                self.rfile.read(int(self.headers["content-length"]))
                content = refusal.encoded(dialect)
                self.send_response(refusal.status)
                for name, value in {**refusal.headers("0" * 32), "content-length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Refusing:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("retry", [True, False])
class TestOfficialClients:
    """Unchanged but for base URL and key."""

    def test_openai(self, status: int, retry: bool) -> None:
        refusal = Refusal(status=status, code="some_code", message="what a person reads", retry=retry)
        with Refusing(refusal, Dialect.OPENAI) as server:
            client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=1)
            with pytest.raises(openai.APIStatusError, match="what a person reads") as caught:
                client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        assert (caught.value.status_code, caught.value.code) == (status, "some_code")
        assert server.asked == (2 if retry else 1), "the client obeys x-should-retry"

    def test_openai_by_responses(self, status: int, retry: bool) -> None:
        refusal = Refusal(status=status, code="some_code", message="what a person reads", retry=retry)
        with Refusing(refusal, Dialect.RESPONSES) as server:
            client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=1)
            with pytest.raises(openai.APIStatusError, match="what a person reads") as caught:
                client.responses.create(model="m", input="hi")
        assert (caught.value.status_code, caught.value.code) == (status, "some_code")
        assert server.asked == (2 if retry else 1)

    def test_anthropic(self, status: int, retry: bool) -> None:
        refusal = Refusal(status=status, code="some_code", message="what a person reads", retry=retry)
        with Refusing(refusal, Dialect.ANTHROPIC) as server:
            client = anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=1)
            with pytest.raises(anthropic.APIStatusError, match="what a person reads") as caught:
                client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}])
        assert caught.value.status_code == status
        assert server.asked == (2 if retry else 1)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback is never behind a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize(("status", "retry"), [(401, "false"), (403, "false"), (429, "true"), (503, "true")])
def test_what_a_status_says_by_itself(status: int, retry: str) -> None:
    headers = Refusal(status=status, code="c", message="m").headers("t")
    assert headers["x-should-retry"] == retry
    assert ("www-authenticate" in headers) is (status == 401)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens"])
def test_anthropics_paths(path: str) -> None:
    assert dialect_of(path) is Dialect.ANTHROPIC


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses?x=1", f"/e/{'a' * 43}/v1/responses"])
def test_the_path_of_the_responses_api(path: str) -> None:
    assert dialect_of(path) is Dialect.RESPONSES


@pytest.mark.parametrize("path", ["/v1beta/models/m:generateContent", "/v1beta/models/m:streamGenerateContent?alt=sse"])
def test_geminis_paths(path: str) -> None:
    assert dialect_of(path) is dialect_of(f"/e/{'a' * 43}{path}") is Dialect.GEMINI


@given(st.text(max_size=40).filter(lambda path: not path.startswith(("/v1/messages", "/v1/responses", "/v1beta"))))
def test_every_other_path_is_openais(path: str) -> None:
    assert dialect_of(path) is Dialect.OPENAI


@pytest.mark.parametrize("path", ["/v1/messagesevil", "/v1/messages-x", "/v1/responses-x", "/v1/responses/resp_1"])
def test_a_longer_name_is_another_path(path: str) -> None:
    assert dialect_of(path) is Dialect.OPENAI


@pytest.mark.parametrize("status", STATUSES)
def test_geminis_error(status: int) -> None:
    """As ``google.rpc.Status`` is written over HTTP."""
    error = Refusal(status=status, code="some_code", message="what a person reads").body(Dialect.GEMINI)["error"]
    assert (error["code"], error["message"]) == (status, "what a person reads")
    assert error["details"][0] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SOME_CODE", "domain": "praxis"
    }  # fmt: skip
    assert error["status"].isupper()


def test_a_stream_of_gemini_s_that_is_cut_ends_in_no_event() -> None:
    refusal = Refusal(status=403, code="some_code", message="what a person reads")
    assert json.loads(refusal.last_event(Dialect.GEMINI, "0" * 32)) == refusal.body(Dialect.GEMINI)


def test_a_stream_of_responses_that_is_cut_ends_as_one_that_failed() -> None:
    refusal = Refusal(status=403, code="some_code", message="what a person reads")
    event = refusal.last_event(Dialect.RESPONSES, "0" * 32)
    name, data = event.decode().removesuffix("\n\n").split("\n")
    assert name == "event: response.failed"
    read = ResponseFailedEvent.model_validate({**json.loads(data.removeprefix("data: ")), "sequence_number": 0})
    assert (read.type, read.response.status) == ("response.failed", "failed")
    assert read.response.error is not None
    assert (read.response.error.code, read.response.error.message) == ("invalid_prompt", "what a person reads")
