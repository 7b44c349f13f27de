"""Models in LiteLLM's database, over the played admin API."""

from __future__ import annotations

from typing import Any

import pytest

from infra.plugins.standins.kinds import PluginError
from infra.plugins.standins.values import plain, secrets_in
from tests.played_litellm import PlayedLiteLLM
from tests.unit.litellm_plugin.driver import Driver

MODEL = "litellm:index:Model"
SONNET = {
    "model_id": "sonnet-1",
    "model_name": "claude-sonnet",
    "model": "anthropic/claude-sonnet-4-5",
    "api_base": "http://egress:8080/anthropic",
    "input_cost_per_token": 3e-06,
    "rpm": 100,
}


def params(litellm: PlayedLiteLLM) -> dict[str, Any]:
    found: dict[str, Any] = litellm.models["sonnet-1"]["litellm_params"]
    return found


def test_the_first_model_of_all_is_made(litellm: PlayedLiteLLM, driver: Driver) -> None:
    made = driver.create(MODEL, **SONNET)
    assert made.resource_id == "sonnet-1"
    assert made.outputs == SONNET
    assert litellm.models["sonnet-1"]["model_name"] == "claude-sonnet"
    assert params(litellm)["model"] == "anthropic/claude-sonnet-4-5"
    assert [path for path, _ in litellm.changes()] == ["/model/new"]


def test_a_key_is_sent_and_secret_and_never_read(litellm: PlayedLiteLLM, driver: Driver) -> None:
    made = driver.create(MODEL, **SONNET, api_key="one")
    assert params(litellm)["api_key"] == "one"
    assert secrets_in(made.state) == {"api_key"}
    assert made.refresh()
    assert made.diff(**SONNET, api_key="one").changes is False
    made.update(**SONNET, api_key="two")
    assert litellm.changes()[-1] == ("/model/sonnet-1/update", {"litellm_params": {"api_key": "two"}})


def test_one_that_is_there_is_adopted_with_the_declared_key(litellm: PlayedLiteLLM, driver: Driver) -> None:
    driver.create(MODEL, **{**SONNET, "rpm": 5}, api_key="old")
    driver.create(MODEL, **SONNET, api_key="new")
    assert (params(litellm)["rpm"], params(litellm)["api_key"]) == (100, "new")


def test_a_price_changes_in_place_and_is_cleared(litellm: PlayedLiteLLM, driver: Driver) -> None:
    made = driver.create(MODEL, **SONNET)
    made.update(**{**SONNET, "model_name": "sonnet", "input_cost_per_token": 4e-06})
    assert litellm.models["sonnet-1"]["model_name"] == "sonnet"
    assert params(litellm)["input_cost_per_token"] == 4e-06
    free = {name: value for name, value in SONNET.items() if name != "input_cost_per_token"}
    made.update(**free)
    assert "input_cost_per_token" not in params(litellm)
    assert [path for path, _ in litellm.changes()] == ["/model/new", *["/model/sonnet-1/update"] * 2]


def test_what_litellm_cannot_take_away_makes_it_again(litellm: PlayedLiteLLM, driver: Driver) -> None:
    made = driver.create(MODEL, **SONNET, api_key="one")
    less = {name: value for name, value in SONNET.items() if name != "rpm"}
    made.update(**less, api_key="one")
    assert "rpm" not in params(litellm)
    assert params(litellm)["api_key"] == "one"
    assert [path for path, _ in litellm.changes()] == ["/model/new", "/model/delete", "/model/new"]
    made.update(**less)
    assert "api_key" not in params(litellm)


def test_what_was_changed_by_hand_is_read_and_mended(litellm: PlayedLiteLLM, driver: Driver) -> None:
    made = driver.create(MODEL, **SONNET)
    params(litellm).update(api_base="http://elsewhere", tpm=5)
    assert made.refresh()
    assert made.diff(**SONNET).diffs == ["api_base", "tpm"]
    made.update(**SONNET)
    assert (params(litellm)["api_base"], params(litellm).get("tpm")) == (SONNET["api_base"], None)


def test_it_is_imported_and_deleted(litellm: PlayedLiteLLM, driver: Driver) -> None:
    driver.create(MODEL, **SONNET)
    found = driver.imported(MODEL, "sonnet-1")
    assert plain(found.inputs) == SONNET
    found.delete()
    assert litellm.models == {}
    found.delete()
    assert driver.imported(MODEL, "sonnet-1").resource_id == ""


def test_one_of_the_config_file_is_refused(litellm: PlayedLiteLLM, driver: Driver) -> None:
    driver.create(MODEL, **SONNET)
    litellm.models["sonnet-1"]["model_info"]["db_model"] = False
    with pytest.raises(PluginError, match="'sonnet-1' is of LiteLLM's config file, which the API cannot change"):
        driver.create(MODEL, **SONNET)


def test_a_litellm_that_stores_no_models_says_what_to_set(litellm: PlayedLiteLLM, driver: Driver) -> None:
    litellm.store_models = False
    with pytest.raises(PluginError, match=r"'general_settings\.store_model_in_db' is not on"):
        driver.create(MODEL, **SONNET)


def test_a_negative_price_is_refused_by_its_name(driver: Driver) -> None:
    ((field, _),) = driver.problems(MODEL, **{**SONNET, "input_cost_per_token": -1})
    assert field == "input_cost_per_token"
