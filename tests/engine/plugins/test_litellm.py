"""Our LiteLLM plugin, driven by the real engine through its SDK module, over the played admin API."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pulumi
import pytest
from pulumi import automation

from components.resources import litellm
from components.resources.governance import Governance, GovernanceArgs
from components.resources.target import early
from config import load_stack, versions
from infra.drift import engine as drift
from infra.paths import STACKS
from infra.plugins.install import install
from infra.plugins.litellm.provider import schema
from infra.supply import engine as supply
from infra.supply.engine import ENGINE
from tests.engine.plugins.conftest import Deployer
from tests.engine.plugins.harness import Engine, environment
from tests.played_litellm import MASTER, PlayedLiteLLM, serving

pytestmark = pytest.mark.timeout(600)  # seconds, on a machine that does other things as well


@pytest.fixture
def played() -> PlayedLiteLLM:
    return PlayedLiteLLM()


@pytest.fixture
def url(played: PlayedLiteLLM) -> Iterator[str]:
    with serving(played) as address:
        yield address


@pytest.fixture
def deploy(engine: Engine, unique: str, url: str) -> Iterator[Deployer]:
    """Makes the test's one stack; nothing is left of it. Needs no Docker, unlike its namesake."""
    deployer = Deployer(engine, unique)
    yield deployer
    deployer.clean_up()


class Made:
    """A role's budget, a department's team and a model; what it declares can be changed between runs."""

    def __init__(self, url: str) -> None:
        self.url: pulumi.Input[str] = url
        self.master_key = MASTER
        self.max_budget: float | None = 50
        self.adopted = False
        self.team_id = "research"
        self.door = "one"
        self.provider_key = "canary-provider-key"

    def address(self) -> pulumi.Input[str]:
        return self.url

    def __call__(self) -> None:
        provider = litellm.Provider("admin", litellm.ProviderArgs(url=self.address(), master_key=self.master_key))
        opts = pulumi.ResourceOptions(provider=provider)
        budget = litellm.BudgetArgs(
            budget_id="role-engineer", max_budget=self.max_budget, budget_duration="30d", rpm_limit=600
        )
        taken_over = pulumi.ResourceOptions(import_="role-engineer") if self.adopted else None
        litellm.Budget("engineer", budget, pulumi.ResourceOptions.merge(opts, taken_over))
        team = litellm.TeamArgs(
            team_id=self.team_id, team_alias="Research", models=["a", "b"], metadata={"owner": "alice"}
        )
        litellm.Team(
            "research", team, pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(retain_on_delete=True))
        )
        model = litellm.ModelArgs(model_id="m1", model_name="a", model="openai/a", api_key=self.provider_key)
        litellm.Model("a", model, opts)


class Behind(Made):
    """It can be asked only when something else was made, as LiteLLM when its container was."""

    def address(self) -> pulumi.Input[str]:
        own = litellm.Provider("known", litellm.ProviderArgs(url=self.url, master_key=self.master_key))
        door = litellm.Budget(
            "door",
            litellm.BudgetArgs(budget_id=self.door),
            pulumi.ResourceOptions(provider=own, delete_before_replace=True),
        )
        return early(str(self.url), door.id)


def test_a_budget_is_raised_in_sight(deploy: Deployer, played: PlayedLiteLLM, url: str) -> None:
    program = Made(url)
    stack = deploy(program)
    assert stack.up() == {"create": 5}  # the stack itself and its provider are two of them
    assert stack.up() == {}
    assert stack.preview(expect_no_changes=True) == {}

    program.max_budget = 75
    assert stack.preview(diff=True) == {"update": 1}
    assert stack.changed["engineer"] == ["max_budget"]
    assert "max_budget: 50 => 75" in stack.said
    assert played.budgets["role-engineer"]["max_budget"] == 50

    assert stack.up() == {"update": 1}
    assert played.budgets["role-engineer"]["max_budget"] == 75
    assert played.changes()[-1] == ("/budget/update", {"budget_id": "role-engineer", "max_budget": 75})


def test_what_is_there_is_adopted_and_what_is_destroyed_is_gone(
    deploy: Deployer, played: PlayedLiteLLM, url: str
) -> None:
    played.team_new({"team_id": "research", "team_alias": "research"})
    played.keys["alice"] = "research"
    stack = deploy(Made(url))
    assert stack.up() == {"create": 5}
    assert played.teams["research"]["team_alias"] == "Research"
    assert stack.destroy() == {"delete": 5}
    assert (played.budgets, played.models) == ({}, {})
    # Retained, as the stack declares its teams: with the team its keys would go.
    assert (played.keys, list(played.teams)) == ({"alice": "research"}, ["research"])


