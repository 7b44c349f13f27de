"""Directories as identity providers: what is told to Keycloak, and the one way by which it calls them."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.blueprint import MEMORY_LIMIT_MIB, blueprint
from components.directories import inside
from components.federation import NOTHING, any_of, mappers
from components.realm import AUDITOR
from components.spec import OPEN_NETWORKS, Blueprint
from config.stack import Stack
from infra.targets.docker import AGENT_MEMORY_MIB
from tests.stacks import DIRECTORIES, federated

STACK = federated()
PLAN = blueprint(STACK, "laptop")


def routes(plan: Blueprint) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(plan["directories"].config_files["dynamic/routes.yaml"])["http"]
    return found


class TestTheWay:
    def test_nobody_but_keycloak_is_on_its_network(self) -> None:
        assert {spec.name for spec in PLAN.services if "directories" in spec.networks} == {"keycloak", "directories"}

    def test_it_and_the_edge_alone_have_a_way_out(self) -> None:
        open_to = {spec.name: set(spec.networks) & OPEN_NETWORKS for spec in PLAN.services}
        assert {name: nets for name, nets in open_to.items() if nets} == {
            "edge": {"public"},
            "directories": {"outside"},
        }

    def test_it_leads_to_what_is_declared_and_nowhere_else(self) -> None:
        rules = {name: router["rule"] for name, router in routes(PLAN)["routers"].items()}
        assert rules["partner-token"] == "Method(`POST`) && Path(`/partner/realms/staff/token`)"
        assert rules["partner-keys"] == "Method(`GET`) && Path(`/partner/staff`)"
        assert rules["partner-user-info"] == "Method(`GET`) && Path(`/partner/realms/staff/me`)"
        assert len(rules) == 2 + 3 + 3 + 3
        assert all(re.fullmatch(r"Method\(`(GET|POST)`\) && Path\(`[^`]+`\)", rule) for rule in rules.values())
        hosts = {service["loadBalancer"]["servers"][0]["url"] for service in routes(PLAN)["services"].values()}
        assert hosts == {
            "https://login.microsoftonline.com",
            "https://daughter.okta.com",
            "https://oauth2.googleapis.com",
            "https://www.googleapis.com",
            "https://openidconnect.googleapis.com",
            "https://login.partner.example.com",
            "https://keys.partner.example.com",
        }

    def test_what_tells_of_the_inside_is_taken_off_last(self) -> None:
        assert all(router["middlewares"][-1] == "clean" for router in routes(PLAN)["routers"].values())

    def test_the_addresses_that_keycloak_calls_are_routed(self) -> None:
        for alias, directory in federated().identity.openid().items():
            at = directory.endpoints()
            for url in filter(None, (at.token, at.keys, at.user_info)):
                path = inside(alias, url).removeprefix("http://directories:8200")
                assert any(f"Path(`{path}`)" in router["rule"] for router in routes(PLAN)["routers"].values())

    def test_a_directory_that_is_never_called_needs_no_way(self) -> None:
        stack = federated(**{name: None for name in DIRECTORIES if name != "old"})
        assert not blueprint(stack, "laptop").pick("directories")
        assert "directories" not in blueprint(stack, "laptop")["keycloak"].networks

    def test_with_a_provider_as_well_it_all_fits_a_laptop(self) -> None:
        raw = federated().model_dump(mode="json", exclude_defaults=True)
        raw["identity"]["directories"]["old"] = DIRECTORIES["old"]
        price = {"input": 3, "output": 15}
        raw["models"]["gpt"] = {
            "provider": "openai", "api_key": "secret://openai-api-key", "price_usd_per_million_tokens": price
        }  # fmt: skip
        plan = blueprint(Stack.model_validate(raw), "laptop")
        assert plan.pick("egress", "directories")[1:]
        assert plan.memory_mib + AGENT_MEMORY_MIB <= MEMORY_LIMIT_MIB["mlflow"]


class TestMappers:
    def test_each_role_and_department_is_taken_over_at_every_sign_in(self) -> None:
        found = mappers(STACK.identity.directories["acme"], STACK)
        assert list(found) == ["role-engineer", "role-analyst", "department-research", "department-finance", "auditor"]
        assert all(mapper.config["syncMode"] == "FORCE" for mapper in found.values())
        assert found["role-engineer"].config == {
            "syncMode": "FORCE",
            "claims": json.dumps([{"key": "roles", "value": r"Gateway\.Engineer|gw\+eng\ \(all\)"}]),
            "are.claim.values.regex": "true",
            "role": "engineer",
        }
        assert found["department-research"].config["group"] == "/research"
        assert found["auditor"].config["role"] == AUDITOR

    def test_saml_says_who_somebody_is_in_attributes(self) -> None:
        found = mappers(STACK.identity.directories["old"], STACK)
        assert found["attribute-email"].config["attribute.name"] == "email"
        assert json.loads(found["role-analyst"].config["attributes"]) == [
            {"key": "groups", "value": r"Gateway\.Analyst"}
        ]

    def test_of_google_the_whole_domain_and_what_it_does_not_give_it_takes(self) -> None:
        found = mappers(STACK.identity.directories["school"], STACK)
        domain = r"school\.example\.com"
        assert {name: json.loads(mapper.config["claims"])[0] for name, mapper in found.items()} == {
            "role-engineer": {"key": "hd", "value": NOTHING},
            "role-analyst": {"key": "hd", "value": domain},
            "department-research": {"key": "hd", "value": domain},
            "department-finance": {"key": "hd", "value": NOTHING},
            "auditor": {"key": "hd", "value": NOTHING},
        }


@given(values=st.lists(st.text(min_size=1), max_size=4), other=st.text())
def test_a_pattern_matches_what_was_given_and_nothing_else(values: list[str], other: str) -> None:
    """In Python's dialect; Java's agrees on a backslash before what is no ASCII letter or digit."""
    pattern = any_of(values)
    assert all(re.fullmatch(pattern, value) for value in values)
    assert bool(re.fullmatch(pattern, other)) == (other in values)
