"""The secret store of the operator's side: one file, encrypted with age, that generates what is missing.

In the custody folder of a stack stand ``store.age`` (a :class:`~runtime.store.document.Document`, encrypted) and
``host.key`` (the X25519 identity that opens it). Keep the two apart in backups: neither is of use alone. Others who
can open it stand in ``recipients.txt`` (:mod:`runtime.store.recipients`); what the operator's side does with secrets
is recorded in ``audit.jsonl`` (:mod:`runtime.store.journal`). The encrypted document may be kept elsewhere
(:mod:`runtime.store.backends`): then ``place.json`` says where, and ``store.age`` is a copy of it.

Modes: both files are 0444 and the folder 0755, but its parent is 0700, so nobody else on the host gets near them,
and yet the folder can be mounted read-only into the secrets agent's container, whatever that one's uid. Writes
replace the file in one step under a lock; a store that cannot be read is never written over.
"""

from __future__ import annotations

from runtime.recipes import (
    ALPHANUMERIC,
    LOCAL_NAMES,
    CaCert,
    EcKey,
    Ed25519Key,
    Password,
    PublicKey,
    RandomBytes,
    Recipe,
    ServerCert,
)
from runtime.store.backend import Backend, ConflictError, Stored, UnreachableError
from runtime.store.backends.aws import SecretsManagerBackend
from runtime.store.backends.azure import KeyVaultBackend
from runtime.store.backends.kubernetes import KubernetesBackend
from runtime.store.backends.vault import VaultBackend
from runtime.store.core import Store, Values
from runtime.store.document import Metadata, RefusedError, State, StoreError, checked_name, utc_now, written
from runtime.store.folder import STORE
from runtime.store.journal import AUDIT_KEY
from runtime.store.place import Noted, Place, noted_in
from runtime.store.recipients import Recipient, parsed, wrapped_by_kms

__all__ = [
    "ALPHANUMERIC",
    "AUDIT_KEY",
    "LOCAL_NAMES",
    "STORE",
    "Backend",
    "CaCert",
    "ConflictError",
    "EcKey",
    "Ed25519Key",
    "KeyVaultBackend",
    "KubernetesBackend",
    "Metadata",
    "Noted",
    "Password",
    "Place",
    "PublicKey",
    "RandomBytes",
    "Recipe",
    "Recipient",
    "RefusedError",
    "SecretsManagerBackend",
    "ServerCert",
    "State",
    "Store",
    "StoreError",
    "Stored",
    "UnreachableError",
    "Values",
    "VaultBackend",
    "checked_name",
    "noted_in",
    "parsed",
    "utc_now",
    "wrapped_by_kms",
    "written",
]
