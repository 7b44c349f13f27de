"""What the blueprint of the laptop stack promises, checked without any machine."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from components.blueprint import MEMORY_LIMIT_MIB, blueprint
from components.edge import API_ROUTES
from components.spec import OPEN_NETWORKS, Blueprint, ServiceSpec
from config import load_stack
from config.stack import Stack
from infra.custody import recipes
from infra.paths import STACKS
from infra.targets.docker import AGENT_MEMORY_MIB
from infra.targets.on_host import delivery
from runtime.agent import receivers
from runtime.wire import EGRESS_PLACEHOLDER


@pytest.fixture(scope="module")
def stack() -> Stack:
    return load_stack("laptop", STACKS)


@pytest.fixture(scope="module")
def plan(stack: Stack) -> Blueprint:
    return blueprint(stack, "laptop")


def services() -> list[ServiceSpec]:
    return list(blueprint(load_stack("laptop", STACKS), "laptop").services)


each_service = pytest.mark.parametrize("spec", services(), ids=lambda spec: spec.name)


def test_the_hard_limits_add_up_to_what_a_laptop_can_give(plan: Blueprint) -> None:
    assert plan.memory_mib + AGENT_MEMORY_MIB <= MEMORY_LIMIT_MIB["mlflow"]


@each_service
def test_a_service_is_not_root_and_has_a_probe(spec: ServiceSpec) -> None:
    assert spec.uid >= 61001
    assert spec.probe is not None


def test_every_service_has_a_uid_of_its_own(plan: Blueprint) -> None:
    uids = [spec.uid for spec in plan.services]
    assert len(set(uids)) == len(uids)


def test_only_the_edge_publishes_ports_and_has_a_way_out(plan: Blueprint) -> None:
    assert [spec.name for spec in plan.services if spec.ports] == ["edge"]
    assert [spec.name for spec in plan.services if OPEN_NETWORKS & set(spec.networks)] == ["edge"]


def test_the_model_can_be_reached_by_litellm_alone(plan: Blueprint) -> None:
    assert {spec.name for spec in plan.services if "models" in spec.networks} == {"model", "litellm"}


@each_service
def test_needs_are_services_of_the_stack(spec: ServiceSpec, plan: Blueprint) -> None:
    assert set(spec.needs) <= {service.name for service in plan.services}


@each_service
def test_every_secret_that_a_service_gets_is_one_that_praxis_makes(spec: ServiceSpec, stack: Stack) -> None:
    named = {name for template in spec.secrets.values() for name in re.findall(r"\$\{([^}]+)\}", template)}
    assert named <= set(recipes(stack))


@each_service
def test_environment_and_config_files_name_no_secret(spec: ServiceSpec, stack: Stack) -> None:
    shown = "\n".join([*spec.env.values(), *spec.config_files.values()])
    assert "${" not in shown


def test_only_the_custodian_and_litellm_itself_get_its_master_key(plan: Blueprint) -> None:
    holders = {spec.name for spec in plan.services if "litellm-master-key" in "".join(spec.secrets.values())}
    assert holders == {"custodian", "litellm"}


@pytest.fixture
def with_provider(stack: Stack) -> Blueprint:
    raw = stack.model_dump(mode="json")
    price = {"input": 3, "output": 15}
    raw["models"] |= {
        "claude": {
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
            "api_key": "secret://anthropic-api-key",
            "price_usd_per_million_tokens": price,
        },
        "gpt": {"provider": "openai", "api_key": "secret://openai-api-key", "price_usd_per_million_tokens": price},
    }
    return blueprint(Stack.model_validate(raw), "laptop")


class TestEgress:
    """With a provider there is one way out, and the key is on neither side of it that LiteLLM can reach."""

    def test_only_edge_and_egress_have_a_way_out(self, with_provider: Blueprint) -> None:
        open_to = {spec.name: set(spec.networks) & OPEN_NETWORKS for spec in with_provider.services}
        assert {name: nets for name, nets in open_to.items() if nets} == {"edge": {"public"}, "egress": {"outside"}}

    def test_the_keys_are_the_custodians_alone(self, with_provider: Blueprint) -> None:
        for key in ("anthropic-api-key", "openai-api-key"):
            assert [spec.name for spec in with_provider.services if key in "".join(spec.secrets.values())] == [
                "custodian"
            ]

    def test_only_an_operators_key_may_be_left_out(self, with_provider: Blueprint) -> None:
        optional = {spec.name: spec.optional_secrets for spec in with_provider.services if spec.optional_secrets}
        assert optional == {"custodian": ("anthropic-api-key", "openai-api-key")}

    def test_the_agent_is_told_so(self, with_provider: Blueprint) -> None:
        told = {each.name: each for each in receivers(delivery(s for s in with_provider.services if s.secrets))}
        assert told["custodian"].optional == {"anthropic-api-key", "openai-api-key"}
        assert told["custodian"].optional < told["custodian"].files.keys()
        assert not told["litellm"].optional

    def test_litellm_holds_a_placeholder_and_knows_the_egress_alone(self, with_provider: Blueprint) -> None:
        models = yaml.safe_load(with_provider["litellm"].config_files["litellm.yaml"])["model_list"]
        params = {model["model_name"]: model["litellm_params"] for model in models}
        assert params["claude"]["api_key"] == params["gpt"]["api_key"] == EGRESS_PLACEHOLDER
        assert params["claude"]["api_base"] == "http://egress:8200/anthropic"
        assert params["gpt"]["api_base"] == "http://egress:8200/openai/v1"
        # Prices among them would be registered anew at each request.
        assert not [name for each in params.values() for name in each if "cost" in name]
        assert all(model["model_info"]["input_cost_per_token"] > 0 for model in models)

    def test_exact_paths_of_declared_providers_go_out_by_way_of_the_custodian(self, with_provider: Blueprint) -> None:
        http = yaml.safe_load(with_provider["egress"].config_files["dynamic/routes.yaml"])["http"]
        rules = {name: router["rule"] for name, router in http["routers"].items()}
        assert rules == {
            "anthropic": (
                "Method(`POST`) && (Path(`/anthropic/v1/messages`) || Path(`/anthropic/v1/messages/count_tokens`))"
            ),
            "openai": "Method(`POST`) && (Path(`/openai/v1/chat/completions`) || Path(`/openai/v1/responses`))",
        }
        assert all(router["middlewares"][0] == "custodian" for router in http["routers"].values())
        assert http["services"]["openai"]["loadBalancer"]["servers"] == [{"url": "https://api.openai.com"}]

    def test_the_egress_holds_no_key_and_offers_no_api(self, with_provider: Blueprint) -> None:
        shown = "".join(with_provider["egress"].config_files.values())
        assert "customRequestHeaders" in shown
        assert not {"api:", "dashboard", "metrics"} & set(shown.split())
        assert set(with_provider["egress"].secrets.values()) == {
            "${egress-client-cert}",
            "${egress-client-key}",
            "${ca-cert}",
        }

    def test_whose_a_users_token_is_is_asked_where_such_are_taken_alone(self, stack: Stack) -> None:
        raw = stack.model_dump(mode="json")
        own = {"provider": "anthropic", "user_tokens": True, "price_usd_per_million_tokens": {"input": 3, "output": 15}}
        raw["models"]["claude"] = own
        http = yaml.safe_load(
            blueprint(Stack.model_validate(raw), "laptop")["egress"].config_files["dynamic/routes.yaml"]
        )["http"]
        asked = http["routers"]["anthropic-profile"]
        assert asked["rule"] == "Method(`GET`) && Path(`/anthropic-profile/api/oauth/profile`)"
        assert asked["middlewares"] == ["custodian", "strip-anthropic-profile", "clean"]
        (server,) = http["services"][asked["service"]]["loadBalancer"]["servers"]
        assert server == {"url": "https://api.anthropic.com"}

    def test_tokens_are_counted_by_the_way_of_the_model(self, with_provider: Blueprint) -> None:
        counting = json.loads(with_provider["litellm"].config_files["counting.json"])
        url = "http://egress:8200/anthropic/v1/messages/count_tokens"
        assert counting == {"routes": {"claude": {"url": url, "model": "claude-sonnet-4-5"}}}

    def test_without_a_provider_there_is_none(self, plan: Blueprint) -> None:
        assert "egress" not in {spec.name for spec in plan.services}
        assert "outside" not in plan.networks

    def test_limits_still_add_up(self, with_provider: Blueprint) -> None:
        assert with_provider.memory_mib + AGENT_MEMORY_MIB <= MEMORY_LIMIT_MIB["mlflow"]


class TestRoutes:
    """The edge's allow-list, read from the file that Traefik gets."""

    @pytest.fixture
    def routes(self, plan: Blueprint) -> dict[str, dict[str, object]]:
        http = yaml.safe_load(plan["edge"].config_files["dynamic/routes.yaml"])["http"]
        routers: dict[str, dict[str, object]] = http["routers"]
        return routers

    def test_every_route_to_litellm_from_outside_passes_the_custodian(
        self, routes: dict[str, dict[str, object]]
    ) -> None:
        outside = [r for r in routes.values() if r["service"] == "litellm" and r["entryPoints"] != ["admin"]]
        assert outside
        assert all("authenticate" in r["middlewares"] for r in outside)  # type: ignore[operator]  # YAML lists

    def test_api_paths_are_exact(self, routes: dict[str, dict[str, object]]) -> None:
        rule = str(routes["api"]["rule"])
        assert "PathPrefix" not in rule
        exact = [path for _, path in API_ROUTES if "{" not in path]
        assert [path for path in exact if f"Path(`{path}`)" not in rule] == []
        patterns = re.findall(r"PathRegexp\(`([^`]+)`\)", rule)
        assert len(patterns) == len(API_ROUTES) - len(exact) == 3
        for name in ("gemini-2.5-flash", "openrouter/x:free", "m"):
            found = [one for one in patterns if re.search(one, f"/v1beta/models/{name}:streamGenerateContent")]
            assert len(found) == 1
        for path in (
            "/v1beta/models/m:embedContent",
            "/v1beta/models/m:generateContent/",
            "/v1beta/models/:countTokens",
        ):
            assert not any(re.search(one, path) for one in patterns), path
            assert not any(re.search(one, f"/x{path}") for one in patterns), path

    @pytest.mark.parametrize(
        "rest",
        [
            *("/v1/messages", "/v1/messages/count_tokens", "/v1/chat/completions", "/v1/models"),
            "/v1beta/models/gemini-2.5-flash:generateContent",
        ],
    )
    def test_an_enrolments_paths_are_exact_too(self, routes: dict[str, dict[str, object]], rest: str) -> None:
        patterns = re.findall(r"PathRegexp\(`([^`]+)`\)", str(routes["enrolled"]["rule"]))
        assert len(patterns) == len(API_ROUTES)
        found = [pattern for pattern in patterns if re.search(pattern, f"/e/{'aZ-_9' * 8}abc{rest}")]
        assert len(found) == 1
        for other in ("/e/short", f"/e/{'a' * 44}", f"/x/e/{'a' * 43}", f"/e/{'a' * 43}/x"):
            assert not any(re.search(pattern, f"{other}{rest}") for pattern in patterns), other
        assert not any(re.search(pattern, f"/e/{'a' * 43}{rest}/more") for pattern in patterns)

    def test_an_enrolments_id_ends_at_the_custodian(
        self, plan: Blueprint, routes: dict[str, dict[str, object]]
    ) -> None:
        assert routes["enrolled"]["middlewares"] == [
            *("clean", "rate", "unreachable", "authenticate"),
            *("strip-id", "forget-id"),
        ]
        http = yaml.safe_load(plan["edge"].config_files["dynamic/routes.yaml"])["http"]
        ((pattern,),) = (each["regex"] for each in (http["middlewares"]["strip-id"]["stripPrefixRegex"],))
        assert re.sub(pattern, "", f"/e/{'a' * 43}/v1/messages") == "/v1/messages"
        assert http["middlewares"]["forget-id"]["headers"]["customRequestHeaders"] == {"X-Forwarded-Prefix": ""}

    def test_no_path_is_logged(self, plan: Blueprint) -> None:
        fields = yaml.safe_load(plan["edge"].config_files["traefik.yaml"])["accessLog"]["fields"]
        assert fields == {"names": {"RequestPath": "drop"}, "headers": {"defaultMode": "drop"}}

    def test_the_traces_stand_behind_the_sign_in(self, routes: dict[str, dict[str, object]]) -> None:
        assert all("sign-in" in r["middlewares"] for r in routes.values() if r["service"] == "mlflow")  # type: ignore[operator]

    def test_no_console_is_on_a_public_route_with_admin_paths(self, routes: dict[str, dict[str, object]]) -> None:
        public = [str(r["rule"]) for r in routes.values() if r["entryPoints"] != ["admin"]]
        assert not any("/admin" in rule or "/realms/master" in rule for rule in public)
