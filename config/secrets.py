"""How a stack file names a secret, and where the secret store is kept.

Whatever keeps the store is given ciphertext alone; ``host.key`` stays here.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from runtime.contract import Model

SecretReference = Annotated[str, StringConstraints(pattern=r"^secret://[a-z][a-z0-9-]{0,60}$")]
"""The only way to name a secret in a stack file; its value is set by ``praxis secrets set``."""


def _shaped(pattern: str, says: str) -> AfterValidator:
    """Only text that ``pattern`` matches whole; the message says what that is, and does not repeat what was given."""
    compiled = re.compile(pattern, re.ASCII)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(f"must be {says}")
        return text

    return AfterValidator(check)


def _absolute(path: str) -> str:
    if not PurePosixPath(path).is_absolute() and not path.startswith("~/"):
        raise ValueError("must be an absolute path, or one that begins with ~/")
    return path


def _sheltered(address: str) -> str:
    """A token must not go over a network in the clear."""
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1"):
        raise ValueError("must be an https:// address: the token would go over the network in the clear")
    return address.rstrip("/")


FilePath = Annotated[str, AfterValidator(_absolute)]
Server = Annotated[
    str,
    _shaped(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?/?", "https://host:port and nothing else, as in VAULT_ADDR"),
    AfterValidator(_sheltered),
]
"""Scheme, host and port of a server, and nothing else."""
PathInVault = Annotated[str, _shaped(r"[\w.-]+(/[\w.-]+)*", "names with / between them: no / at the begin or end")]
DnsLabel = Annotated[
    str, _shaped(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "lower case letters, digits and dashes, at most 63")
]
DnsName = Annotated[
    str, _shaped(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "lower case letters, digits, dashes and dots, at most 253")
]


_WAYS = {"token_file", "kubeconfig"}
"""What is a way to a place and not a part of it."""


class _Place(Model):
    def identity(self) -> str:
        """What tells this place from every other, by whatever way it is reached."""
        return " ".join(f"{key}={value}" for key, value in self.model_dump(exclude=_WAYS).items() if value)


class SecretsFile(_Place):
    """`secrets` with `store: file`: the store is the file `store.age` in the custody folder of this machine."""

    store: Literal["file"] = "file"


class SecretsInAws(_Place):
    """`secrets` with `store: aws-secrets-manager`; credentials as the AWS SDK finds them (profile, role)."""

    store: Literal["aws-secrets-manager"]
    name: Annotated[str, _shaped(r"[A-Za-z0-9/_+=.@-]{1,512}", "letters, digits and /_+=.@-, at most 512")]
    """Of the secret. It is made if it is not there."""
    region: Annotated[str, _shaped(r"[a-z]{2,}(-[a-z0-9]+)+", "a region of AWS, as in eu-central-1")]
    """As in ``eu-central-1``."""


class SecretsInAzure(_Place):
    """`secrets` with `store: azure-key-vault`; credentials as `DefaultAzureCredential` finds them."""

    store: Literal["azure-key-vault"]
    vault_url: Annotated[
        str,
        _shaped(r"https://[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]{1,5})?", "https://NAME.vault.azure.net and nothing else"),
    ]
    """As in ``https://NAME.vault.azure.net``."""
    name: Annotated[str, _shaped(r"[A-Za-z0-9-]{1,120}", "letters, digits and dashes, at most 120")]
    """Of the secret; its parts are kept beside it as ``NAME-0``, ``NAME-1`` …"""


class SecretsInVault(_Place):
    """`secrets` with `store: vault`: HashiCorp Vault's key-value engine, version 2."""

    store: Literal["vault"]
    address: Server
    """As ``VAULT_ADDR``: ``https://vault.example.com:8200``."""
    path: PathInVault
    """Of the secret within the engine, without the mount and without ``data/``."""
    token_file: FilePath
    """Holds the token, as Vault's agent or ``vault login`` (``~/.vault-token``) writes it; read at each use."""
    mount: PathInVault = "secret"
    """Where the engine is mounted."""
    namespace: Annotated[str, _shaped(r"[\w./-]*", "a namespace of Vault: names with / between them")] = ""
    """Of Vault Enterprise or HCP; empty for none."""


class SecretsInKubernetes(_Place):
    """`secrets` with `store: kubernetes`: one Secret of a cluster; the way in is a kubeconfig's or a pod's own."""

    store: Literal["kubernetes"]
    namespace: DnsLabel
    """Of the Secret; it must exist."""
    name: DnsName
    """Of the Secret. It is made if it is not there."""
    context: str | None = None
    """Of the kubeconfig; its current context unless given. Another context counts as another place."""
    kubeconfig: FilePath | None = None
    """The file; ``KUBECONFIG`` or ``~/.kube/config`` unless given."""


SecretsPlace = Annotated[
    SecretsFile | SecretsInAws | SecretsInAzure | SecretsInVault | SecretsInKubernetes, Field(discriminator="store")
]
