"""``python -m infra.plugins.standins.keycloak``: started by the engine."""

from __future__ import annotations

from infra.plugins.standins.keycloak.provider import KeycloakStandIn
from infra.plugins.standins.serving import run

if __name__ == "__main__":
    run(KeycloakStandIn())
