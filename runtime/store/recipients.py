"""Who can open a store besides its host: operators' age keys, and keys that AWS KMS wraps.

``recipients.txt`` in the custody folder has one line each, with a label after ``#``::

    age1…  # alice
    aws-kms arn:aws:kms:eu-west-1:111122223333:key/1234 age1… BASE64  # break glass

The second form is an age key of its own, made for this store, whose identity KMS has encrypted: a write needs no KMS,
only a recovery does. The store itself holds the same lines, encrypted, so a line added by hand is noticed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyrage

from runtime.store.backend import missing
from runtime.store.document import RefusedError, StoreError
from runtime.store.folder import RECIPIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

KMS = "aws-kms"


@dataclass(frozen=True)
class Recipient:
    """One who can open the store. ``kms_key`` and ``wrapped`` are empty for a plain age key."""

    public: str
    label: str = ""
    kms_key: str = ""
    wrapped: str = ""

    def line(self) -> str:
        """As it stands in the file."""
        key = f"{KMS} {self.kms_key} {self.public} {self.wrapped}" if self.kms_key else self.public
        return f"{key}  # {self.label}" if self.label else key

    def age(self) -> pyrage.x25519.Recipient:
        """The key to encrypt to."""
        return pyrage.x25519.Recipient.from_str(self.public)


def parsed(line: str) -> Recipient:
    """The recipient of one line.

    Raises:
        RefusedError: it is none.
    """
    key, _, label = (part.strip() for part in line.partition("#"))
    match key.split():
        case [public]:
            recipient = Recipient(public, label)
        case [kind, kms_key, public, wrapped] if kind == KMS:
            recipient = Recipient(public, label, kms_key, wrapped)
        case _:
            raise RefusedError(f"'{key}' is no recipient: an age public key is one word, age1…")
    if recipient.public.upper().startswith("AGE-SECRET-KEY-"):
        raise RefusedError("that is an identity, which is secret: the public key beside it (age1…) is the recipient")
    try:
        recipient.age()
    except pyrage.RecipientError:
        raise RefusedError(f"'{recipient.public}' is not an age public key (age1…)") from None
    return recipient


def parsed_file(text: str) -> tuple[Recipient, ...]:
    """The recipients of a file; empty lines and lines of comment are passed over.

    Raises:
        RefusedError: a line is no recipient.
    """
    lines = (line.strip() for line in text.splitlines())
    return tuple(parsed(line) for line in lines if line and not line.startswith("#"))


def identities(text: str) -> list[pyrage.x25519.Identity]:
    """The identities in an operator's file, as ``age-keygen`` writes it.

    Raises:
        RefusedError: there is none that can be used. The message does not quote the file.
    """
    found = list(_identities(text))
    if not found:
        raise RefusedError("the identity file holds no age identity (AGE-SECRET-KEY-1…)")
    return found


def _identities(text: str) -> Iterator[pyrage.x25519.Identity]:
    if text.startswith(("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE")):
        raise RefusedError("the identity file is encrypted with a passphrase: decrypt it first (age --decrypt)")
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                yield pyrage.x25519.Identity.from_str(line.strip())
            except pyrage.IdentityError:
                raise RefusedError(f"line {number} of the identity file is no age identity") from None


def wrapped_by_kms(key: str, label: str = "") -> Recipient:
    """A new recipient whose identity the KMS key ``key`` (ARN, id or alias) has encrypted.

    Raises:
        StoreError: KMS cannot be asked, or refuses.
    """
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    answer = _kms(key, "encrypt", KeyId=key, Plaintext=str(identity).encode(), EncryptionContext=_context(public))
    return Recipient(public, label, answer["KeyId"], base64.b64encode(answer["CiphertextBlob"]).decode())


def unwrapped_by_kms(recipient: Recipient) -> str:
    """The identity of ``recipient``, decrypted by KMS.

    Raises:
        StoreError: KMS cannot be asked, or refuses.
    """
    try:
        blob = base64.b64decode(recipient.wrapped, validate=True)
    except binascii.Error:
        raise StoreError(f"{RECIPIENTS}: the wrapped key of {recipient.public} is damaged") from None
    key = recipient.kms_key
    answer = _kms(key, "decrypt", KeyId=key, CiphertextBlob=blob, EncryptionContext=_context(recipient.public))
    return bytes(answer["Plaintext"]).decode()


def _context(public: str) -> dict[str, str]:
    """What KMS binds the wrapped identity to, and what it logs of it."""
    return {"purpose": "praxis secret store", "recipient": public}


def _kms(key: str, action: str, **arguments: Any) -> dict[str, Any]:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise missing("AWS KMS", "boto3", "aws") from None
    region = key.split(":")[3] if key.startswith("arn:") and key.count(":") >= 5 else None
    try:
        answer: dict[str, Any] = getattr(boto3.client("kms", region_name=region), action)(**arguments)
    except ClientError as error:
        raise StoreError(f"AWS KMS refuses to {action} with {key}: {error.response['Error']['Code']}") from None
    except BotoCoreError as error:
        raise StoreError(f"AWS KMS cannot be asked: {error}") from None
    return answer
