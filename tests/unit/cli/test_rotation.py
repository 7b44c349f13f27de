"""What must follow a rotation is known for every secret, and agrees with what services are given."""

from __future__ import annotations

import pytest

from components.blueprint import blueprint
from config import load_stack
from infra.custody import recipes
from infra.paths import STACKS
from infra.rotation import Step, after_rotation

STACK = load_stack("laptop", STACKS)
TABLE = after_rotation(STACK, "laptop", recipes(STACK))


def test_every_secret_has_a_row_and_what_can_be_rotated_has_steps() -> None:
    assert set(TABLE) == set(recipes(STACK))
    assert [name for name, after in TABLE.items() if not after.steps and not after.refused] == []


def test_whoever_is_given_a_secret_gets_the_new_one() -> None:
    for name, services in blueprint(STACK, "laptop").readers().items():
        assert TABLE[name].services == services
        assert TABLE[name].steps[:2] == (Step.REDELIVERED, Step.RESTART)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("postgres-password", Step.DATABASE_ROLE),
        ("custodian-db-password", Step.DATABASE_ROLE),
        ("keycloak-admin-password", Step.KEYCLOAK),
        ("person-alice-password", Step.KEYCLOAK),
        ("agent-nightly-report-client-secret", Step.KEYCLOAK),
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
