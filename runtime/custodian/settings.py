"""The custodian's settings: from the environment what is no secret, from files what is one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runtime.chain import Signer
from runtime.contract import Policies
from runtime.providers import Upstreams
from runtime.with_secrets import Delivered, read_secret

POLICIES = Path("/etc/praxis/policies.json")
UPSTREAMS = Path("/etc/praxis/upstreams.json")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """``demo_client``: the OAuth client whose tokens are marked as demo; empty outside a demo."""

    issuer: str
    realm_url: str
    """The realm as the custodian reaches it; ``issuer`` is what its tokens name."""
    audience: str
    demo_client: str
    auditor_role: str
    public_url: str
    """Where callers find the gateway's API."""
    client: str
    """The custodian's own client in the realm."""
    client_secret: Delivered
    litellm_url: str
    egress_url: str
    policies: Policies
    upstreams: Upstreams
    database: dict[str, Any] = field(repr=False)
    master_key: Delivered
    subject_seed: Delivered
    assertion_key: Delivered
    record_token: Delivered
    admin_token: Delivered
    chain_key: Signer = field(repr=False)
    retired_chain_key: Signer = field(repr=False)


def load() -> Settings:
    """Settings of the running service; ends the process with one line when something is missing."""
    environment, password = os.environ, Delivered("custodian-db-password")
    return Settings(
        issuer=environment["PRAXIS_ISSUER"],
        realm_url=environment["PRAXIS_REALM_URL"],
        audience=environment["PRAXIS_AUDIENCE"],
        demo_client=environment.get("PRAXIS_DEMO_CLIENT", ""),
        public_url=environment["PRAXIS_PUBLIC_URL"],
        auditor_role=environment["PRAXIS_AUDITOR_ROLE"],
        client=environment["PRAXIS_CLIENT"],
        client_secret=Delivered("custodian-client-secret"),
        litellm_url=environment.get("PRAXIS_LITELLM_URL", "http://litellm:4000"),
        egress_url=environment.get("PRAXIS_EGRESS_URL", "http://egress:8200"),
        policies=Policies.model_validate_json(POLICIES.read_text(encoding="utf-8")),
        upstreams=Upstreams.model_validate_json(UPSTREAMS.read_text(encoding="utf-8")),
        database={
            "host": environment.get("PGHOST", "postgres"),
            "user": "custodian",
            "database": "custodian",
            "password": lambda: password.value,  # asked at each new connection
        },
        master_key=Delivered("litellm-master-key"),
        subject_seed=Delivered("litellm-subject-seed"),
        assertion_key=Delivered("assertion-private-key"),
        record_token=Delivered("custodian-record-token"),
        admin_token=Delivered("custodian-admin-token"),
        chain_key=Signer(read_secret("chain-private-key")),
        retired_chain_key=Signer(read_secret("chain-retired-key")),
    )
