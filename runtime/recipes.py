"""How a secret that nobody gives is made: one frozen dataclass per kind, each with one text as its value.

A recipe may build on another secret (a public key on its private key, a certificate on its key and its authority):
it names it in :attr:`Recipe.needs` and is handed the values. Passed to :meth:`runtime.store.Store.ensure`.
The ``cryptography`` package is imported where it is used: the secrets agent reads the store within 30 MB.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

ALPHANUMERIC = string.ascii_letters + string.digits
"""Letters and digits: safe unquoted in URLs, shells, ACL files and properties files."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "*.localhost", "id.localhost", "traces.localhost", "console.localhost")
"""Subject alternative names of the edge's own certificate. OpenSSL takes no wildcard right under a top-level name, so
the consoles are named as well."""

RENEW_BEFORE = datetime.timedelta(days=30)
"""A certificate with less than this to live is made anew by the next ``ensure``."""


class Recipe(Protocol):
    """Makes the value of one secret."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the secrets whose values :meth:`make` and :meth:`stale` are handed."""

    def make(self, values: Mapping[str, str]) -> str:
        """A new value. ``values`` holds every name in :attr:`needs`."""

    def stale(self, value: str, values: Mapping[str, str]) -> bool:
        """Whether the stored ``value`` must be made anew (an expiring certificate, a changed key)."""


class _Independent:
    """Base of recipes that need nothing and whose value stays good until somebody rotates it."""

    @property
    def needs(self) -> tuple[str, ...]:
        return ()

    def stale(self, value: str, values: Mapping[str, str]) -> bool:
        return False


@dataclass(frozen=True)
class Password(_Independent):
    """``length`` random characters of ``alphabet`` after ``prefix`` (``Password(48, prefix="sk-")``)."""

    length: int = 32
    alphabet: str = ALPHANUMERIC
    prefix: str = ""

    def __post_init__(self) -> None:
        if self.length < 16 or len(set(self.alphabet)) < 16:
            raise ValueError("a password needs at least 16 characters out of at least 16 different ones")

    def make(self, values: Mapping[str, str]) -> str:
        return self.prefix + "".join(secrets.choice(self.alphabet) for _ in range(self.length))


@dataclass(frozen=True)
class RandomBytes(_Independent):
    """``size`` random bytes as URL-safe base64 with padding (oauth2-proxy's cookie secret: 32)."""

    size: int = 32

    def make(self, values: Mapping[str, str]) -> str:
        return base64.urlsafe_b64encode(secrets.token_bytes(self.size)).decode()


@dataclass(frozen=True)
class Ed25519Key(_Independent):
    """An Ed25519 private key, PKCS#8 PEM."""

    def make(self, values: Mapping[str, str]) -> str:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return _private_pem(Ed25519PrivateKey.generate())


@dataclass(frozen=True)
class PublicKey:
    """The public half (PEM) of the private key that is stored as ``key``."""

    key: str

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.key,)

    def make(self, values: Mapping[str, str]) -> str:
        return _public_pem(_load_key(values[self.key]))

    def stale(self, value: str, values: Mapping[str, str]) -> bool:
        return value != self.make(values)


@dataclass(frozen=True)
class EcKey(_Independent):
    """A P-256 private key, PKCS#8 PEM: for certificates, which clients do not take with Ed25519 keys."""

    def make(self, values: Mapping[str, str]) -> str:
        from cryptography.hazmat.primitives.asymmetric import ec

        return _private_pem(ec.generate_private_key(ec.SECP256R1()))


@dataclass(frozen=True)
class CaCert:
    """A certificate authority of our own (PEM) over the key stored as ``key``; it may sign no other authority."""

    key: str
    common_name: str = "Praxis local CA"
    days: int = 3650

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.key,)

    def make(self, values: Mapping[str, str]) -> str:
        from cryptography import x509

        key = _load_ec(values[self.key])
        name = _name(self.common_name)
        builder = (
            _builder(name, name, key, self.days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
        )
        return _sign(builder, key)

    def stale(self, value: str, values: Mapping[str, str]) -> bool:
        return _unusable(value, values[self.key])


@dataclass(frozen=True)
class ServerCert:
    """A TLS certificate (PEM) over the key stored as ``key``, signed by ``ca_key`` under ``ca_cert``.

    It is made anew when it nears its end, when ``names`` change and when the key or the authority is another one.
    """

    key: str
    ca_key: str
    ca_cert: str
    names: tuple[str, ...] = LOCAL_NAMES
    days: int = 397
    client: bool = False
    """For a client of TLS instead of a server: a certificate for the one is not good for the other."""

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.key, self.ca_key, self.ca_cert)

    def make(self, values: Mapping[str, str]) -> str:
        from cryptography import x509

        authority = x509.load_pem_x509_certificate(values[self.ca_cert].encode())
        builder = (
            _builder(_name(self.names[0]), authority.subject, _load_ec(values[self.key]), self.days)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in self.names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([_purpose(client=self.client)]), critical=False)
            .add_extension(_authority_id(authority), critical=False)
        )
        return _sign(builder, _load_ec(values[self.ca_key]))

    def stale(self, value: str, values: Mapping[str, str]) -> bool:
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        if _unusable(value, values[self.key]):
            return True
        certificate = x509.load_pem_x509_certificate(value.encode())
        stored = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if list(stored) != [_general_name(name) for name in self.names]:
            return True
        try:
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(values[self.ca_cert].encode()))
        except (ValueError, InvalidSignature):
            return True
        return False


def _purpose(*, client: bool) -> x509.ObjectIdentifier:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    return ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH


def _unusable(certificate_pem: str, key_pem: str) -> bool:
    """Whether a certificate is near its end, or over another key than the stored one."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    public = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    late = certificate.not_valid_after_utc - _now() < RENEW_BEFORE
    return late or public != _public_pem(_load_key(key_pem))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _load_key(pem: str) -> PrivateKeyTypes:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    return load_pem_private_key(pem.encode(), password=None)


def _load_ec(pem: str) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    key = _load_key(pem)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError("the key of a certificate must be an EC key")
    return key


def _private_pem(key: PrivateKeyTypes) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _public_pem(key: PrivateKeyTypes) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _name(common_name: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clocks differ; a certificate that is not valid yet looks like an attack.
        .not_valid_before(_now() - datetime.timedelta(hours=1))
        .not_valid_after(_now() + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _authority_id(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    from cryptography import x509

    own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
