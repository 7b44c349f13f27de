"""Config folders, PostgreSQL and LiteLLM judged without any of them; and a config folder mended."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from components.blueprint import blueprint
from config import Stack, load_stack
from infra.drift import databases, files, gateway
from infra.drift.compare import Veil
from infra.drift.findings import Finding, Kind
from infra.paths import STACKS
from infra.targets.on_host import config_digest, restore_config

WANTED = {"a.yaml": "a\n", "sub/b.yaml": "b\n"}


def folder(live: dict[str, str] | None, wanted: dict[str, str] | None = WANTED) -> list[tuple[str, Kind]]:
    one = files.Folder(service="edge", urn="u", digest=config_digest(WANTED), wanted=wanted, live=live)
    return [(found.path, found.kind) for found in files.findings([one], "t")]


def test_each_file_is_named() -> None:
    assert folder(WANTED) == []
    assert folder({"a.yaml": "x\n", "c.yaml": "c\n"}) == [
        ("a.yaml", Kind.CHANGED),
        ("c.yaml", Kind.FOREIGN),
        ("sub/b.yaml", Kind.MISSING),
    ]
    assert folder(None) == [("state", Kind.MISSING)]


def test_what_was_delivered_before_the_file_changed_is_known_by_its_digest() -> None:
    assert folder(WANTED, None) == []
    assert folder({"a.yaml": "x\n"}, None) == [("content", Kind.CHANGED)]


def test_a_config_folder_is_restored_in_place(tmp_path: Path) -> None:
    assert restore_config(tmp_path, WANTED)
    assert not restore_config(tmp_path, WANTED)
    (tmp_path / "a.yaml").chmod(0o644)
    (tmp_path / "a.yaml").write_text("changed")
    (tmp_path / "sub/b.yaml").unlink()
    (tmp_path / "sub/c.yaml").symlink_to("/etc/hostname")
    assert restore_config(tmp_path, WANTED)
    found = files.read(tmp_path)
    assert found is not None
    assert found[0] == WANTED


def role(name: str, **changed: Any) -> dict[str, Any]:
    rights = dict.fromkeys(databases.RIGHTS, False)
    return {"name": name, "login": True, "password": None, "member_of": [], **rights, **changed}


def judged(roles: list[dict[str, Any]], owned: list[dict[str, Any]]) -> list[str]:
    judge = databases.Judge("t", ("litellm",), Veil(b"k"))
    return [one.place for one in judge.judged({"roles": roles, "databases": owned})]


def test_roles_and_databases() -> None:
    owner, own = role("postgres", superuser=True), {"name": "litellm", "owner": "litellm", "grants": []}
    assert judged([owner, role("litellm")], [own]) == []
    assert judged([owner], []) == ["database-role/litellm/state", "database/litellm/state"]
    assert judged([owner, role("litellm", superuser=True, login=False), role("eve")], [own]) == [
        "database-role/litellm/login",
        "database-role/litellm/superuser",
        "database-role/eve/state",
    ]
    taken = {"name": "litellm", "owner": "eve", "grants": ["litellm", "public"]}
    assert judged([role("litellm")], [taken]) == ["database/litellm/owner", "database/litellm/grants.public"]


def test_a_password_is_compared_by_its_verifier() -> None:
    verifier = (  # RFC 7677, section 3: password "pencil"
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert databases.verifies(verifier, "pencil")
    assert not databases.verifies(verifier, "pen")
    assert not databases.verifies(None, "pencil")
    assert not databases.verifies("md5abc", "pencil")


@pytest.fixture
def judge() -> gateway.Judge:
    stack = load_stack("laptop", STACKS)
    return gateway.judge("laptop", stack, blueprint(stack, "laptop")["litellm"])


def key(**changed: Any) -> dict[str, Any]:
    policy = {"max_budget": 50.0, "budget_duration": "30d", "models": ["smollm2"], "rpm_limit": 600}
    return {
        "token": "t" * 64,
        "user_id": "u1",
        "key_alias": f"u1.{'t' * 8}",
        "team_id": "research",
        **policy,
        **changed,
    }


def live(
    *keys: dict[str, Any], user: dict[str, Any] | None = None, teams: tuple[dict[str, Any], ...] = ()
) -> gateway.Gateway:
    params = {"model": "openai/smollm2", "api_base": "http://model:8080/v1", "api_key": "none"}
    prices = {"input_cost_per_token": 0.1 / 1e6, "output_cost_per_token": 0.4 / 1e6}
    return gateway.Gateway(
        models=({"model_name": "smollm2", "litellm_params": params, "model_info": {"id": "1", **prices}},),
        teams=({"team_id": "research"}, *teams),
        users=({"user_id": "u1", "user_alias": "alice", **(user or {})},),
        keys=keys,
    )


def told(found: Finding) -> str:
    return f"{found.resource} {found.path} {found.declared} -> {found.live}"


@pytest.mark.parametrize("part", ["litellm_params", "model_info"])
@pytest.mark.parametrize("price", ["input_cost_per_token", "output_cost_per_token"])
def test_a_price_changed_by_hand(judge: gateway.Judge, part: str, price: str) -> None:
    found = live(key())
    found.models[0][part][price] = 0.0
    assert [(one.resource, one.path, one.live) for one in judge.judged(found)] == [
        ("litellm/model/smollm2", price, "0.0")
    ]


def test_a_budget_raised_by_hand(judge: gateway.Judge) -> None:
    assert list(judge.judged(live(key()))) == []
    found = live(key(max_budget=75.0))
    assert [told(one) for one in judge.judged(found)] == ["litellm/user/alice budget.usd 50 -> 75"]
    ((path, body),) = gateway.repairs(judge, found)
    assert (path, body["max_budget"], body["tpm_limit"]) == ("/key/update", 50.0, None)


NOW = datetime.now(UTC)


def raised(judge: gateway.Judge, *raises: tuple[str, int, int, int]) -> gateway.Judge:
    """With raises of (subject id, USD, begun so many hours ago, lasting so many hours)."""
    begun = [(sub, usd, NOW - timedelta(hours=ago), timedelta(hours=lasts)) for sub, usd, ago, lasts in raises]
    made = (gateway.Raise(sub=sub, usd=Decimal(usd), begins=at, ends=at + lasts) for sub, usd, at, lasts in begun)
    return replace(judge, raises=tuple(made))


@pytest.mark.parametrize(
    ("raises", "live_usd", "drifted"),
    [
        ([("u1", 25, 1, 24)], 75.0, False),
        ([("u1", 25, 1, 24)], 50.0, False),  # LiteLLM has not heard of it yet
        ([("u1", 25, 30, 24)], 75.0, False),  # nor of its end
        ([("u1", 25, 1, 24), ("u1", 10, 2, 24)], 85.0, False),
        ([("u1", 25, 1, 24), ("u1", 10, 2, 24)], 60.0, False),  # as it was before the second one
        ([("u1", 25, 1, 24)], 76.0, True),
        ([("u2", 25, 1, 24)], 75.0, True),
    ],
)
def test_a_raise_by_command_is_no_drift(
    judge: gateway.Judge, raises: list[tuple[str, int, int, int]], live_usd: float, drifted: bool
) -> None:
    assert any(raised(judge, *raises).judged(live(key(max_budget=live_usd)))) is drifted


def test_a_repair_leaves_the_raise(judge: gateway.Judge) -> None:
    ((_, body),) = gateway.repairs(raised(judge, ("u1", 25, 1, 24)), live(key(max_budget=900.0)))
    assert body["max_budget"] == 75.0


def test_limits_models_team_and_block(judge: gateway.Judge) -> None:
    found = live(key(rpm_limit=None, models=[], team_id="finance", blocked=True), user={"max_budget": 9})
    assert [one.path for one in judge.judged(found)] == [
        "user.budget.usd",
        "limits.requests_per_minute",
        "models",
        "team",
        "blocked",
    ]
    assert [path for path, _ in gateway.repairs(judge, found)] == ["/user/update", "/key/update", "/key/unblock"]


def test_a_key_that_the_custodian_did_not_make(judge: gateway.Judge) -> None:
    found = live(key(), key(token="x" * 64, key_alias=None))
    assert [one.kind for one in judge.judged(found)] == [Kind.FOREIGN]
    assert list(gateway.repairs(judge, found)) == [("/key/delete", {"keys": ["x" * 64]})]


@pytest.mark.parametrize(
    ("alias", "made"),
    [("u1", True), ("u1.tttttttt", True), ("u1.0a1b2c3d", False), ("u10a1b2c3d", False), ("u2/a.tttttttt", False)],
)
def test_the_custodian_s_keys_are_known_by_their_alias(judge: gateway.Judge, alias: str, made: bool) -> None:
    assert any(judge.judged(live(key(key_alias=alias)))) is not made
    raised = live(key(key_alias=alias, max_budget=75.0))
    assert [path for path, _ in gateway.repairs(judge, raised)] == ["/key/update" if made else "/key/delete"]


def acting(stack: Stack, *departments: str) -> Stack:
    agent = stack.agents["nightly-report"].model_copy(update={"on_behalf_of": departments})
    return stack.model_copy(update={"agents": {"nightly-report": agent}})


def test_the_key_by_which_an_agent_acts_for_somebody_has_what_both_may(judge: gateway.Judge) -> None:
    both = {"key_alias": f"u1/nightly-report.{'t' * 8}", "max_budget": 0.5, "budget_duration": "1d", "rpm_limit": 60}
    may = replace(judge, stack=acting(judge.stack, "research"))
    assert list(may.judged(live(key(**both)))) == []
    found = live(key(**{**both, "rpm_limit": 600}))
    assert [told(one) for one in may.judged(found)] == [
        "litellm/user/alice/nightly-report limits.requests_per_minute 60 -> 600"
    ]
    ((path, body),) = gateway.repairs(may, found)
    assert (path, body["rpm_limit"]) == ("/key/update", 60)
    # Nobody comes by it who may not act for her any more.
    assert list(judge.judged(live(key(**both)))) == []


def test_a_declared_team_is_left_to_pulumi_and_another_one_is_not(judge: gateway.Judge) -> None:
    raised = {"max_budget": 1000.0, "blocked": True}
    assert list(judge.judged(live(teams=({"team_id": "finance", **raised},)))) == []
    by_hand = live(teams=({"team_id": "by-hand", **raised},))
    assert [told(one) for one in judge.judged(by_hand)] == [
        "litellm/team/by-hand budget.usd None -> 1000",
        "litellm/team/by-hand blocked false -> true",
    ]
    assert [path for path, _ in gateway.repairs(judge, by_hand)] == ["/team/update", "/team/unblock"]
    assert list(gateway.repairs(judge, live(teams=({"team_id": "finance", **raised},)))) == []


def test_a_person_of_a_directory_is_left_alone(judge: gateway.Judge) -> None:
    assert list(judge.judged(live(key(max_budget=1.0), user={"user_alias": "somebody"}))) == []
