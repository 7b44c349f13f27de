"""How an agent signs in: by the secret that Praxis made for it, or by a private key of its own (RFC 7523)."""

from __future__ import annotations

import secrets
import time
import warnings
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

from components.identity import issuer
from components.realm import agent_client, agent_secret
from config.keys import Key, jwk
from config.stack import Stack
from infra.cli.console import CommandError, Exit
from runtime.store import Store

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LIFETIME_S = 60
_OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


def proof(stack: Stack, store: Store, name: str, key_file: Path | None) -> dict[str, str]:
    """By what an agent gets a token, as fields of its request.

    Args:
        key_file: its private key in PEM; for an agent that has one, and for no other.

    Raises:
        CommandError: a key where none is taken, none where it is, or another than is declared.
    """
    form = {"grant_type": "client_credentials", "client_id": agent_client(name)}
    keys = stack.agents[name].public_keys
    if keys is None:
        if key_file is not None:
            message = f"agent '{name}' signs in by a secret"
            raise CommandError(message, fix=f"leave --key away, or declare agents.{name}.public_keys", code=Exit.USAGE)
        return {**form, "client_secret": store.get(agent_secret(name))}
    if key_file is None:
        message = f"agent '{name}' signs in by a key of its own, which only it has (agents.{name}.public_keys)"
        raise CommandError(
            message, fix=f"./praxis token … --as {name} --key FILE (the private key, PEM)", code=Exit.USAGE
        )
    key = _private(key_file)
    if key.thumbprint() not in {jwk(pem).thumbprint() for pem in keys}:
        message = f"{key_file} is none of the keys that are declared (agents.{name}.public_keys)"
        raise CommandError(message, fix="give the key that belongs to one, or declare its public key", code=Exit.USAGE)
    return {**form, "client_assertion_type": ASSERTION, "client_assertion": assertion(name, issuer(stack), key)}


def assertion(name: str, realm: str, key: Key) -> str:
    """The agent's own word that it is itself, for the realm alone and for a minute (RFC 7523, 3)."""
    now = int(time.time())
    client = agent_client(name)
    claims = {"iss": client, "sub": client, "aud": realm, "jti": secrets.token_hex(16), "iat": now}
    header = {"alg": _algorithm(key), "typ": "JWT", "kid": key.thumbprint()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # Keycloak knows Ed25519 by the name before RFC 9864 alone
        return jwt.encode(header, {**claims, "exp": now + LIFETIME_S}, key, algorithms=[header["alg"]])


def _algorithm(key: Key) -> str:
    if isinstance(key, RSAKey):
        return "RS256"
    return _OF_CURVE[key.curve_name] if isinstance(key, ECKey) else "EdDSA"


def _private(file: Path) -> Key:
    try:
        pem = file.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}", code=Exit.USAGE) from None
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key = kind.import_key(pem)
        except (JoseError, ValueError, TypeError):
            continue
        if key.is_private:
            return key
    raise CommandError(f"{file} holds no private key in PEM form without a password", code=Exit.USAGE)
