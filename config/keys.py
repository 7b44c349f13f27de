"""Public keys by which agents sign in (RFC 7523), as the stack file gives them and as Keycloak takes them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from joserfc.jwk import ECKey, OKPKey, RSAKey
from pydantic import AfterValidator

Key = RSAKey | ECKey | OKPKey
RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1", "secp521r1")
_KINDS = f"RSA of at least {RSA_BITS} bits, EC (P-256, P-384, P-521) or Ed25519"


def jwk(pem: str) -> Key:
    """The key in ``pem``.

    Raises:
        ValueError: it is none that an agent may sign in with. The message holds nothing of it.
    """
    if "PRIVATE KEY" in pem:
        raise ValueError("is a private key, which stays with the agent; its public one: openssl pkey -pubout")
    try:
        found = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"must be a public key in PEM form (-----BEGIN PUBLIC KEY-----): {_KINDS}") from None
    if isinstance(found, RSAPublicKey) and found.key_size >= RSA_BITS:
        return RSAKey.import_key(pem)
    if isinstance(found, EllipticCurvePublicKey) and found.curve.name in CURVES:
        return ECKey.import_key(pem)
    if isinstance(found, Ed25519PublicKey):
        return OKPKey.import_key(pem)
    raise ValueError(f"must be {_KINDS}")


def _public_key(pem: str) -> str:
    jwk(pem)
    return pem


PublicKey = Annotated[str, AfterValidator(_public_key)]
"""In PEM form."""


def key_set(pems: Iterable[str]) -> str:
    """A JWK Set (RFC 7517) as JSON. Each key is called by its thumbprint (RFC 7638)."""
    keys = [{**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig"} for key in map(jwk, pems)]
    return json.dumps({"keys": keys}, sort_keys=True, separators=(",", ":"))
