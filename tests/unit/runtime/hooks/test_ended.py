"""Whose access ends gets nothing more of the answer that is on its way."""

from __future__ import annotations

import json

import pytest

from runtime.hooks import ended
from tests.unit.runtime.hooks.gate_world import ANTHROPIC_STREAM, CHAT, EACH, MESSAGES, OPENAI_STREAM, World, refusal


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "POLL_S", 0.02)


def events(stream: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]


@pytest.mark.parametrize(("path", "stream"), [(CHAT, OPENAI_STREAM), (MESSAGES, ANTHROPIC_STREAM)])
async def test_a_stream_is_cut_and_says_so_in_dialect(world: World, path: str, stream: bytes) -> None:
    world.upstream.chunks, world.upstream.pause_s = [*events(stream)[:2], b": wait\n\n", *events(stream)[2:]], 0.1
    world.custodian.answers["ended"] = {"subjects": ["sub-of-alice"]}
    answer = await world.ask(path, stream=True)
    last = answer.content.removesuffix(b"\n\n").split(b"\n\n")[-1]
    told = json.loads(last.split(b"data: ")[1])
    assert told["error"]["message"] == "the account's access has ended"
    assert last.startswith(b"event: error\n") == (path == MESSAGES)
    assert b"[DONE]" not in answer.content
    assert b"message_stop" not in answer.content
    settled = world.custodian.only("settled")
    assert settled["reason"] == "access_ended"


@EACH
async def test_an_answer_in_one_piece_is_not_given(world: World, path: str) -> None:
    world.upstream.pause_s = 0.1
    world.custodian.answers["ended"] = {"subjects": ["sub-of-alice"]}
    answer = await world.ask(path)
    assert refusal(answer, path) == (401, "authentication_error" if path == MESSAGES else "access_ended")
    assert b"Hello" not in answer.content
    settled = world.custodian.only("settled")
    assert (settled["status"], settled["reason"]) == (401, "access_ended")
    assert settled["output_tokens"] == 5, "what was used is paid for"


async def test_others_go_on(world: World) -> None:
    world.upstream.chunks, world.upstream.pause_s = events(OPENAI_STREAM), 0.05
    world.custodian.answers["ended"] = {"subjects": ["sub-of-bob"]}
    answer = await world.ask(stream=True)
    assert answer.content.endswith(b"data: [DONE]\n\n")
    assert world.custodian.only("settled")["reason"] is None


async def test_who_is_let_in_again_is_not_cut_for_what_was_heard_before(world: World) -> None:
    world.upstream.chunks, world.upstream.pause_s = events(OPENAI_STREAM), 0.05
    world.custodian.answers["ended"] = {"subjects": ["sub-of-alice"]}
    assert b"access has ended" in (await world.ask(stream=True)).content
    world.custodian.answers["ended"] = {"subjects": []}
    answer = await world.ask(stream=True)
    assert answer.content.endswith(b"data: [DONE]\n\n")


async def test_a_custodian_that_does_not_say_cuts_nothing(world: World) -> None:
    world.upstream.chunks, world.upstream.pause_s = events(OPENAI_STREAM), 0.05
    world.custodian.statuses["ended"] = 503
    answer = await world.ask(stream=True)
    assert answer.content.endswith(b"data: [DONE]\n\n")


async def test_short_answers_cost_the_custodian_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended, "POLL_S", 60.0)
    for _ in range(3):
        assert (await world.ask()).status_code == 200
    assert "ended" not in [what for what, _ in world.custodian.told]
