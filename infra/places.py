"""Where the secret store of a stack is kept: as its file declares, and as the custody folder knows it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from pydantic import TypeAdapter, ValidationError

from config import Problem, SettingsError, Stack
from config.secrets import (
    SecretsFile,
    SecretsInAws,
    SecretsInAzure,
    SecretsInKubernetes,
    SecretsInVault,
    SecretsPlace,
)
from infra.paths import STACKS, stack_folder
from runtime.store import (
    STORE,
    Backend,
    KeyVaultBackend,
    KubernetesBackend,
    Place,
    SecretsManagerBackend,
    StoreError,
    VaultBackend,
    noted_in,
)

_SETTINGS: TypeAdapter[SecretsPlace] = TypeAdapter(SecretsPlace)


def place_of(settings: SecretsPlace) -> Place | None:
    """The place that ``settings`` declare; None for the file in the custody folder. Nothing is asked yet."""
    backend: Backend
    match settings:
        case SecretsFile():
            return None
        case SecretsInAws():
            backend = SecretsManagerBackend(settings.name, settings.region)
        case SecretsInAzure():
            backend = KeyVaultBackend(settings.vault_url, settings.name)
        case SecretsInVault():
            token = Path(settings.token_file).expanduser()
            backend = VaultBackend(
                settings.address, settings.path, token, mount=settings.mount, namespace=settings.namespace
            )
        case SecretsInKubernetes():
            kubeconfig = Path(settings.kubeconfig).expanduser() if settings.kubeconfig else None
            backend = KubernetesBackend(
                settings.namespace, settings.name, context=settings.context, kubeconfig=kubeconfig
            )
        case _:
            assert_never(settings)
    return Place(identity=settings.identity(), settings=settings.model_dump(), backend=backend)


def kept_at(name: str) -> SecretsPlace | None:
    """Where the store of the stack ``name`` is kept, as its custody folder says; None if it was never written.

    Raises:
        StoreError: ``place.json`` cannot be read.
    """
    custody = stack_folder(name).custody
    known = noted_in(custody)
    if known is None:
        return SecretsFile() if (custody / STORE).exists() else None
    try:
        return _SETTINGS.validate_python(dict(known.settings))
    except ValidationError:
        message = "place.json names no place that this version knows: put it back from a backup"
        raise StoreError(f"{custody}/{message}") from None


def declared_place(name: str, stack: Stack) -> Place | None:
    """The place that the stack file declares; None for the file. It is where the store is kept, if there is one.

    Raises:
        SettingsError: the store is kept elsewhere.
        StoreError: where it is kept cannot be found out.
    """
    kept = kept_at(name)
    if kept is not None and kept.identity() != stack.secrets.identity():
        raise SettingsError(
            [
                Problem(
                    file=STACKS / f"{name}.yaml",
                    key="secrets",
                    message=f"declares {where(name, stack.secrets)}, but the store is kept in {where(name, kept)}; "
                    f"nothing was made anew; move it with: ./praxis secrets move {name}",
                )
            ]
        )
    return place_of(stack.secrets)


def where(name: str, settings: SecretsPlace) -> str:
    """What messages call a place of the stack ``name``."""
    place = place_of(settings)
    return place.backend.where if place is not None else f"the file {stack_folder(name).custody / STORE}"
