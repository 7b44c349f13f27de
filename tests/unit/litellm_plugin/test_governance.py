"""Teams and budgets over the played admin API: adopted, changed field by field, read with what nobody declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from infra.plugins.standins.kinds import PluginError
from infra.plugins.standins.values import plain
from tests.played_litellm import Answer, PlayedLiteLLM
from tests.unit.litellm_plugin.driver import Driver

TEAM, BUDGET = "litellm:index:Team", "litellm:index:Budget"


ENGINEER = {"budget_id": "role-engineer", "max_budget": 50, "budget_duration": "30d", "rpm_limit": 600}


class TestBudget:
    def test_it_is_made_as_declared(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(BUDGET, **ENGINEER)
        assert made.resource_id == "role-engineer"
        assert made.outputs == ENGINEER
        assert {name: litellm.budgets["role-engineer"][name] for name in ENGINEER} == ENGINEER
        assert [path for path, _ in litellm.changes()] == ["/budget/new"]

    def test_one_that_is_there_is_adopted(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        litellm.budget_new({**ENGINEER, "max_budget": 9, "max_parallel_requests": 3})
        made = driver.create(BUDGET, **ENGINEER)
        assert litellm.changes() == [
            ("/budget/update", {"budget_id": "role-engineer", "max_budget": 50, "max_parallel_requests": None})
        ]
        assert made.outputs == ENGINEER
        assert made.diff(**ENGINEER).changes is False

    def test_one_that_another_made_meanwhile_is_adopted(
        self, litellm: PlayedLiteLLM, driver: Driver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        litellm.budget_new({**ENGINEER, "max_budget": 9})
        answers: Iterator[Answer] = iter([(200, [])])
        honest = litellm.budget_info
        monkeypatch.setattr(litellm, "budget_info", lambda body: next(answers, None) or honest(body))
        driver.create(BUDGET, **ENGINEER)
        assert litellm.budgets["role-engineer"]["max_budget"] == 50

    def test_a_raise_is_one_field_and_begins_no_new_period(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(BUDGET, **ENGINEER)
        before = litellm.budgets["role-engineer"]["budget_reset_at"]
        raised = {**ENGINEER, "max_budget": 75}
        assert made.diff(**raised).diffs == ["max_budget"]
        made.update(**raised)
        assert litellm.changes()[-1] == ("/budget/update", {"budget_id": "role-engineer", "max_budget": 75})
        assert litellm.budgets["role-engineer"]["budget_reset_at"] == before
        assert made.outputs["max_budget"] == 75

    def test_what_is_no_longer_declared_is_taken_away(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(BUDGET, **ENGINEER)
        less = {"budget_id": "role-engineer", "max_budget": 50}
        assert made.diff(**less).diffs == ["budget_duration", "rpm_limit"]
        made.update(**less)
        assert litellm.budgets["role-engineer"]["rpm_limit"] is None
        assert litellm.budgets["role-engineer"]["budget_reset_at"] is None
        assert made.outputs == less

    @pytest.mark.parametrize(
        ("by_hand", "read"),
        [
            ({"max_budget": 75}, {**ENGINEER, "max_budget": 75}),
            ({"max_budget": None}, {name: value for name, value in ENGINEER.items() if name != "max_budget"}),
            ({"tpm_limit": 5}, {**ENGINEER, "tpm_limit": 5}),
            ({"tpm_limit": 0}, {**ENGINEER, "tpm_limit": 0}),
            ({"soft_budget": 5}, ENGINEER),
        ],
        ids=["raised", "taken away", "a limit that nobody declared", "one of nothing", "what is not looked at"],
    )
    def test_what_was_changed_by_hand_is_read_and_mended(
        self, litellm: PlayedLiteLLM, driver: Driver, by_hand: dict[str, Any], read: dict[str, Any]
    ) -> None:
        made = driver.create(BUDGET, **ENGINEER)
        litellm.budgets["role-engineer"].update(by_hand)
        assert made.refresh()
        assert plain(made.inputs) == read
        changed = [name for name in by_hand if name != "soft_budget"]
        assert made.diff(**ENGINEER).diffs == changed
        made.update(**ENGINEER)
        assert {name: litellm.budgets["role-engineer"][name] for name in ENGINEER} == ENGINEER
        assert litellm.budgets["role-engineer"]["tpm_limit"] is None

    def test_nothing_is_no_missing_budget(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(BUDGET, budget_id="none", max_budget=0)
        assert litellm.budgets["none"]["max_budget"] == 0
        assert made.diff(budget_id="none").diffs == ["max_budget"]
        litellm.budgets["none"]["max_budget"] = None
        assert made.refresh()
        assert made.diff(budget_id="none", max_budget=0).diffs == ["max_budget"]

    def test_it_is_imported(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        litellm.budget_new(ENGINEER)
        found = driver.imported(BUDGET, "role-engineer")
        assert plain(found.inputs) == ENGINEER
        assert found.diff(**ENGINEER).changes is False
        assert driver.imported(BUDGET, "nobody").resource_id == ""

    def test_one_that_is_gone(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(BUDGET, **ENGINEER)
        litellm.budgets.clear()
        with pytest.raises(PluginError, match="LiteLLM has no budget 'role-engineer'; run 'pulumi refresh'"):
            made.update(**{**ENGINEER, "max_budget": 75})
        made.delete()
        assert not made.refresh()

    def test_it_is_deleted(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        driver.create(BUDGET, **ENGINEER).delete()
        assert litellm.budgets == {}

    def test_another_id_is_another_budget(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(BUDGET, **ENGINEER)
        assert made.diff(**{**ENGINEER, "budget_id": "other"}).replaces == ["budget_id"]

    def test_a_change_that_is_taken_and_not_done_is_an_error(
        self, litellm: PlayedLiteLLM, driver: Driver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = driver.create(BUDGET, **ENGINEER)
        monkeypatch.setattr(litellm, "budget_update", lambda body: (200, None))
        with pytest.raises(PluginError, match="took the change of 'role-engineer' and did not do it: max_budget is 50"):
            made.update(**{**ENGINEER, "max_budget": 75})


RESEARCH = {"team_id": "research", "team_alias": "research", "models": ["a", "b"]}


class TestTeam:
    def test_one_that_the_custodian_made_is_adopted_with_its_keys(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        litellm.team_new({"team_id": "research", "team_alias": "research"})
        litellm.keys["alice"] = "research"
        made = driver.create(TEAM, **RESEARCH)
        assert litellm.changes() == [("/team/update", {"team_id": "research", "models": ["a", "b"]})]
        assert litellm.keys == {"alice": "research"}
        assert made.outputs == RESEARCH

    def test_models_in_another_order_are_the_same(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(TEAM, **RESEARCH)
        litellm.teams["research"]["models"] = ["b", "a"]
        assert made.refresh()
        assert plain(made.inputs) == RESEARCH

    @pytest.mark.parametrize(
        "by_hand",
        [{"max_budget": 1000.0}, {"models": []}, {"models": ["a", "b", "c"]}, {"blocked": True}, {"rpm_limit": 1}],
        ids=str,
    )
    def test_what_was_changed_by_hand_is_read_and_mended(
        self, litellm: PlayedLiteLLM, driver: Driver, by_hand: dict[str, Any]
    ) -> None:
        made = driver.create(TEAM, **RESEARCH)
        before = dict(litellm.teams["research"])
        litellm.teams["research"].update(by_hand)
        assert made.refresh()
        assert made.diff(**RESEARCH).diffs == list(by_hand)
        made.update(**RESEARCH)
        assert litellm.teams["research"] == before

    def test_metadata_of_others_is_left_alone(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(TEAM, **RESEARCH, metadata={"owner": "a", "cost": "1"})
        litellm.teams["research"]["metadata"]["team_member_budget_id"] = "x"
        assert made.refresh()
        assert made.diff(**RESEARCH, metadata={"owner": "a", "cost": "1"}).changes is False
        made.update(**RESEARCH, metadata={"owner": "b"})
        assert litellm.teams["research"]["metadata"] == {"owner": "b", "team_member_budget_id": "x"}
        litellm.teams["research"]["metadata"]["owner"] = "c"
        assert made.refresh()
        assert made.diff(**RESEARCH, metadata={"owner": "b"}).diffs == ["metadata"]
        made.update(**RESEARCH)
        assert litellm.teams["research"]["metadata"] == {"team_member_budget_id": "x"}
        assert made.diff(**RESEARCH).changes is False

    def test_it_is_imported(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        litellm.team_new({**RESEARCH, "metadata": {"owner": "a", "nested": {"b": 1}}, "max_budget": 5.5})
        found = driver.imported(TEAM, "research")
        assert plain(found.inputs) == {**RESEARCH, "metadata": {"owner": "a"}, "max_budget": 5.5}

    def test_it_is_deleted_with_its_keys(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(TEAM, **RESEARCH)
        litellm.keys["alice"] = "research"
        made.delete()
        assert (litellm.teams, litellm.keys) == ({}, {})
        made.delete()  # not being there is fine

    def test_a_database_that_fails_is_no_missing_team(self, litellm: PlayedLiteLLM, driver: Driver) -> None:
        made = driver.create(TEAM, **RESEARCH)
        litellm.database_fails = True
        with pytest.raises(PluginError, match="lists the team 'research' and cannot read it"):
            made.refresh()
        litellm.database_fails = False
        litellm.teams.clear()
        assert not made.refresh()


@pytest.mark.parametrize("token", [TEAM, BUDGET])
class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"max_budget": -1}, "must be 0 or more, not -1; leave it out for no limit"),
            ({"max_budget": float("inf")}, "must be 0 or more, not inf; leave it out for no limit"),
            ({"rpm_limit": -5}, "must be 0 or more, not -5; leave it out for no limit"),
            ({"rpm_limit": 1.5}, "must be a whole number"),
            ({"budget_duration": "monthly"}, "'monthly' is no duration: a whole number above 0 and one of"),
            ({"budget_duration": "30"}, "'30' is no duration"),
            ({"budget_duration": "0d"}, "'0d' is no duration"),
            ({"budget_duration": "1day"}, "'1day' is no duration"),
            ({"max_budgets": 5}, "no such property; did you mean 'max_budget'?"),
        ],
        ids=str,
    )
    def test_with_the_field_s_name(self, driver: Driver, token: str, wrong: dict[str, Any], reason: str) -> None:
        key = "team_id" if token == TEAM else "budget_id"
        ((field, words),) = driver.problems(token, **{key: "one"}, **wrong)
        assert field in wrong
        assert words.startswith(reason)

    def test_an_empty_id(self, driver: Driver, token: str) -> None:
        key = "team_id" if token == TEAM else "budget_id"
        assert driver.problems(token, **{key: " "}) == [(key, "must not be empty")]

    @pytest.mark.parametrize("duration", ["30s", "5m", "1h", "30d", "2w", "1mo", "365d"])
    def test_a_good_duration_is_taken(self, driver: Driver, token: str, duration: str) -> None:
        key = "team_id" if token == TEAM else "budget_id"
        assert driver.problems(token, **{key: "one"}, budget_duration=duration) == []


def test_litellm_s_own_team_is_refused(driver: Driver) -> None:
    assert driver.problems(TEAM, team_id="litellm-dashboard") == [("team_id", "'litellm-dashboard' is LiteLLM's own")]