def test_it_is_imported(deploy: Deployer, played: PlayedLiteLLM, url: str) -> None:
    played.budget_new({"budget_id": "role-engineer", "max_budget": 50, "budget_duration": "30d", "rpm_limit": 600})
    before = dict(played.budgets["role-engineer"])
    program = Made(url)
    program.adopted = True
    stack = deploy(program)
    assert stack.up() == {"create": 4, "import": 1}
    assert played.budgets["role-engineer"] == before
    program.adopted = False
    assert stack.up() == {}


def test_an_import_that_differs_says_the_field_and_sets_it(deploy: Deployer, played: PlayedLiteLLM, url: str) -> None:
    played.budget_new({"budget_id": "role-engineer", "max_budget": 60, "budget_duration": "30d", "rpm_limit": 600})
    program = Made(url)
    program.adopted = True
    stack = deploy(program)
    assert stack.up() == {"create": 4, "import": 1, "update": 1}
    assert "[diff: ~max_budget]" in stack.said
    assert played.budgets["role-engineer"]["max_budget"] == 50


def test_it_is_imported_from_the_command_line(played: PlayedLiteLLM, url: str, tmp_path: Path) -> None:
    played.team_new({"team_id": "research", "team_alias": "Research", "max_budget": 5})
    install(tmp_path / "home", Path(sys.executable), stand_ins=False)
    (tmp_path / "Pulumi.yaml").write_text("name: imported\nruntime: python\n", encoding="utf-8")

    host = {"PRAXIS_PYTHON": sys.executable, "PRAXIS_LANGUAGE_HOST": str(Path(supply.__file__).with_name("host.py"))}

    def run(*arguments: str, value: str | None = None) -> str:
        done = subprocess.run(
            [ENGINE.path(), *arguments, "--non-interactive"],
            env=environment(tmp_path) | host,
            cwd=tmp_path,
            input=value,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("stack", "init", "one")
    run("config", "set", "litellm:url", url)
    run("config", "set", "--secret", "litellm:master_key", value=MASTER)
    run("import", "litellm:index:Team", "research", "research", "--yes", "--generate-code=false", "--protect=false")
    found = json.loads(run("stack", "export"))["deployment"]["resources"]
    (team,) = (one for one in found if one["type"] == "litellm:index:Team")
    assert team["inputs"] == {"team_id": "research", "team_alias": "Research", "max_budget": 5}
    assert played.changes() == []


def test_a_raise_by_hand_is_found_and_mended(deploy: Deployer, played: PlayedLiteLLM, url: str) -> None:
    stack = deploy(Made(url))
    stack.up()
    assert drift.look(stack.stack, "t").findings == ()
    played.budgets["role-engineer"]["max_budget"] = 75.0
    played.teams["research"].update(max_budget=1000.0, blocked=True)
    del played.models["m1"]
    found = drift.look(stack.stack, "t")
    assert found.unseen == ()
    assert sorted((one.resource, one.path, one.declared, one.live) for one in found.findings) == [
        ("litellm/budget/role-engineer", "max_budget", "50", "75"),
        ("litellm/model/m1", "state", "present", "missing"),
        ("litellm/team/research", "blocked", None, "true"),
        ("litellm/team/research", "max_budget", None, "1000"),
    ]
    assert stack.up(refresh=True)["update"] >= 2
    assert played.budgets["role-engineer"]["max_budget"] == 50
    assert (played.teams["research"]["max_budget"], played.teams["research"]["blocked"]) == (None, False)
    assert "m1" in played.models
    assert drift.look(stack.stack, "t").findings == ()


def test_no_secret_is_in_the_state_or_said(deploy: Deployer, url: str) -> None:
    program = Made(url)
    stack = deploy(program)
    stack.up(diff=True)
    for secret in (MASTER, "canary-provider-key"):
        assert (secret in stack.plain_state(), secret in stack.said) == (False, False)
    program.provider_key = "canary-second-key"
    announced = drift.Announced(lambda _: None)
    stack.stack.preview(on_event=announced, on_output=lambda _: None)
    assert list(announced.fields()) == [("litellm/model/m1", "api_key", drift.HIDDEN, drift.HIDDEN_LIVE)]
    assert "ciphertext" in json.dumps(stack.resource("admin")["inputs"]["master_key"])


def test_a_first_preview_needs_no_server(deploy: Deployer, played: PlayedLiteLLM, url: str) -> None:
    stack = deploy(Behind(url))
    assert stack.preview() == {"create": 7}
    assert played.asked == []
    assert stack.up() == {"create": 7}
    assert stack.preview(refresh=True) == {}


def test_what_it_waits_for_is_made_again_and_a_preview_shows_the_raise_and_no_more(
    deploy: Deployer, played: PlayedLiteLLM, url: str
) -> None:
    program = Behind(url)
    stack = deploy(program)
    stack.up()
    program.door, program.max_budget = "two", 75
    assert stack.preview(diff=True) == {"replace": 1, "update": 1}
    assert stack.changed["engineer"] == ["max_budget"]
    assert "max_budget: 50 => 75" in stack.said
    stack.up()
    assert [path for path, _ in played.changes()][-3:] == ["/budget/delete", "/budget/new", "/budget/update"]


class OfTheStack:
    """What the laptop's stack file declares, by the stack's own component."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.stack = load_stack("laptop", STACKS)

    def reach(self, service: str, *, in_preview: bool = False) -> pulumi.Output[str]:
        assert (service, in_preview) == ("litellm", True)
        return pulumi.Output.from_input(self.url)

    def __call__(self) -> None:
        args = GovernanceArgs(
            target=self,  # type: ignore[arg-type]  # nothing but "reach" is asked of it
            stack=self.stack,
            secret=lambda name: pulumi.Output.secret({"litellm-master-key": MASTER}[name]),
        )
        Governance("praxis-governance", args)


def test_the_stack_file_s_raise_is_seen_and_done_and_down_keeps_what_the_data_keep(
    deploy: Deployer, played: PlayedLiteLLM, url: str
) -> None:
    program = OfTheStack(url)
    played.team_new({"team_id": "research", "team_alias": "research"})
    played.keys["alice"] = "research"
    stack = deploy(program)
    stack.up()
    assert {name: budget["max_budget"] for name, budget in played.budgets.items()} == {"engineer": 50, "analyst": 20}
    engineer = program.stack.roles["engineer"]
    raised = engineer.model_copy(update={"budget": engineer.budget.model_copy(update={"usd": Decimal(75)})})
    program.stack = program.stack.model_copy(update={"roles": {**program.stack.roles, "engineer": raised}})
    assert stack.preview(diff=True) == {"update": 1}
    assert "max_budget: 50 => 75" in stack.said
    announced = drift.Announced(lambda _: None)
    stack.stack.preview(on_event=announced, on_output=lambda _: None)
    assert list(announced.fields()) == [("litellm/budget/engineer", "max_budget", "50", "75")]
    stack.up()
    assert played.budgets["engineer"]["max_budget"] == 75
    stack.destroy()
    assert set(played.teams) == {"research", "finance"}
    assert set(played.budgets) == {"engineer", "analyst"}
    assert played.keys == {"alice": "research"}
    assert "/team/delete" not in [path for path, _ in played.changes()]


def test_another_id_is_another_object(deploy: Deployer, played: PlayedLiteLLM, url: str) -> None:
    program = Made(url)
    stack = deploy(program)
    stack.up()
    program.team_id = "finance"
    assert stack.preview() == {"replace": 1}
    stack.up()
    assert list(played.teams) == ["research", "finance"]  # retained


def test_a_wrong_master_key_and_a_negative_budget_are_named(deploy: Deployer, played: PlayedLiteLLM, url: str) -> None:
    program = Made(url)
    program.master_key = "sk-another-canary"
    stack = deploy(program)
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "does not accept 'master_key' (HTTP 401)" in stack.said
    assert "another-canary" not in stack.said
    program.master_key, program.max_budget = MASTER, -1
    with pytest.raises(automation.CommandError):
        stack.up()
    assert "max_budget" in stack.said
    assert "must be 0 or more, not -1" in stack.said
    assert played.budgets == {}


def test_the_engine_takes_the_schema(tmp_path: Path) -> None:
    """The engine binds it as it would for any package: what is wrong with a schema it says here."""
    install(tmp_path / "home", Path(sys.executable), stand_ins=False)
    assert [folder.name for folder in (tmp_path / "home/plugins").iterdir()] == [
        f"resource-litellm-v{versions.PULUMI_LITELLM}"
    ]
    shown = subprocess.run(
        [ENGINE.path(), "package", "get-schema", f"litellm@{versions.PULUMI_LITELLM}"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert found["resources"].keys() == schema()["resources"].keys()
    assert found["resources"]["litellm:index:Team"]["inputProperties"]["max_budget"]["type"] == "number"
