"""What the custodian writes down over HTTP, and the chain of it: real database, real tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from joserfc.jwk import OKPKey

from runtime import receipt
from runtime.assertion import verify
from runtime.chain import read
from runtime.chain import verify as verify_chain
from tests.unit.runtime.custodian_world import ADMIN, CHAIN, HOOKS, World, deliver, running, settings
from tests.unit.runtime.realm import DEMO_CLIENT


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    async with running(database_settings) as made:
        yield made


class TestRecords:
    async def test_from_admitted_to_settled(self, world: World) -> None:
        token, about = await world.asserted(azp=DEMO_CLIENT)
        guards = {"verdict": "masked", "findings": {"card": 1}}
        assert (await world.tell("admitted", token, prompt_digest="d" * 64)).status_code == 200
        ended = await world.tell("settled", token, input_tokens=1000, output_tokens=500, guards=guards)
        assert ended.status_code == 200
        assert Decimal(ended.json()["cost_usd"]) == Decimal("0.002")
        record = await world.record(about.trace)
        assert (record["state"], record["demo"], record["cost_usd"]) == ("settled", True, "0.002")
        assert record["guards"] == guards
        listed = (await world.http.get("/records?limit=5", headers=ADMIN)).json()["records"]
        assert [row["trace"] for row in listed] == [about.trace]

    async def test_an_assertion_is_good_for_one_request(self, world: World) -> None:
        token, _ = await world.asserted()
        assert (await world.tell("admitted", token)).status_code == 200
        assert (await world.tell("admitted", token)).status_code == 409

    async def test_settling_again_counts_nothing(self, world: World) -> None:
        token, _ = await world.asserted()
        await world.tell("admitted", token)
        assert (await world.tell("settled", token, output_tokens=5)).json()["counted"] is True
        assert (await world.tell("settled", token, output_tokens=5)).json()["counted"] is False

    @pytest.mark.parametrize(
        "headers", [{}, ADMIN, {"Authorization": "Bearer "}, {"Authorization": "record-canary-no"}]
    )
    async def test_only_the_hooks_write(self, world: World, headers: dict[str, str]) -> None:
        token, about = await world.asserted()
        for what in ("admitted", "refused", "settled"):
            assert (await world.tell(what, token, headers=headers)).status_code == 401
        assert (await world.http.get(f"/records/{about.trace}", headers=ADMIN)).status_code == 404

    @pytest.mark.parametrize("headers", [{}, HOOKS, {"Authorization": "Bearer \u00ff".encode("latin-1")}])
    async def test_only_the_operator_reads(self, world: World, headers: Any) -> None:
        token, about = await world.asserted()
        await world.tell("admitted", token)
        for path in ("/records", f"/records/{about.trace}"):
            assert (await world.http.get(path, headers=headers)).status_code == 401

    async def test_a_forged_assertion_writes_nothing(self, world: World) -> None:
        from runtime.assertion import sign

        _, about = await world.asserted()
        forged = sign(about, OKPKey.generate_key("Ed25519"))
        for what in ("admitted", "refused", "settled"):
            assert (await world.tell(what, forged)).status_code == 403

    @pytest.mark.parametrize(
        "changes",
        [
            {"input_tokens": -1},
            {"output_tokens": "many"},
            {"input_tokens": 2**70},
            {"dialect": "klingon"},
            {"surprise": 1},
            {"model": None},
            {"status": 99_999_999_999},
            {"guards": {"verdict": "masked", "text": "content has no place here"}},
            {"guards": {"findings": {"card": "4111 1111 1111 1111"}}},
        ],
    )
    async def test_what_is_no_record_is_said(self, world: World, changes: dict[str, Any]) -> None:
        token, _ = await world.asserted()
        answer = await world.tell("settled", token, **changes)
        assert answer.status_code == 400
        assert "4111" not in answer.text

    async def test_tokens_of_a_model_without_a_price_are_not_free(self, world: World) -> None:
        """A model that has no price here cannot have been allowed by a policy: that is an error, not a gift."""
        token, about = await world.asserted()
        assert (await world.tell("admitted", token, model="mystery")).status_code == 400
        assert (await world.http.get(f"/records/{about.trace}", headers=ADMIN)).status_code == 404

    async def test_a_key_that_litellm_forgot_is_made_again(self, world: World) -> None:
        """LiteLLM's database came back empty: the hooks say ``unknown_key``, and the next request mends it."""
        token, _ = await world.asserted()
        world.litellm.keys.clear()
        await world.tell("admitted", token)
        await world.tell("settled", token, status=503, reason="unknown_key")
        assert (await world.auth(world.token())).status_code == 200
        assert len(world.litellm.keys) == 1


