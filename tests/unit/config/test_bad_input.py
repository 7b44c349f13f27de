"""Every kind of mistake in a stack file gives one message that names file, line, key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from config import SettingsError, load_stack
from config.stack import Stack
from infra.paths import STACKS

LAPTOP = (STACKS / "laptop.yaml").read_text()


def broken(tmp_path: Path, old: str, new: str) -> list[str]:
    assert old in LAPTOP, f"the laptop stack no longer says {old!r}"
    (tmp_path / "broken.yaml").write_text(LAPTOP.replace(old, new, 1))
    with pytest.raises(SettingsError) as caught:
        load_stack("broken", tmp_path)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(LAPTOP.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "at", "key", "says"),
    [
        ("environment: demo", "enviroment: demo", "environment: demo", "enviroment", "did you mean 'environment'?"),
        ("requests_per_second: 100", "requests_per_second: many", "requests_per_second", "edge.requests_per_second",
         "valid integer"),
        ("usd: 50", "usd: -5", "usd: 50", "roles.engineer.budget.usd", "greater than or equal to 0"),
        ("{role: engineer", "{role: pilot", "{role: engineer", "people.alice.role",
         "no role 'pilot'; declared are: engineer, analyst"),
        ("department: finance, email", "department: legal, email", "department: finance, email",
         "people.bob.department",
         "no department 'legal'; declared are: research, finance"),
        ("    models: [smollm2]", "    mfa: totp\n    models: [smollm2]", "    models: [smollm2]", "roles.engineer.mfa",
         "valid boolean"),
        ("  analyst:", "  praxis-mfa:", "  analyst:", "roles.praxis-mfa", "are the gateway's own"),
        ("  bob:", "  alice:", "  bob:", "people.alice", "given twice"),
        ("  nightly-report:", "  bob:", "  nightly-report:", "agents.bob", "is also a person's name"),
        ("  bob:", "  Bob:", "  bob:", "people.Bob", "not a usable name"),
        ("phone: mask", "phone: hide", "phone: mask", "departments.finance.guards.phone", "'allow', 'mask' or 'block'"),
        ("https_port: 8443", "https_port: 8080", "edge:", "edge", "must differ"),
        ("usd: 0.50, period: day", "usd: 9, period: day", "usd: 0.50",
         "agents.nightly-report.budget", "more than the role's"),
        ("requests_per_minute: 60}", "requests_per_minute: 900}", "requests_per_minute: 60}",
         "agents.nightly-report.limits.requests_per_minute", "more than the role allows (300)"),
        ("    models: [smollm2]", "    models: [smollm3]", "    models: [smollm2]", "roles.engineer.models[0]",
         "no model 'smollm3'; declared are: smollm2"),
        ("    provider: local", "    provider: cohere", "    provider: local", "models.smollm2.provider",
         "'anthropic'"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, at: str, key: str, says: str) -> None:
    found = [problem for problem in broken(tmp_path, old, new) if f": {key}: " in problem]
    assert len(found) == 1
    assert found[0].startswith(f"broken.yaml:{line_of(at)}: ")
    assert says in found[0]


def test_a_tool_that_the_role_does_not_allow_is_named(tmp_path: Path) -> None:
    text = LAPTOP.replace("  analyst:\n", "  analyst:\n    tools: [search]\n")
    text = text.replace("    # tools: [search_tickets]", "    tools: [search, shell]")
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_stack("broken", tmp_path)
    (problem,) = caught.value.problems
    assert problem.key == "agents.nightly-report.tools[1]"
    assert "the role does not allow 'shell'; it allows: search" in problem.message


@pytest.mark.parametrize(
    ("line", "key", "says"),
    [
        ("on_behalf_of: [finance, sales]", "on_behalf_of[1]", "no department 'sales'; declared are: research, finance"),
        ("owner: mallory", "owner", "no person 'mallory', and no mail address; declared are: alice, bob"),
    ],
)
def test_whom_an_agent_acts_for_and_who_answers_for_it(tmp_path: Path, line: str, key: str, says: str) -> None:
    text = LAPTOP.replace("    description: Summarises", f"    {line}\n    description: Summarises")
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_stack("broken", tmp_path)
    (problem,) = caught.value.problems
    assert (problem.key, problem.message) == (f"agents.nightly-report.{key}", says)


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"supply: auto": "supply: registries"}, "observability.store", "needs supply: official"),
        ({"http_port: 8080": "http_port: 9080"}, "edge.http_port", "must be 8080 with observability.store: langfuse"),
    ],
)
def test_langfuse_where_it_cannot_run_is_named(tmp_path: Path, change: dict[str, str], key: str, says: str) -> None:
    text = LAPTOP.replace("store: mlflow", "store: langfuse")
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_stack("broken", tmp_path)
    (problem,) = caught.value.problems
    assert (problem.key, problem.line) == (key, line_of(key.rpartition(".")[2] + ": "))
    assert says in problem.message


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    (problem,) = broken(tmp_path, "target: docker", "target: [docker")
    assert "not valid YAML" in problem


def test_every_mistake_is_reported_at_once(tmp_path: Path) -> None:
    text = LAPTOP.replace("usd: 50", "usd: -5").replace("max_request_mib: 32", "max_request_mib: 0")
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_stack("broken", tmp_path)
    assert len(caught.value.problems) == 2


def test_a_value_in_place_of_a_secret_reference_is_refused_and_not_repeated(tmp_path: Path) -> None:
    canary = "sk-ant-canary-value"
    problems = broken(tmp_path, "    provider: local", f"    provider: anthropic\n    api_key: {canary}")
    assert any("secret://name" in problem for problem in problems)
    assert canary not in "\n".join(problems)


def test_a_provider_model_without_a_key_says_so(tmp_path: Path) -> None:
    assert any("api_key is missing" in problem for problem in broken(tmp_path, "provider: local", "provider: openai"))


def test_a_provider_is_no_model_of_one(tmp_path: Path) -> None:
    found = broken(tmp_path, "    provider: local", "    provider: gemini\n    model: gemini\n    api_key: secret://k")
    assert [problem for problem in found if "models.smollm2.model: 'gemini' is a provider, not a model" in problem]


def test_an_unknown_stack_names_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "laptop.yaml").write_text(LAPTOP)
    with pytest.raises(SettingsError, match="no such stack; there are: laptop"):
        load_stack("desktop", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "just words", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.yaml").write_text(text)
    with pytest.raises(SettingsError):
        load_stack("odd", tmp_path)


def test_the_laptop_stack_is_valid_and_round_trips() -> None:
    stack = load_stack("laptop", STACKS)
    assert Stack.model_validate(yaml.safe_load(LAPTOP)) == stack
    assert {"alice", "bob", "nightly-report"} == set(stack.subjects())
