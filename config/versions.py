"""The one home of the version pins that the program names; images and locks pin theirs beside them."""

from __future__ import annotations

PULUMI_ENGINE = "3.274.1"
PULUMI_SDK = "3.272.0"
PULUMI_DOCKER = "5.1.0"
PULUMI_KEYCLOAK = "6.13.0"
PULUMI_LITELLM = "0.1.0"
"""Our own plugin (infra/plugins/litellm), not LiteLLM."""

TRAEFIK = "3.6.12"
KEYCLOAK = "26.7.3"
LITELLM = "1.108.7"
OTEL_COLLECTOR = "0.155.0"
OAUTH2_PROXY = "7.15.6"
