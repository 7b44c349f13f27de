"""What a request may say, what the guard makes of it, and what goes with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.dialect import dialect_of
from runtime.guards import Guard
from tests.unit.runtime.hooks.gate_world import (
    AWS,
    CARD,
    CHAT,
    EACH,
    GEMINI,
    GEMINI_STREAM_PATH,
    MESSAGES,
    RESPONSES,
    World,
    refusal,
)


class TestBody:
    @EACH
    async def test_a_model_outside_the_keys_scope(self, world: World, path: str) -> None:
        answer = await world.ask(path, headers=world.headers(scope="tiny"))
        assert answer.status_code == 403
        assert "this key is for other models" in answer.text
        assert world.upstream.asked == []
        assert world.custodian.only("refused")["reason"] == "model_not_allowed"

    @EACH
    async def test_a_model_of_the_keys_scope(self, world: World, path: str) -> None:
        assert (await world.ask(path, headers=world.headers(scope="tiny small"))).status_code == 200

    @pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
    @pytest.mark.parametrize("model", ["large", "small,small", ["small"], None, "SMALL", "small ", 7, "x" * 5000])
    async def test_a_model_outside_the_role(self, world: World, path: str, model: Any) -> None:
        answer = await world.ask(path, model=model)
        assert answer.status_code == 403
        assert world.upstream.asked == []
        assert world.custodian.only("refused")["reason"] == "model_not_allowed"

    async def test_content_in_the_models_or_the_sessions_place_is_not_kept(self, world: World) -> None:
        for model in ("my card is 4111111111111111", "4111111111111111", AWS):
            await world.ask(model=model)
        await world.ask(headers={**world.headers(), "x-session-id": "4111111111111111"})
        await world.ask(headers={**world.headers(), "x-session-id": "a secret sentence"})
        everything = json.dumps(world.custodian.told) + "".join(str(span) for span in world.spans().spans)
        for value in ("4111", AWS, "secret sentence"):
            assert value not in everything

    @EACH
    @pytest.mark.parametrize(
        "name",
        [
            "api_base",
            "api_key",
            "base_url",
            "fallbacks",
            "context_window_fallbacks",
            "mock_response",
            "litellm_params",
            "guardrails",
            "model_list",
            "custom_llm_provider",
            "extra_headers",
            "input_cost_per_token",
            "no-log",
            "tags",
        ],
    )
    async def test_what_only_the_gateway_may_say(self, world: World, path: str, name: str) -> None:
        answer = await world.ask(path, **{name: "x"})
        assert answer.status_code == 400
        assert name in answer.text
        assert world.upstream.asked == []

    async def test_what_both_apis_really_have_is_let_through(self, world: World) -> None:
        openai_ = ["temperature", "top_p", "n", "stop", "tools", "tool_choice", "response_format", "seed", "logit_bias"]
        openai_ += [
            "user",
            "metadata",
            "store",
            "reasoning_effort",
            "parallel_tool_calls",
            "stream_options",
            "modalities",
        ]
        openai_ += [
            "prediction",
            "service_tier",
            "safety_identifier",
            "prompt_cache_key",
            "verbosity",
            "web_search_options",
        ]
        anthropic_ = ["system", "stop_sequences", "thinking", "top_k", "container", "context_management", "mcp_servers"]
        for path, names in ((CHAT, openai_), (MESSAGES, anthropic_)):
            answer = await world.ask(path, **{name: {} for name in names})
            assert answer.status_code == 200, answer.text

    @EACH
    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"model": "small", "x": "\\ud800"}', b"[" * 100_000],
        ids=["empty", "half", "list", "null", "text", "bytes", "surrogate", "deep"],
    )
    async def test_no_json_object(self, world: World, path: str, content: bytes) -> None:
        answer = await world.http.post(path, content=content, headers=world.headers())
        assert answer.status_code == 400
        assert world.upstream.asked == []

    @EACH
    async def test_too_large(self, world: World, path: str) -> None:
        answer = await world.ask(path, "x" * 2**20)
        assert answer.status_code == 413
        if path == MESSAGES:
            assert answer.json()["error"]["type"] == "request_too_large"
        assert world.upstream.asked == []

    async def test_a_client_that_goes_away_while_sending(self, world: World) -> None:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in world.headers().items()]
        await world.gate({"type": "http", "method": "POST", "path": CHAT, "headers": headers}, receive, send)
        assert sent[0]["status"] == 400
        assert world.upstream.asked == []


class TestGuard:
    @EACH
    async def test_a_credential_is_blocked_and_recorded_by_category(self, world: World, path: str) -> None:
        answer = await world.ask(path, f"my key is {AWS}")
        assert answer.status_code == 400
        assert "credential" in answer.text
        assert AWS not in answer.text
        assert world.upstream.asked == []
        record = world.custodian.only("refused")
        assert record["guards"] == {"verdict": "blocked", "findings": {"credential": 1}}
        assert AWS not in json.dumps(world.custodian.told)
        attributes = world.spans().attributes("guard input")
        assert attributes["praxis.guard.verdict"] == "blocked"
        assert AWS not in str(world.collector.spans)
        assert not [span for span in world.collector.spans if span.name.startswith("model ")]

    @EACH
    async def test_a_card_is_masked_on_its_way_and_in_the_trace(self, world: World, path: str) -> None:
        answer = await world.ask(path, f"my card is {CARD}, what next?")
        assert answer.status_code == 200
        ((_, _, body),) = world.upstream.asked
        if path == GEMINI:
            text = body["contents"][0]["parts"][0]["text"]
        else:
            text = body["input" if path == RESPONSES else "messages"][0]["content"]
        assert text.startswith("my card is [card:")
        assert text.endswith("], what next?")
        assert world.custodian.only("settled")["guards"] == {"verdict": "masked", "findings": {"card": 1}}
        root = world.spans().attributes(dialect_of(path).value)
        assert "what next?" in root["input.value"]
        assert CARD not in str(world.collector.spans)

    async def test_a_guard_that_breaks_refuses(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: Any) -> Any:
            raise RuntimeError(CARD)

        monkeypatch.setattr(Guard, "apply", broken)
        for path in (CHAT, MESSAGES):
            answer = await world.ask(path)
            assert answer.status_code == 503
            assert CARD not in answer.text
        assert world.upstream.asked == []


class TestTicket:
    async def test_the_custodians_ticket_goes_on_and_the_callers_does_not(self, world: World) -> None:
        world.custodian.answers["admitted"] = {"ticket": "t-1"}
        await world.ask(headers={**world.headers(), "x-praxis-ticket": "forged"})
        ((_, headers, _),) = world.upstream.asked
        assert headers["x-praxis-ticket"] == "t-1"

    async def test_without_one_none_goes_on(self, world: World) -> None:
        await world.ask(headers={**world.headers(), "x-praxis-ticket": "forged"})
        ((_, headers, _),) = world.upstream.asked
        assert "x-praxis-ticket" not in headers

    @EACH
    async def test_a_request_without_a_credential_to_go_with_is_refused_in_dialect(
        self, world: World, path: str
    ) -> None:
        world.custodian.statuses["admitted"] = 422
        refusal = {"code": "user_token_missing", "message": "bring your own", "status": 403, "retry": None}
        world.custodian.answers["admitted"] = refusal
        answer = await world.ask(path)
        assert (answer.status_code, answer.json()["error"]["message"]) == (403, "bring your own")
        assert world.custodian.only("refused")["reason"] == "user_token_missing"
        assert world.upstream.asked == []


class TestResponses:
    """What OpenAI's Responses API would keep at the provider is not served."""

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"previous_response_id": "resp_1"}, "previous_response_id"),
            ({"conversation": {"id": "conv_1"}, "prompt": {"id": "pmpt_1"}}, "conversation, prompt"),
            ({"background": True}, "background"),
        ],
    )
    async def test_a_request_is_whole(self, world: World, given: dict[str, Any], said: str) -> None:
        answer = await world.ask(RESPONSES, **given)
        assert refusal(answer, RESPONSES) == (400, "parameter_not_allowed")
        assert said in answer.json()["error"]["message"]
        assert world.upstream.asked == []

    async def test_what_stands_for_nothing_is_good(self, world: World) -> None:
        answer = await world.ask(RESPONSES, previous_response_id=None, background=False, store=False)
        assert answer.status_code == 200

    async def test_instructions_and_results_of_tools_are_guarded_and_shown(self, world: World) -> None:
        result = {"type": "function_call_output", "call_id": "call_1", "output": f"card {CARD}"}
        await world.ask(RESPONSES, input=[result], instructions=f"the card is {CARD}")
        ((_, _, body),) = world.upstream.asked
        assert body["input"][0]["call_id"] == "call_1"
        assert "[card:" in body["input"][0]["output"]
        assert "[card:" in body["instructions"]
        shown = world.spans().attributes("responses small")["input.value"]
        assert json.loads(shown).keys() == {"instructions", "input"}

    async def test_what_a_reasoning_model_has_encrypted_goes_back_as_it_was(self, world: World) -> None:
        thought = {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [],
            "encrypted_content": "gAAAA" + "4111111111111111" * 20,
        }
        await world.ask(RESPONSES, input=[thought])
        ((_, _, body),) = world.upstream.asked
        assert body["input"] == [thought]


