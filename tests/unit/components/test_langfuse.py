"""The full profile, checked without any machine: what Langfuse and its stores are told, and what they are not."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from components import langfuse as module
from components.blueprint import MEMORY_LIMIT_MIB, blueprint
from components.realm import TRACES_CLIENT
from components.spec import Blueprint
from config import load_stack
from infra.cli.keycloak import resource
from infra.cli.trail import trace_url
from infra.custody import recipes
from infra.paths import STACKS
from infra.rotation import REFUSED, Step, after_rotation
from infra.supply.recipe import names
from infra.targets.docker import AGENT_MEMORY_MIB
from tests.stacks import full

OWN = ("queue", "objects", "clickhouse", "langfuse", "langfuse-worker")
STORES = OWN[:3]
PROGRAMS = OWN[3:]


@pytest.fixture(scope="module")
def plan() -> Blueprint:
    return blueprint(full(), "full")


def test_the_hard_limits_add_up_to_ten_gibibytes(plan: Blueprint) -> None:
    assert plan.memory_mib + AGENT_MEMORY_MIB <= MEMORY_LIMIT_MIB["langfuse"] == 10 * 1024


def test_it_takes_the_place_of_mlflow_and_of_nothing_else(plan: Blueprint) -> None:
    small = {spec.name for spec in blueprint(load_stack("laptop", STACKS), "laptop").services}
    assert {spec.name for spec in plan.services} == small - {"mlflow"} | set(OWN)
    assert plan["postgres"].config_files["databases"].split() == ["keycloak", "litellm", "langfuse", "custodian"]


def test_its_images_are_made_by_the_official_supply_alone(plan: Blueprint) -> None:
    wanted = {spec.image for spec in plan.services}
    assert wanted <= set(names("official"))
    assert wanted - set(names("source")) == {"objects", "clickhouse", "langfuse", "langfuse-worker"}


def test_every_service_has_a_uid_of_its_own(plan: Blueprint) -> None:
    uids = [spec.uid for spec in plan.services]
    assert len(set(uids)) == len(uids)


class TestSecrets:
    def test_each_is_made_and_none_is_in_an_environment_or_a_config(self, plan: Blueprint) -> None:
        made = recipes(full())
        for name in OWN:
            spec = plan[name]
            assert spec.secret_names() <= made.keys(), name
            assert not re.search(r"\$\{langfuse|sk-lf|password", " ".join(spec.env.values()), re.IGNORECASE), name
            assert "${langfuse" not in "".join(spec.config_files.values()), name

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_a_variable_is_given_once(self, plan: Blueprint, name: str) -> None:
        assert not plan[name].secrets.keys() & plan[name].env.keys()
        assert all(re.fullmatch(r"[A-Z][A-Z0-9_]*", variable) for variable in plan[name].secrets)

    def test_the_encryption_key_is_what_langfuse_takes(self) -> None:
        made = recipes(full())["langfuse-encryption-key"].make({})
        assert re.fullmatch(r"[0-9a-f]{64}", made)

    def test_a_password_needs_no_quoting_in_a_url(self) -> None:
        assert re.fullmatch(r"[A-Za-z0-9]{32}", recipes(full())["langfuse-db-password"].make({}))

    def test_the_collectors_login_follows_the_projects_key(self) -> None:
        login = recipes(full())["langfuse-login"]
        made = login.make({"langfuse-project-key": "sk-lf-1"})
        assert made == "cGstbGYtcHJheGlzLWdhdGV3YXk6c2stbGYtMQ=="  # base64 of pk-lf-praxis-gateway:sk-lf-1
        assert not login.stale(made, {"langfuse-project-key": "sk-lf-1"})
        assert login.stale(made, {"langfuse-project-key": "sk-lf-2"})

    def test_the_small_profile_has_none_of_them(self) -> None:
        assert not [name for name in recipes(load_stack("laptop", STACKS)) if "langfuse" in name]

    def test_a_new_password_restarts_both_sides_of_it(self) -> None:
        rows = after_rotation(full(), "full", recipes(full()))
        both = ("langfuse", "langfuse-worker")
        assert rows["langfuse-queue-password"].restarts == ("queue", *both)
        assert rows["langfuse-objects-password"].restarts == ("objects", *both)
        assert rows["langfuse-clickhouse-password"].restarts == ("clickhouse", *both)
        assert rows["langfuse-db-password"].restarts == both
        assert rows["langfuse-client-secret"].restarts == ("langfuse",)
        assert Step.KEYCLOAK in rows["langfuse-client-secret"].steps
        assert resource("langfuse-client-secret", full()) == "praxis-identity-praxis-client-praxis-traces"

    def test_what_cannot_have_a_new_value_says_why(self) -> None:
        rows = after_rotation(full(), "full", recipes(full()))
        for secret in ("langfuse-salt", "langfuse-encryption-key", "langfuse-project-key", "langfuse-login"):
            assert rows[secret].refused == REFUSED[secret]


class TestNetworks:
    def test_its_stores_can_be_reached_by_it_alone(self, plan: Blueprint) -> None:
        assert {spec.name for spec in plan.services if "traces" in spec.networks} == set(OWN)
        for name in STORES:
            assert plan[name].networks == ("traces",)

    def test_it_has_no_way_out_and_the_worker_no_door(self, plan: Blueprint) -> None:
        assert set(plan["langfuse"].networks) == {"front", "data", "telemetry", "traces"}
        assert set(plan["langfuse-worker"].networks) == {"data", "traces"}
        assert not any(plan[name].ports for name in OWN)

    def test_the_realm_answers_inside_at_the_address_that_its_tokens_name(self, plan: Blueprint) -> None:
        assert plan["langfuse"].env["AUTH_KEYCLOAK_ISSUER"] == "http://id.localhost:8080/realms/praxis"
        assert plan["keycloak"].aliases == ("id.localhost",)
        assert blueprint(load_stack("laptop", STACKS), "laptop")["keycloak"].aliases == ()


class TestClickHouse:
    def server(self, plan: Blueprint) -> dict[str, object]:
        loaded: dict[str, object] = yaml.safe_load(plan["clickhouse"].config_files["clickhouse.yaml"])
        return loaded

    def test_it_keeps_no_system_log(self, plan: Blueprint) -> None:
        assert not [key for key in self.server(plan) if key.endswith("_log")]
        profile = yaml.safe_load(plan["clickhouse"].secrets["users.yaml"])["profiles"]["default"]
        assert profile["log_queries"] == profile["query_profiler_cpu_time_period_ns"] == 0

    def test_its_own_bounds_are_under_its_limit(self, plan: Blueprint) -> None:
        server, limit = self.server(plan), plan["clickhouse"].memory_mib * 1024**2
        assert isinstance(server["max_server_memory_usage"], int)
        assert server["max_server_memory_usage"] < limit
        users = yaml.safe_load(plan["clickhouse"].secrets["users.yaml"])
        assert users["profiles"]["default"]["max_memory_usage"] < server["max_server_memory_usage"]
        assert isinstance(server["mark_cache_size"], int)
        assert server["mark_cache_size"] <= 256 * 1024**2

    def test_its_one_user_has_a_password_and_there_is_no_default(self, plan: Blueprint) -> None:
        users = yaml.safe_load(plan["clickhouse"].secrets["users.yaml"])["users"]
        assert list(users) == [module.USER]
        assert users[module.USER]["password"] == "${langfuse-clickhouse-password}"


class TestQueueAndObjects:
    def test_the_queue_is_full_rather_than_forgetful_and_outlives_a_restart(self, plan: Blueprint) -> None:
        words = plan["queue"].command
        assert words[words.index("--appendonly") + 1] == "yes"
        assert words[words.index("--dir") + 1] == plan["queue"].volumes[0].path
        assert int(words[words.index("--maxmemory") + 1].removesuffix("mb")) < plan["queue"].memory_mib

    def test_the_queue_knows_one_user(self, plan: Blueprint) -> None:
        lines = plan["queue"].secrets["users.acl"].splitlines()
        assert lines[0] == "user default off"
        assert lines[1].startswith("user langfuse on >${langfuse-queue-password} ")
        assert "-@admin -@dangerous" in lines[1]

    def test_the_object_store_gives_its_one_user_one_bucket(self, plan: Blueprint) -> None:
        (identity,) = json.loads(plan["objects"].secrets["s3.json"])["identities"]
        assert identity["actions"] == [f"{right}:langfuse" for right in ("Read", "Write", "List", "Tagging")]
        for program in PROGRAMS:
            env = plan[program].env
            assert env["LANGFUSE_S3_EVENT_UPLOAD_BUCKET"] == env["LANGFUSE_S3_MEDIA_UPLOAD_BUCKET"] == "langfuse"


class TestWeb:
    def test_people_sign_in_by_the_realm_alone(self, plan: Blueprint) -> None:
        env = plan["langfuse"].env
        assert env["AUTH_DISABLE_USERNAME_PASSWORD"] == "true"
        assert env["AUTH_KEYCLOAK_CLIENT_ID"] == TRACES_CLIENT
        assert plan["langfuse"].secrets["AUTH_KEYCLOAK_CLIENT_SECRET"] == "${langfuse-client-secret}"
        assert env["LANGFUSE_DEFAULT_ORG_ROLE"] == env["LANGFUSE_DEFAULT_PROJECT_ROLE"] == "VIEWER"

    def test_it_is_set_up_without_a_hand(self, plan: Blueprint) -> None:
        env = plan["langfuse"].env
        for part in ("ORG_ID", "ORG_NAME", "PROJECT_ID", "PROJECT_NAME", "PROJECT_PUBLIC_KEY"):
            assert env[f"LANGFUSE_INIT_{part}"]
        assert plan["langfuse"].secrets["LANGFUSE_INIT_PROJECT_SECRET_KEY"] == "${langfuse-project-key}"
        assert env["LANGFUSE_INIT_PROJECT_ID"] == env["LANGFUSE_DEFAULT_PROJECT_ID"]

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_it_tells_nobody_and_writes_the_new_tables(self, plan: Blueprint, name: str) -> None:
        env = plan[name].env
        assert env["TELEMETRY_ENABLED"] == "false"
        assert env["LANGFUSE_MIGRATION_V4_WRITE_MODE"] == "events_only"
        assert env["CLICKHOUSE_CLUSTER_ENABLED"] == "false"

    @pytest.mark.parametrize("name", PROGRAMS)
    def test_nodes_heap_is_bounded_under_the_limit(self, plan: Blueprint, name: str) -> None:
        heap = int(plan[name].env["NODE_OPTIONS"].removeprefix("--max-old-space-size="))
        assert heap <= 0.75 * plan[name].memory_mib

    def test_auditors_alone_get_to_it_from_outside(self, plan: Blueprint) -> None:
        http = yaml.safe_load(plan["edge"].config_files["dynamic/routes.yaml"])["http"]
        routes = [router for router in http["routers"].values() if router["service"] == "langfuse"]
        assert [router["rule"] for router in routes] == ["Host(`traces.localhost`)"]
        assert all("sign-in" in router["middlewares"] for router in routes)
        assert http["services"]["langfuse"]["loadBalancer"]["servers"] == [{"url": "http://langfuse:3000"}]
        assert "mlflow" not in http["services"]


def test_the_trail_leads_to_its_page() -> None:
    trace = "0" * 31 + "1"
    assert trace_url(full(), trace) == f"http://traces.localhost:8080/project/gateway/traces/{trace}"


def test_the_collector_holds_no_key_in_its_config(plan: Blueprint) -> None:
    spec = plan["collector"]
    assert spec.secrets == {"langfuse-login": "${langfuse-login}"}
    (exporter,) = yaml.safe_load(spec.config_files["collector.yaml"])["exporters"].values()
    assert exporter["headers"] == {
        "Authorization": "Basic ${file:/run/secrets/langfuse-login}",
        "x-langfuse-ingestion-version": "4",
    }
