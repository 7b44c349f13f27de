"""An agent that acts for a person: what both may do holds, the trail shows both, and either one's end ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.assertion import verify
from runtime.contract import (
    CATEGORIES,
    GuardAction,
    Kind,
    Policies,
    PolicyError,
    Role,
    litellm_alias,
    litellm_name,
    resolve,
)
from runtime.receipt import check
from tests.unit.runtime.custodian_world import ADMIN, CHAIN, HOOKS, MASTER, SIGNING, World, hashed, running
from tests.unit.runtime.realm import DEMO_CLIENT, POLICIES, agent, claims

ACTING = POLICIES.model_copy(
    update={
        "actors": Policies.model_validate(
            {
                **{name: getattr(POLICIES, name) for name in ("stack", "environment", "models", "roles")},
                "departments": POLICIES.departments,
                "actors": {"helper": {"role": "analyst", "department": "finance", "on_behalf_of": ["research"]}},
            }
        ).actors
    }
)
HELPER = "sub-of-helper"


@pytest.fixture
async def world(database_settings: dict[str, str]) -> AsyncIterator[World]:
    async with running(database_settings, ACTING) as made:
        yield made


def exchanged(**changes: Any) -> dict[str, Any]:
    """What Keycloak has put into the token that an agent was given for alice's."""
    return {"azp": "agent-helper", **changes}


class TestPolicy:
    def test_what_both_may_do(self) -> None:
        own = resolve(ACTING, role="engineer", department="research", subject="alice")
        both = resolve(ACTING, role="engineer", department="research", subject="alice", actor="helper")
        assert (own.models, both.models) == (("small", "tiny"), ("small",))
        assert (both.budget.usd_per_day, both.guards.phone) == (own.budget.usd_per_day, GuardAction.MASK)
        assert (both.role, both.department) == ("engineer", "research")
        assert both.digest() != own.digest()

    @pytest.mark.parametrize(("department", "actor"), [("finance", "helper"), ("research", "other")])
    def test_for_nobody_else(self, department: str, actor: str) -> None:
        with pytest.raises(PolicyError, match=f"agent '{actor}' may not act for people of department '{department}'"):
            resolve(ACTING, role="engineer", department=department, subject="alice", actor=actor)

    @given(
        role=st.builds(
            Role,
            models=st.lists(st.sampled_from(["small", "tiny"]), unique=True).map(tuple),
            tools=st.none() | st.lists(st.sampled_from(["a", "b"]), unique=True).map(tuple),
            budget=st.fixed_dictionaries({"usd": st.integers(0, 9), "period": st.sampled_from(["day", "week"])}),
            guards=st.fixed_dictionaries({name: st.sampled_from(GuardAction) for name in CATEGORIES}),
            limits=st.fixed_dictionaries({"requests_per_minute": st.none() | st.integers(1, 9)}),
        )
    )
    def test_never_more_than_either(self, role: Role) -> None:
        policies = ACTING.model_copy(update={"roles": {**ACTING.roles, "analyst": role}})
        own = resolve(policies, role="engineer", department="research", subject="alice")
        theirs = resolve(policies, role="analyst", department="finance", subject="helper")
        both = resolve(policies, role="engineer", department="research", subject="alice", actor="helper")
        for one in (own, theirs):
            assert set(both.models) <= set(one.models)
            assert one.tools is None or (both.tools is not None and set(both.tools) <= set(one.tools))
            assert both.budget.usd_per_day <= one.budget.usd_per_day
            assert all(both.guards.action(name).severity >= one.guards.action(name).severity for name in CATEGORIES)
            most = one.limits.requests_per_minute
            assert most is None or (both.limits.requests_per_minute or most + 1) <= most