class TestGemini:
    """The model is in the path, and what may be said is a closed list."""

    @pytest.mark.parametrize("model", ["large", "small,small", "SMALL", "a/b:c", "x" * 101, "small:generateContent"])
    async def test_a_model_outside_the_role(self, world: World, model: str) -> None:
        answer = await world.http.post(f"/v1beta/models/{model}:generateContent", json={}, headers=world.headers())
        served = "," not in model
        assert refusal(answer, GEMINI) == ((403, "model_not_allowed") if served else (404, "not_found"))
        assert world.upstream.asked == []

    @pytest.mark.parametrize(
        "path", [GEMINI.replace("Content", "contents"), f"{GEMINI}/", "/v1beta/models", GEMINI[7:]]
    )
    async def test_no_other_path(self, world: World, path: str) -> None:
        assert (await world.http.post(path, json={}, headers=world.headers())).status_code == 404

    @pytest.mark.parametrize("name", ["model", "config", "cachedContent", "cached_content", "timeout", "n", "stream"])
    async def test_what_it_may_not_say(self, world: World, name: str) -> None:
        answer = await world.http.post(GEMINI, json={"contents": [], name: "x"}, headers=world.headers())
        assert refusal(answer, GEMINI) == (400, "parameter_not_allowed")
        assert world.upstream.asked == []

    async def test_both_spellings_are_one(self, world: World) -> None:
        told = {"system_instruction": {"parts": [{"text": f"card {CARD}"}]}, "safety_settings": [], "tool_config": {}}
        assert (await world.ask(GEMINI, **told)).status_code == 200
        ((_, _, body),) = world.upstream.asked
        assert set(body) == {"contents", "generationConfig", "systemInstruction", "safetySettings", "toolConfig"}
        assert "[card:" in body["systemInstruction"]["parts"][0]["text"]
        shown = world.spans().attributes("gemini small")["input.value"]
        assert json.loads(shown).keys() == {"systemInstruction", "contents"}

    @pytest.mark.parametrize("query", ["", "?alt=json", "?alt=sse&alt=json"])
    async def test_a_stream_is_one_of_events(self, world: World, query: str) -> None:
        answer = await world.http.post(f"{GEMINI_STREAM_PATH}{query}", json={}, headers=world.headers())
        assert refusal(answer, GEMINI) == (400, "stream_of_events_only")
        assert world.upstream.asked == []

    @pytest.mark.parametrize("spelled", ["candidateCount", "candidate_count"])
    async def test_a_stream_is_one_answer(self, world: World, spelled: str) -> None:
        answer = await world.ask(GEMINI, stream=True, generationConfig={spelled: 2})
        assert refusal(answer, GEMINI) == (400, "parameter_not_allowed")
        assert (await world.ask(GEMINI, generationConfig={spelled: 2})).status_code == 200
        assert world.custodian.only("admitted")["estimate"]["answers"] == 2

    async def test_the_ticket_is_for_litellm_to_hand_on(self, world: World) -> None:
        world.custodian.answers["admitted"] = {"ticket": "t-1"}
        await world.ask(GEMINI)
        ((_, headers, body),) = world.upstream.asked
        assert body["extra_headers"] == {"x-praxis-ticket": "t-1"}
        assert int(headers["content-length"]) == len(json.dumps(body, ensure_ascii=False).encode())

    async def test_arguments_and_results_of_tools_are_guarded_and_media_go_on(self, world: World) -> None:
        image = {"mimeType": "image/png", "data": "4111111111111111" * 20}
        signature = "4111111111111111" * 20
        parts = [
            {"functionCall": {"name": "pay", "args": {"card": 4111111111111111}}, "thoughtSignature": signature},
            {"functionResponse": {"name": "pay", "response": {"paid by": CARD}}},
            {"inlineData": image},
        ]
        await world.ask(GEMINI, parts)
        ((_, _, body),) = world.upstream.asked
        call, result, attached = body["contents"][0]["parts"]
        assert call["functionCall"]["args"]["card"].startswith("[card:")
        assert call["thoughtSignature"] == signature
        assert result["functionResponse"]["response"]["paid by"].startswith("[card:")
        assert attached == {"inlineData": image}

    async def test_text_is_no_medium(self, world: World) -> None:
        await world.ask(GEMINI, [{"inlineData": {"mimeType": "text/plain", "data": "x 4111111111111111 " * 20}}])
        ((_, _, body),) = world.upstream.asked
        assert "[card:" in json.dumps(body)


@EACH
@pytest.mark.parametrize("server", ["litellm_proxy", "litellm_proxy/mcp/files", "http://tools.example.com", "", 7])
async def test_a_tool_server_is_on_the_web(world: World, path: str, server: Any) -> None:
    tool = {"type": "mcp", "server_label": "files", "server_url": server}
    answer = await world.ask(path, tools=[{"type": "function"}, tool])
    assert answer.status_code == 400
    assert "https://" in answer.json()["error"]["message"]
    assert world.upstream.asked == []
    assert (await world.ask(path, tools=[{**tool, "server_url": "https://tools.example.com/mcp"}])).status_code == 200
