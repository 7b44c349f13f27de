"""What every component promises: its type token, its children's place, its docstring, and the seam it is built on."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pulumi
import pulumi_keycloak as keycloak
import pytest
from joserfc.jwk import ECKey
from pulumi.runtime import mocks as pulumi_mocks
from pulumi.runtime.stack import wait_for_rpcs

from components.blueprint import blueprint
from components.realm import MANAGEMENT_CLIENT
from components.resources import ai_gateway, federation, flows, governance, identity, realm, services
from components.resources.ai_gateway import AiGateway, AiGatewayArgs
from components.resources.target import Capability, CapabilityError
from config import load_stack
from config.keys import key_set
from config.stack import Stack
from infra.cli.keycloak import resource
from infra.cli.rotating import LITELLM_PROVIDER
from infra.custody import recipes
from infra.paths import STACKS
from runtime.contract import Budget, Limits
from tests.recording import RecordingTarget
from tests.stacks import federated, full, with_mfa

TOKENS: dict[type[pulumi.ComponentResource], tuple[str, ...]] = {
    ai_gateway.AiGateway: ("praxis:index:AiGateway",),
    federation.Federation: ("praxis:identity:Federation",),
    flows.Flows: ("praxis:identity:Flows",),
    governance.Governance: ("praxis:governance:Governance",),
    identity.Identity: ("praxis:identity:Identity",),
    realm.Realm: ("praxis:identity:Realm",),
    services.Services: (
        "praxis:custodian:Custodian",
        "praxis:data:Data",
        "praxis:edge:Edge",
        "praxis:egress:Egress",
        "praxis:gateway:Gateway",
        "praxis:observability:Observability",
    ),
}
"""Frozen: a changed token replaces every resource under it. A rename needs an alias."""


@dataclass
class Recorder(pulumi.runtime.Mocks):
    """Records every resource that the program registers."""

    resources: list[pulumi.runtime.MockResourceArgs] = field(default_factory=list)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.resources.append(args)
        outputs = dict(args.inputs)
        if args.typ == "keycloak:openid/client:Client":
            outputs["serviceAccountUserId"] = f"{args.name}-user"
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        asked = (args.token, args.args.get("clientId"))
        if asked != ("keycloak:openid/getClient:getClient", MANAGEMENT_CLIENT):
            raise AssertionError(f"the program asks a provider: {asked}")
        return {**args.args, "id": "management-id"}, []


@dataclass
class Built:
    target: RecordingTarget
    recorder: Recorder

    def inputs(self, typ: str) -> dict[str, dict[str, Any]]:
        return {r.name: dict(r.inputs) for r in self.recorder.resources if r.typ == typ}

    def named(self, typ: str) -> list[str]:
        return sorted(r.name for r in self.recorder.resources if r.typ == typ)


@pytest.fixture
def stack() -> Stack:
    return load_stack("laptop", STACKS)


@pytest.fixture
def event_loop_of_its_own() -> Iterator[None]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


def build(stack: Stack, target: RecordingTarget | None = None) -> Built:
    built = Built(target or RecordingTarget(), Recorder())
    pulumi_mocks.set_mocks(built.recorder, project="praxis", stack="laptop", preview=False)

    async def program() -> None:
        plan = blueprint(stack, "laptop")
        secret = lambda name: pulumi.Output.secret(f"value-of-{name}")  # noqa: E731 - a name for a one-line lookup
        AiGateway("praxis", AiGatewayArgs(target=built.target, stack=stack, plan=plan, secret=secret))
        await wait_for_rpcs()

    asyncio.get_event_loop().run_until_complete(program())
    return built


@pytest.mark.usefixtures("event_loop_of_its_own")
class TestComposition:
    def test_every_service_of_the_blueprint_is_made_once(self, stack: Stack) -> None:
        built = build(stack)
        assert set(built.target.services) == {spec.name for spec in blueprint(stack, "laptop").services}
        assert {spec.name for spec in blueprint(stack, "laptop").services if spec.secrets} == set(
            built.target.receivers
        )

    def test_the_full_profile_is_made_in_the_order_of_needs(self) -> None:
        built = build(full())
        assert set(built.target.services) == {spec.name for spec in blueprint(full(), "laptop").services}
        (client,) = [
            one for one in built.inputs("keycloak:openid/client:Client").values() if one["clientId"] == "praxis-traces"
        ]
        assert client["validRedirectUris"] == ["http://traces.localhost:8080/api/auth/callback/keycloak"]

    def test_type_tokens_are_frozen(self, stack: Stack) -> None:
        made = [*build(stack).recorder.resources, *build(with_mfa(federated(), "engineer")).recorder.resources]
        used = {r.typ for r in made if r.typ.startswith("praxis:")}
        assert used == {token for tokens in TOKENS.values() for token in tokens} - {"praxis:egress:Egress"}

    def test_every_name_is_unique_within_its_type(self) -> None:
        keys = [(r.typ, r.name) for r in build(with_mfa(federated(), "engineer")).recorder.resources]
        assert len(set(keys)) == len(keys)

    def test_people_and_agents_are_made_with_role_and_department(self, stack: Stack) -> None:
        built = build(stack)
        assert built.named("keycloak:index/user:User") == [
            "praxis-identity-praxis-person-alice",
            "praxis-identity-praxis-person-bob",
        ]
        groups = built.named("keycloak:index/userGroups:UserGroups")
        assert "praxis-identity-praxis-agent-nightly-report-department" in groups
        assert len(groups) == len(stack.subjects())

    def test_an_agent_with_a_key_of_its_own_has_no_secret(self, stack: Stack) -> None:
        pem = ECKey.generate_key("P-256").as_pem(private=False).decode()
        agents = {name: agent.model_copy(update={"public_keys": (pem,)}) for name, agent in stack.agents.items()}
        keyed = stack.model_copy(update={"agents": agents})
        client = build(keyed).inputs("keycloak:openid/client:Client")["praxis-identity-praxis-agent-nightly-report"]
        assert (client["clientAuthenticatorType"], client["extraConfig"]) == (
            "client-jwt",
            {"use.jwks.string": "true", "jwks.string": key_set([pem])},
        )
        assert "clientSecret" not in client
        assert "agent-nightly-report-client-secret" in recipes(stack)
        assert "agent-nightly-report-client-secret" not in recipes(keyed)

    def test_an_agent_acts_for_those_alone_who_let_it(self, stack: Stack) -> None:
        """Their token names it as an audience, for which they ask at the command line."""
        agent = stack.agents["nightly-report"].model_copy(update={"on_behalf_of": ("research",), "owner": "bob"})
        built = build(stack.model_copy(update={"agents": {"nightly-report": agent}}))
        client = built.inputs("keycloak:openid/client:Client")["praxis-identity-praxis-agent-nightly-report"]
        assert (client["standardTokenExchangeEnabled"], client["description"]) == (True, "answered for by bob")
        mappers = built.inputs("keycloak:openid/audienceProtocolMapper:AudienceProtocolMapper")
        mapper = mappers["praxis-identity-praxis-for-nightly-report-audience"]
        assert mapper["includedClientAudience"] == "agent-nightly-report"
        optional = built.inputs("keycloak:openid/clientOptionalScopes:ClientOptionalScopes")
        assert {name.rpartition("scopes-")[2]: one["optionalScopes"] for name, one in optional.items()} == {
            "praxis-cli": ["for-agent-nightly-report"],
            "praxis-demo-cli": ["for-agent-nightly-report"],
        }

    def test_an_agent_that_acts_for_nobody_can_exchange_nothing(self, stack: Stack) -> None:
        built = build(stack)
        assert not built.inputs("keycloak:openid/clientOptionalScopes:ClientOptionalScopes")
        clients = built.inputs("keycloak:openid/client:Client").values()
        assert not any("standardTokenExchangeEnabled" in client for client in clients)

    def test_a_directory_is_an_identity_provider_with_its_mappers(self) -> None:
        built = build(federated())
        (acme, *_) = built.inputs("keycloak:oidc/identityProvider:IdentityProvider").values()
        assert acme["authorizationUrl"].startswith("https://login.microsoftonline.com/")
        assert acme["tokenUrl"].startswith("http://directories:8200/acme/")
        assert (acme["validateSignature"], acme["trustEmail"], acme["storeToken"]) == (True, False, False)
        assert acme["issuer"].endswith("/v2.0")
        (old,) = built.inputs("keycloak:saml/identityProvider:IdentityProvider").values()
        assert (old["entityId"], old["extraConfig"]) == (
            "http://id.localhost:8080/realms/praxis",
            {"idpEntityId": "urn:old:idp"},
        )
        assert (old["validateSignature"], old["wantAssertionsSigned"]) == (True, True)
        assert "-----" not in old["signingCertificate"]
        made = built.inputs("keycloak:index/customIdentityProviderMapping:CustomIdentityProviderMapping")
        assert {one["identityProviderAlias"] for one in made.values()} == set(federated().identity.directories)
        assert all(one["extraConfig"]["syncMode"] == "FORCE" for one in made.values())
        assert list(built.target.services).index("directories") < list(built.target.services).index("keycloak")

    def test_a_rotation_knows_the_resource_that_holds_a_directorys_secret(self) -> None:
        made = build(federated()).inputs("keycloak:oidc/identityProvider:IdentityProvider")
        held = made[resource("okta-client-secret", federated())]["clientSecret"]
        assert "value-of-okta-client-secret" in str(held)

    def test_litellm_is_told_of_roles_and_departments(self, stack: Stack) -> None:
        narrowed = stack.departments["finance"].model_copy(update={"models": (), "budget": Budget(usd=Decimal(1))})
        engineer = stack.roles["engineer"].model_copy(update={"limits": Limits(concurrent_requests=3)})
        changed = stack.model_copy(
            update={
                "departments": {**stack.departments, "finance": narrowed},
                "roles": {**stack.roles, "engineer": engineer},
            }
        )
        built = build(changed)
        assert built.inputs("litellm:index:Budget") == {
            "praxis-governance-role-engineer": {
                "budget_id": "engineer", "max_budget": 50, "budget_duration": "30d", "max_parallel_requests": 3
            },
            "praxis-governance-role-analyst": {
                "budget_id": "analyst", "max_budget": 20, "budget_duration": "30d", "rpm_limit": 300
            },
        }  # fmt: skip
        # A department narrows each of its members; what is the team's as a whole is its models alone.
        assert built.inputs("litellm:index:Team") == {
            "praxis-governance-department-research": {"team_id": "research", "team_alias": "research"},
            "praxis-governance-department-finance": {
                "team_id": "finance", "team_alias": "finance", "models": ["no-default-models"]
            },
        }  # fmt: skip

    def test_litellm_s_provider_is_that_which_a_rotation_knows(self, stack: Stack) -> None:
        (provider,) = (r for r in build(stack).recorder.resources if r.typ == "pulumi:providers:litellm")
        assert provider.name == LITELLM_PROVIDER
        assert provider.inputs["url"] == "http://reach.test/litellm"

    def test_the_custodian_waits_for_the_realm_and_not_for_all_that_is_in_it(self, stack: Stack) -> None:
        target = build(stack).target
        assert list(target.services).index("litellm") < list(target.services).index("custodian")
        assert [type(one) for one in target.after["custodian"]] == [keycloak.Realm]

    def test_the_custodian_may_look_in_keycloak_and_change_nothing(self, stack: Stack) -> None:
        built = build(stack)
        roles = built.inputs("keycloak:openid/clientServiceAccountRole:ClientServiceAccountRole").values()
        assert {(role["serviceAccountUserId"], role["clientId"]) for role in roles} == {
            ("praxis-identity-praxis-client-praxis-custodian-user", "management-id")
        }
        assert {role["role"] for role in roles} == {"view-clients", "view-events", "view-users"}
        (events,) = built.inputs("keycloak:index/realmEvents:RealmEvents").values()
        assert events["adminEventsEnabled"]
        assert not events.get("adminEventsDetailsEnabled"), "they would hold what was set"

    def test_no_flow_is_made_that_no_role_asks_for(self, stack: Stack) -> None:
        used = {r.typ for r in build(stack).recorder.resources if r.typ.startswith("keycloak:authentication/")}
        assert used == set()
        assert not any(one.get("compositeRoles") for one in build(stack).inputs("keycloak:index/role:Role").values())

    def test_whoever_has_a_role_with_mfa_has_the_role_that_the_sign_in_looks_for(self, stack: Stack) -> None:
        built = build(with_mfa(stack, "engineer"))
        composites = {
            one["name"]: one.get("compositeRoles") for one in built.inputs("keycloak:index/role:Role").values()
        }
        mfa = ["praxis-identity-praxis-role-praxis-mfa-id"]
        assert composites == {"engineer": mfa, "analyst": None, "praxis-auditor": None, "praxis-mfa": None}
        configs = built.inputs("keycloak:authentication/executionConfig:ExecutionConfig").values()
        assert [one["config"] for one in configs] == [{"condUserRole": "praxis-mfa", "negate": "false"}] * 2

    def test_the_realm_uses_the_flows_when_all_of_them_is_there(self, stack: Stack) -> None:
        built = build(with_mfa(stack, "engineer"))
        (bindings,) = built.inputs("keycloak:authentication/bindings:Bindings").values()
        assert bindings == {
            "realmId": "praxis-identity-praxis-realm-id",
            "browserFlow": "praxis-browser",
            "directGrantFlow": "praxis-direct-grant",
        }
        order = [r.typ for r in built.recorder.resources if r.typ.startswith("keycloak:authentication/")]
        assert order[-1] == "keycloak:authentication/bindings:Bindings"
        assert built.named("keycloak:authentication/flow:Flow") == [
            "praxis-identity-flows-praxis-browser",
            "praxis-identity-flows-praxis-direct-grant",
        ]

    def test_who_comes_by_a_directory_is_asked_after_it(self) -> None:
        built = build(with_mfa(federated(), "engineer"))
        directories = {
            **built.inputs("keycloak:oidc/identityProvider:IdentityProvider"),
            **built.inputs("keycloak:saml/identityProvider:IdentityProvider"),
        }
        assert {one["postBrokerLoginFlowAlias"] for one in directories.values()} == {"praxis-by-directory"}
        plain = build(federated()).inputs("keycloak:oidc/identityProvider:IdentityProvider")
        assert not any("postBrokerLoginFlowAlias" in one for one in plain.values())

    def test_the_demo_sign_in_exists_in_a_demo_alone(self, stack: Stack) -> None:
        demo = "praxis-identity-praxis-client-praxis-demo-cli"
        assert demo in build(stack).named("keycloak:openid/client:Client")
        production = stack.model_copy(update={"environment": "production"})
        built = build(production)
        assert demo not in built.named("keycloak:openid/client:Client")
        users = [r for r in built.recorder.resources if r.typ == "keycloak:index/user:User"]
        assert users
        assert not any("initialPassword" in user.inputs for user in users)

    def test_a_target_that_cannot_is_refused_before_anything_is_made(self, stack: Stack) -> None:
        target = RecordingTarget(capabilities=frozenset(Capability) - {Capability.DATABASE})
        with pytest.raises(CapabilityError, match="target 'recording' cannot give: PostgreSQL"):
            build(stack, target)
        assert target.networks == []


@pytest.mark.parametrize("component", TOKENS, ids=lambda component: component.__name__)
class TestEveryComponent:
    def test_says_what_it_makes(self, component: type[pulumi.ComponentResource]) -> None:
        doc = inspect.getdoc(component) or ""
        assert "Makes" in doc

    def test_takes_name_args_and_options(self, component: type[pulumi.ComponentResource]) -> None:
        assert list(inspect.signature(component).parameters) == ["name", "args", "opts"]

    def test_registers_its_outputs_last(self, component: type[pulumi.ComponentResource]) -> None:
        body = inspect.getsource(component.__init__).rstrip().splitlines()
        assert body[-1].strip().startswith("self.register_outputs(")


def test_every_component_is_in_the_list() -> None:
    modules = (ai_gateway, federation, flows, governance, identity, realm, services)
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, pulumi.ComponentResource)
        and value.__module__ == module.__name__
    }
    assert found == set(TOKENS)
