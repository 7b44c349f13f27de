"""Nothing gets past the gate without an assertion; what goes on to LiteLLM is no more than it may know."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from components import way_out
from runtime.assertion import sign
from tests.unit.runtime.custodian_world import deliver
from tests.unit.runtime.hooks.gate_world import (
    EACH,
    INNER,
    KEY,
    MASTER,
    MESSAGES,
    World,
    about,
    plain_answer,
)


class TestPassing:
    @EACH
    async def test_recorded_before_and_after(self, world: World, path: str) -> None:
        seen: list[list[str]] = []
        world.upstream.before = lambda: seen.append([what for what, _ in world.custodian.told])
        assertion = about()
        answer = await world.ask(path, headers={"x-praxis-assertion": sign(assertion, KEY)})
        assert answer.status_code == 200
        assert answer.json() == plain_answer(path)
        assert answer.headers["x-praxis-trace-id"] == assertion.trace
        assert "x-litellm-model-api-base" not in answer.headers
        assert seen == [["admitted"]], "admitted is written before LiteLLM is asked"
        settled = world.custodian.only("settled")
        assert (settled["input_tokens"], settled["output_tokens"], settled["status"]) == (11, 5, 200)
        assert settled["guards"] == {"verdict": "clean", "findings": {}}
        assert len(world.custodian.only("admitted")["prompt_digest"]) == 64

    async def test_what_litellm_gets_and_what_it_does_not(self, world: World) -> None:
        extra = {
            "x-litellm-api-key": "sk-other",
            "X-LiteLLM-Tags": "a",
            "X-LiteLLM-Call-Id": "f" * 32,
            "traceparent": "00-1-2-01",
            "x-api-key": "mine",
            "anthropic-beta": "b1",
        }
        told = {"trace": secrets.token_hex(16)}
        await world.ask(MESSAGES, "grüße", headers={**world.headers(**told), **extra}, temperature=0.5)
        ((_, headers, body),) = world.upstream.asked
        assert "traceparent" not in headers
        ours = {name: value for name, value in headers.items() if name.startswith("x-")}
        assert ours == {"x-litellm-call-id": told["trace"]}, "LiteLLM would forward any other to the provider"
        assert "X-Litellm-Call-Id" in way_out.INTERNAL, "and there the egress takes it off"
        assert headers["anthropic-beta"] == "b1"
        assert headers["authorization"] == "Bearer sk-of-the-subject"
        assert (body["temperature"], body["messages"][0]["content"]) == (0.5, "grüße")
        assert int(headers["content-length"]) == len(json.dumps(body, ensure_ascii=False).encode())

    async def test_models_are_listed_without_a_record(self, world: World) -> None:
        answer = await world.http.get("/v1/models", headers=world.headers())
        assert {one["id"] for one in answer.json()["data"]} == {"small", "tiny"}
        assert answer.headers["x-praxis-trace-id"]
        assert world.custodian.told == []
        assert world.upstream.asked == []

    async def test_of_the_models_a_key_sees_those_that_it_is_for(self, world: World) -> None:
        answer = await world.http.get("/v1/models", headers=world.headers(scope="tiny"))
        told = {"id": "tiny", "object": "model", "created": 0, "owned_by": "praxis"}
        assert answer.json() == {"object": "list", "data": [told]}

    async def test_anthropic_s_clients_get_the_list_in_their_form(self, world: World) -> None:
        headers = {**world.headers(scope="tiny"), "anthropic-version": "2023-06-01"}
        answer = await world.http.get("/v1/models", headers=headers)
        told = {"type": "model", "id": "tiny", "display_name": "tiny", "created_at": "1970-01-01T00:00:00Z"}
        assert answer.json() == {"data": [told], "has_more": False, "first_id": "tiny", "last_id": "tiny"}


class TestEntrance:
    @EACH
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": "Bearer sk-of-the-subject"},
            {"authorization": "Bearer \u00ff"},
            {"authorization": MASTER},
            {"x-praxis-assertion": "", "authorization": f"Bearer {MASTER}"},
            {"x-praxis-assertion": "a.b.c", "authorization": f"Bearer {MASTER}"},
            {"x-praxis-assertion": sign(about(), OKPKey.generate_key("Ed25519"))},
            {"x-praxis-assertion": sign(about(), KEY, now=1_600_000_000)},
        ],
    )
    async def test_without_a_good_assertion(self, world: World, path: str, headers: dict[str, str]) -> None:
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        answer = await world.ask(path, headers=raw)
        assert answer.status_code == 401
        assert world.upstream.asked == []

    async def test_the_master_key_opens_the_admin_api(self, world: World) -> None:
        answer = await world.http.get("/key/info", headers={"authorization": f"Bearer {MASTER}"})
        assert answer.status_code == 200
        (_, headers, _) = world.upstream.asked[0]
        assert headers["authorization"] == f"Bearer {INNER}", "LiteLLM knows a master key of its own alone"

    async def test_a_new_master_key_counts_from_its_delivery_and_the_old_one_for_a_while(self, world: World) -> None:
        deliver(world.secrets, litellm_master_key="sk-new")
        for key, status in ((MASTER, 200), ("sk-new", 200), (INNER, 401), ("", 401)):
            answer = await world.http.get("/key/info", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == status, key

    async def test_a_new_assertion_key_counts_from_its_delivery_and_the_old_one_for_a_while(self, world: World) -> None:
        new = OKPKey.generate_key("Ed25519")
        deliver(world.secrets, assertion_public_key=new.as_pem(private=False).decode())
        for signer, status in ((KEY, 200), (new, 200), (OKPKey.generate_key("Ed25519"), 401)):
            headers = {**world.headers(), "x-praxis-assertion": sign(about(trace=secrets.token_hex(16)), signer)}
            assert (await world.ask(headers=headers)).status_code == status

    async def test_a_custodian_that_has_not_got_the_new_record_token_takes_the_old(self, world: World) -> None:
        deliver(world.secrets, custodian_record_token="newer")
        assert (await world.ask()).status_code == 200

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/key/info"),
            ("POST", "/key/generate"),
            ("GET", "/v1/chat/completions"),
            ("POST", "/v1/models"),
            ("POST", "/v1/embeddings"),
            ("GET", "/"),
            ("POST", "/v1/messages/"),
            ("POST", "/chat/completions"),
        ],
    )
    async def test_an_asserted_request_gets_nothing_else(self, world: World, method: str, path: str) -> None:
        answer = await world.http.request(method, path, headers=world.headers())
        assert answer.status_code == 404
        assert world.upstream.asked == []

    async def test_no_websocket(self, world: World) -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        await world.gate({"type": "websocket", "path": "/v1/realtime", "headers": []}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]
        assert world.upstream.asked == []

    @EACH
    async def test_another_policy_than_ours(self, world: World, path: str) -> None:
        answer = await world.ask(path, headers=world.headers(policy="0" * 64))
        assert answer.status_code == 503
        assert answer.headers["x-should-retry"] == "true"
        answer = await world.ask(path, headers=world.headers(role="gone"))
        assert answer.status_code == 403
        assert world.upstream.asked == []
