"""The one home of the version pins that the program names; images and locks pin theirs beside them."""

from __future__ import annotations

PULUMI_ENGINE = "3.274.1"
"""The engine as it is built from its module (3.272.0 is in no registry); it works with the older SDK."""
PULUMI_SDK = "3.272.0"
"""Of the Python package, and of the vendor's command line under ``supply: official``: those two are of one release."""
PULUMI_DOCKER = "5.1.0"
PULUMI_KEYCLOAK = "6.13.0"
PULUMI_LITELLM = "0.1.0"
"""Our own plugin (infra/plugins/litellm), not LiteLLM."""

TRAEFIK = "3.6.12"
KEYCLOAK = "26.7.3"
LITELLM = "1.108.7"
OTEL_COLLECTOR = "0.155.0"
OAUTH2_PROXY = "7.15.6"

# The two supplies take these from different places: Debian's archive, or a vendor's image of this tag.
DEBIAN = "bookworm"
POSTGRES = "15"
"""The same major version in both supplies: each reads the other's data."""
REDIS = "7.2"
"""Of the vendor's image; Debian's is 7.0. Later ones are under another licence."""
LANGFUSE = "4.27.0"
CLICKHOUSE = "26.8.2.7"
"""A long-term release; Langfuse 4 needs 25.12 and recommends 26.4 or newer."""
SEAWEEDFS = "4.47"