class TestComingIn:
    async def test_the_word_about_it_names_both(self, world: World) -> None:
        answer = await world.auth(world.token(**exchanged()))
        assert answer.status_code == 200, answer.text
        about = verify(answer.headers["x-praxis-assertion"], SIGNING)
        assert (about.sub, about.name, about.kind) == (claims()["sub"], "alice", Kind.PERSON)
        assert (about.actor, about.actor_sub) == ("helper", HELPER)
        both = resolve(ACTING, role="engineer", department="research", subject="alice", actor="helper")
        assert about.policy == both.digest()

    async def test_litellm_has_a_key_for_the_two_with_what_both_may_do(self, world: World) -> None:
        own = (await world.auth(world.token())).headers["authorization"].removeprefix("Bearer ")
        both = (await world.auth(world.token(**exchanged()))).headers["authorization"].removeprefix("Bearer ")
        assert own != both
        told = world.litellm.keys[both]
        assert (told["user_id"], told["models"], world.litellm.keys[own]["models"]) == (
            claims()["sub"],
            ["small"],
            ["small", "tiny"],
        )
        assert told["key_alias"] == litellm_alias(litellm_name(claims()["sub"], "helper"), hashed(both))
        assert MASTER not in (own, both)

    async def test_where_a_demonstration_s_sign_in_exists_it_is_marked(self, world: World) -> None:
        """The token that it was given in exchange for does not say who had issued that one."""
        assert DEMO_CLIENT
        assert (await world.asserted(**exchanged()))[1].demo

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"department": ["finance"]}, "agent 'helper' may not act for people of department 'finance'"),
            ({"azp": "agent-other"}, "agent 'other' may not act for people of department 'research'"),
            ({"preferred_username": "service-account-agent-report"}, "is no agent of this gateway"),
        ],
    )
    async def test_for_others_it_does_not(self, world: World, changes: dict[str, Any], says: str) -> None:
        answer = await world.auth(world.token(**exchanged(**changes)))
        assert answer.status_code == 403
        assert says in answer.text

    async def test_it_makes_no_key_and_no_enrolment(self, world: World) -> None:
        bearer = {"Authorization": f"Bearer {world.token(**exchanged())}"}
        for path, body in (("/me/keys", {}), ("/me/enrolments", {"client": "claude-code"})):
            answer = await world.http.post(path, json=body, headers=bearer)
            assert (answer.status_code, "agent 'helper' may ask models for 'alice'" in answer.text) == (403, True)
        console = await world.http.get(
            "/console/me", headers={"x-auth-request-access-token": world.token(**exchanged())}
        )
        assert console.status_code == 403


class TestItsEnd:
    @pytest.mark.parametrize(
        ("client", "why"), [({"enabled": False}, "the agent's account is disabled"), (None, "account is deleted")]
    )
    async def test_an_agent_that_is_out_acts_for_nobody(
        self, world: World, client: dict[str, bool] | None, why: str
    ) -> None:
        world.realm.clients["agent-helper"] = client
        answer = await world.auth(world.token(**exchanged()))
        assert (answer.status_code, why in answer.text) == (401, True)
        assert (await world.auth(world.token())).status_code == 200

    @pytest.mark.parametrize("which", ["agent", "person"])
    async def test_what_is_under_way_is_told_to_end(self, world: World, which: str) -> None:
        token = world.token(**exchanged())
        assert (await world.auth(token)).status_code == 200
        if which == "agent":
            world.realm.clients["agent-helper"] = {"enabled": False}
            world.realm.happens("clients/agent-helper")
        else:
            world.realm.accounts[claims()["sub"]] = {"enabled": False}
            world.realm.happens(f"users/{claims()['sub']}")
        for _ in range(100):
            if (await world.auth(token)).status_code == 401:
                break
            await asyncio.sleep(0.1)
        answer = await world.http.post("/records/ended", headers=HOOKS)
        assert answer.json() == {"subjects": [HELPER if which == "agent" else claims()["sub"]]}

    async def test_an_agent_that_is_made_anew_acts_again(self, world: World) -> None:
        assert (await world.asserted(**exchanged()))[1].actor_sub == HELPER
        world.realm.accounts[HELPER] = None
        world.realm.service_accounts["agent-helper"] = "sub-of-the-new-one"
        world.realm.happens(f"users/{HELPER}", "DELETE")
        for _ in range(100):
            about = (await world.asserted(**exchanged()))[1]
            if about.actor_sub != HELPER:
                break
            await asyncio.sleep(0.1)
        assert about.actor_sub == "sub-of-the-new-one"


class TestTheTrail:
    async def test_the_record_and_the_chain_have_both(self, world: World) -> None:
        token, about = await world.asserted(**exchanged())
        assert (await world.tell("admitted", token)).status_code == 200
        record = await world.record(about.trace)
        assert (record["name"], record["sub"], record["actor"]) == ("alice", about.sub, "helper")
        (event,) = record["chain"]
        assert '"actor":"helper"' in event
        assert f'"actor_sub":"{HELPER}"' in event
        assert "alice" not in event
        assert check(record, {CHAIN.public}) == []

    async def test_who_asks_for_itself_has_none(self, world: World) -> None:
        token, about = await world.asserted()
        assert (await world.tell("admitted", token)).status_code == 200
        record = await world.record(about.trace)
        assert record["actor"] is None
        assert "actor" not in record["chain"][0]

    async def test_the_person_s_budget_pays(self, world: World) -> None:
        token, about = await world.asserted(**exchanged())
        await world.tell("admitted", token)
        settled = await world.tell("settled", token, status=200, input_tokens=1000, output_tokens=0)
        assert settled.status_code == 200, settled.text
        spent = (await world.http.get("/budgets", headers=ADMIN)).json()["spending"]
        assert {one["sub"] for one in spent} == {about.sub}
        assert agent("helper")["sub"] != about.sub
