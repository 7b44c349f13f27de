"""What must follow a rotation is known for every secret, and agrees with what services are given."""

from __future__ import annotations

import pytest

from components.blueprint import blueprint
from config import load_stack
from infra.cli.keycloak import resource
from infra.cli.rotating import STEPS
from infra.custody import recipes
from infra.paths import STACKS
from infra.rotation import Step, after_rotation, family
from tests.stacks import federated

STACK = load_stack("laptop", STACKS)
TABLE = after_rotation(STACK, "laptop", recipes(STACK))


def test_every_secret_has_a_row_and_what_can_be_rotated_has_steps() -> None:
    assert set(TABLE) == set(recipes(STACK))
    assert [name for name, after in TABLE.items() if not after.steps and not after.refused] == []


def test_whoever_is_given_a_secret_gets_the_new_one() -> None:
    for name, services in blueprint(STACK, "laptop").readers().items():
        assert TABLE[name].services == services
        assert TABLE[name].steps[0] == Step.REDELIVERED


def test_only_services_that_read_at_their_start_alone_are_restarted() -> None:
    assert {name: row.restarts for name, row in TABLE.items() if row.restarts} == {
        "keycloak-db-password": ("keycloak",),
        "mlflow-db-password": ("mlflow",),
        "sso-client-secret": ("sso",),
        "sso-cookie-secret": ("sso",),
    }
    assert all((Step.RESTART in row.steps) is bool(row.restarts) for row in TABLE.values())


def test_every_step_is_done_by_something_and_in_its_order() -> None:
    assert list(STEPS) == list(Step)


def test_what_is_made_from_a_secret_is_rotated_with_it() -> None:
    made = recipes(STACK)
    assert family("assertion-private-key", made) == ("assertion-private-key", "assertion-public-key")
    assert family("ca-key", made) == ("ca-key", "ca-cert", "edge-tls-cert")
    assert family("redis-password", made) == ("redis-password",)


@pytest.mark.parametrize(
    ("secret", "name"),
    [
        ("keycloak-admin-password", "praxis-identity-admin"),
        ("sso-client-secret", "praxis-identity-praxis-client-praxis-consoles"),
        ("person-alice-password", "praxis-identity-praxis-person-alice"),
        ("agent-nightly-report-client-secret", "praxis-identity-praxis-agent-nightly-report"),
    ],
)
def test_a_secret_of_keycloak_is_held_by_this_resource(secret: str, name: str) -> None:
    assert Step.KEYCLOAK in TABLE[secret].steps
    assert resource(secret, STACK) == name


def test_a_directorys_secret_is_held_by_its_identity_provider() -> None:
    stack = federated()
    row = after_rotation(stack, "laptop", recipes(stack))["okta-client-secret"]
    assert (row.steps, row.services) == ((Step.KEYCLOAK,), ())
    name = resource("okta-client-secret", stack)
    assert name == "praxis-identity-federation-directory-daughter"


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("postgres-password", Step.DATABASE_ROLE),
        ("custodian-db-password", Step.DATABASE_ROLE),
        ("redis-password", Step.REDIS_USER),
        ("edge-tls-cert", Step.CERTIFICATE),
        ("keycloak-admin-password", Step.KEYCLOAK),
        ("person-alice-password", Step.KEYCLOAK),
        ("agent-nightly-report-client-secret", Step.KEYCLOAK),
        ("litellm-master-key", Step.LITELLM),
        ("litellm-subject-seed", Step.LITELLM_KEYS),
        ("ca-cert", Step.CLIENTS),
    ],
)
def test_what_a_restart_alone_does_not_do_is_named(name: str, step: Step) -> None:
    assert step in TABLE[name].steps


def test_what_cannot_be_rotated_says_why() -> None:
    assert {name for name, after in TABLE.items() if after.refused} == {
        "litellm-salt-key",
        "assertion-public-key",
        "chain-private-key",
        "chain-public-key",
        "chain-retired-key",
    }