class TestChain:
    async def test_what_was_recorded_is_in_it(self, world: World) -> None:
        token, about = await world.asserted()
        await world.tell("admitted", token, prompt_digest="d" * 64)
        await world.tell("settled", token, input_tokens=10, output_tokens=5)
        page = (await world.http.get("/chain?from=1&limit=500", headers=ADMIN)).json()["events"]
        report = verify_chain(read(page), {CHAIN.public}, anchor=None)
        assert (report.events, report.findings) == (3, ())
        head = (await world.http.get("/chain/head", headers=ADMIN)).json()
        assert head == {"seq": report.head.seq, "hash": report.head.hash, "key": CHAIN.public}
        record = await world.record(about.trace)
        assert record["chain"] == page[1:]
        assert receipt.check(record, {CHAIN.public}) == []

    async def test_a_refusal_at_the_edge_is_in_it(self, world: World) -> None:
        carol = {"sub": "sub-of-carol", "preferred_username": "carol"}
        token, _ = await world.asserted(**carol)
        await world.tell("admitted", token)
        await world.tell("settled", token, input_tokens=1, output_tokens=0)
        answer = await world.auth(world.token(**carol))
        record = await world.record(answer.headers["x-praxis-trace-id"])
        assert record["state"] == "refused"
        assert receipt.check(record, {CHAIN.public}) == []

    @pytest.mark.parametrize("headers", [{}, HOOKS])
    async def test_only_the_operator_reads(self, world: World, headers: dict[str, str]) -> None:
        for path in ("/chain", "/chain?from=1&limit=1", "/chain/head"):
            assert (await world.http.get(path, headers=headers)).status_code == 401
            assert (await world.http.post(path, headers=ADMIN)).status_code == 404

    @pytest.mark.parametrize(
        ("query", "status", "number"),
        [
            ("", 200, 1),
            ("?from=2", 200, 0),
            (f"?from={10**30}", 200, 0),
            ("?from=-5&limit=-5", 200, 1),
            (f"?limit={10**30}", 200, 1),
            ("?from=x", 400, None),
            ("?limit=1.5", 400, None),
            ("?from=", 400, None),
        ],
    )
    async def test_odd_pages(self, world: World, query: str, status: int, number: int | None) -> None:
        answer = await world.http.get(f"/chain{query}", headers=ADMIN)
        assert answer.status_code == status
        if number is not None:
            assert len(answer.json()["events"]) == number

    async def test_pages_follow_each_other(self, world: World) -> None:
        token, _ = await world.asserted()
        await world.tell("admitted", token)
        await world.tell("settled", token)
        first = (await world.http.get("/chain?limit=2", headers=ADMIN)).json()
        assert (len(first["events"]), first["next"]) == (2, 3)
        last = (await world.http.get("/chain?limit=2&from=3", headers=ADMIN)).json()
        assert (len(last["events"]), last["next"]) == (1, None)

    async def test_when_the_chain_cannot_be_written_nothing_goes_out(self, world: World) -> None:
        token, _ = await world.asserted()
        connection = await asyncpg.connect(**world.database)
        await connection.execute("DROP TABLE chain")
        await connection.close()
        assert (await world.tell("admitted", token)).status_code == 503
        assert (await world.http.get("/chain/head", headers=ADMIN)).status_code == 503


class TestRotation:
    """A new value counts from its delivery; the one before goes on for a while."""

    async def test_a_token_of_the_operator(self, world: World) -> None:
        deliver(world.secrets, custodian_admin_token="admin-new")
        for token, status in (("admin-canary", 200), ("admin-new", 200), ("other", 401)):
            answer = await world.http.get("/records", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, token

    async def test_the_key_of_assertions(self, world: World) -> None:
        before, about = await world.asserted()
        assert (await world.tell("admitted", before)).status_code == 200
        new = OKPKey.generate_key("Ed25519")
        deliver(world.secrets, assertion_private_key=new.as_pem(private=True).decode())
        answer = await world.auth(world.token())
        after = answer.headers["x-praxis-assertion"]
        assert verify(after, new).trace != about.trace
        assert (await world.tell("admitted", after)).status_code == 200
        assert (await world.tell("settled", before)).status_code == 200, "what was on its way is settled"

    async def test_litellms_master_key(self, world: World) -> None:
        deliver(world.secrets, litellm_master_key="sk-new")
        assert (await world.auth(world.token())).status_code == 200, "LiteLLM still has the old one"
        world.litellm.master_key = "sk-new"
        assert (await world.auth(world.token(sub="another"))).status_code == 200

    async def test_the_seed_of_subjects_keys(self, world: World) -> None:
        old = (await world.auth(world.token())).headers["authorization"]
        deliver(world.secrets, litellm_subject_seed="seed-new")
        new = (await world.auth(world.token())).headers["authorization"]
        assert new != old
        assert {f"Bearer {key}" for key in world.litellm.keys} == {old, new}


async def test_no_secret_is_in_a_representation_or_an_error(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    shown = repr(settings({"password": "database-canary"}, world.secrets))
    await world.auth("nonsense")
    await world.auth(world.token(roles=[]))
    printed = capsys.readouterr()
    for text in (shown, printed.out, printed.err):
        assert "canary" not in text
