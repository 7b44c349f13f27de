"""Across the layers, the custodian: verifies callers at the edge, keeps the ledger and the records."""

from __future__ import annotations

from components.identity import ISSUER_INSIDE, api_url, issuer
from components.realm import AUDIENCE, AUDITOR, CUSTODIAN_CLIENT, DEMO_CLIENT
from components.spec import ServiceSpec, http_probe
from config.egress import upstreams
from config.stack import Stack

SECRETS = (
    "custodian-db-password",
    "litellm-master-key",
    "litellm-subject-seed",
    "assertion-private-key",
    "custodian-record-token",
    "custodian-admin-token",
    "custodian-client-secret",
    "chain-private-key",
    "chain-retired-key",
)

EGRESS_SECRETS = ("custodian-tls-key", "custodian-tls-cert", "ca-cert")
"""What it needs to answer the egress, which exists when a model has a provider."""


def custodian(stack: Stack, name: str) -> ServiceSpec:
    """The custodian. ``name`` is the stack's name."""
    out = upstreams(stack)
    keys = sorted({each.secret for each in out.upstreams.values() if each.secret})
    secrets = (*SECRETS, *EGRESS_SECRETS, *keys) if out.upstreams else SECRETS
    return ServiceSpec(
        name="custodian",
        image="runtime",
        uid=61008,
        memory_mib=128,
        networks=("front", "data", "egress") if out.upstreams else ("front", "data"),
        command=("runtime.custodian",),
        secrets={secret: f"${{{secret}}}" for secret in secrets},
        # A provider's key that is revoked takes that provider down and nothing else: the egress refuses to go there.
        optional_secrets=tuple(keys),
        config_files={
            "policies.json": stack.policies(name).model_dump_json(indent=1),
            "upstreams.json": out.model_dump_json(indent=1),
        },
        env={
            "PRAXIS_ISSUER": issuer(stack),
            "PRAXIS_REALM_URL": ISSUER_INSIDE,
            "PRAXIS_CLIENT": CUSTODIAN_CLIENT,
            "PRAXIS_AUDITOR_ROLE": AUDITOR,
            "PRAXIS_PUBLIC_URL": api_url(stack),
            "PRAXIS_AUDIENCE": AUDIENCE,
            "PRAXIS_DEMO_CLIENT": DEMO_CLIENT if stack.environment == "demo" else "",
        },
        probe=http_probe(8100, "/healthz"),
        needs=("postgres", "litellm"),
    )
