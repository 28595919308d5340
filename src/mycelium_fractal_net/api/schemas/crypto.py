"""The crypto routes: one request and one answer each."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import (
    AssociatedData,
    Base64,
    KeyId,
    Model,
    Reference,
    VersionId,
)

__all__ = [
    "DataKeyRequest",
    "DataKeyResponse",
    "DecryptRequest",
    "DecryptResponse",
    "EncryptRequest",
    "EncryptResponse",
    "MacRequest",
    "MacResponse",
    "MacVerifyRequest",
    "RewrapRequest",
    "SignRequest",
    "SignResponse",
    "VerifyRequest",
    "VerifyResponse",
]

AES_256_GCM: Final = "AES-256-GCM"
_HELLO: Final = "aGVsbG8="  # "hello"

Format = Annotated[
    Literal["sealed", "raw"],
    Field(
        description="`sealed` is a sealed message, which names its key; `raw` is"
        " `nonce(12) || ciphertext || tag(16)` of plain AES-256-GCM."
    ),
]
AllowCompromised = Annotated[
    bool,
    Field(
        description="Open also what a compromised version protected; a scope of its own,"
        " `allow_compromised`."
    ),
]
OfDataKey = Annotated[
    AssociatedData,
    Field(description="The associated data of the data key, for a message of the second form."),
]


class EncryptRequest(Model):
    """What to encrypt, and under which key."""

    data: Base64 = Field(description="The plaintext in base64.", examples=[_HELLO])
    key_id: KeyId = None
    associated_data: AssociatedData = None
    format: Format = "sealed"
    reference: Reference = None


class EncryptResponse(Model):
    """An encrypted message. It may be sent to `/crypto/decrypt` as it is."""

    ciphertext: Base64
    algorithm: Literal["AES-256-GCM"] = AES_256_GCM
    key_id: VersionId
    reference: Reference = None


class _Opening(Model):
    ciphertext: Base64 = Field(description="The message in base64.")
    key_id: KeyId = None
    algorithm: Annotated[
        Literal["AES-256-GCM"] | None,
        Field(description="As the answer of `/crypto/encrypt` has it; says nothing more."),
    ] = None
    associated_data: AssociatedData = None
    data_key_associated_data: OfDataKey = None
    format: Format = "sealed"
    allow_compromised: AllowCompromised = False
    reference: Reference = None


class DecryptRequest(_Opening):
    """A message to open. A sealed one names its key; a `key_id` that is given must agree."""


class DecryptResponse(Model):
    """The plaintext, and the version that opened the message."""

    data: Base64
    key_id: VersionId
    reference: Reference = None


class RewrapRequest(_Opening):
    """A message to move to the newest version of its key; the plaintext is not shown."""


class SignRequest(Model):
    """What to sign, with a signing key for data."""

    data: Base64 = Field(description="The message in base64.", examples=[_HELLO])
    key_id: KeyId = None
    reference: Reference = None


class SignResponse(Model):
    """A bare signature, and the version that made it."""

    signature: Base64
    algorithm: str
    key_id: VersionId
    reference: Reference = None


class VerifyRequest(Model):
    """A message and its signature. A bare key id accepts any version that may verify."""

    data: Base64 = Field(description="The message in base64.", examples=[_HELLO])
    signature: Base64
    key_id: KeyId = None
    algorithm: Annotated[
        str | None,
        Field(
            max_length=64,
            description="As the answer of `/crypto/sign` has it; the key alone decides.",
        ),
    ] = None
    reference: Reference = None


class VerifyResponse(Model):
    """Whether the signature, or the MAC, is one of that message under that key."""

    valid: bool
    reference: Reference = None


class MacRequest(Model):
    """What to make a MAC of, with a key of type `mac`."""

    data: Base64 = Field(description="The message in base64.", examples=[_HELLO])
    key_id: KeyId = None
    reference: Reference = None


class MacResponse(Model):
    """The 32 bytes of HMAC-SHA-256, and the version that made them."""

    mac: Base64
    algorithm: str
    key_id: VersionId
    reference: Reference = None


class MacVerifyRequest(Model):
    """A message and its MAC."""

    data: Base64 = Field(description="The message in base64.", examples=[_HELLO])
    mac: Base64
    key_id: KeyId = None
    algorithm: Annotated[
        str | None,
        Field(
            max_length=64,
            description="As the answer of `/crypto/mac` has it; the key alone decides.",
        ),
    ] = None
    reference: Reference = None


class DataKeyRequest(Model):
    """A fresh data key, for messages that are sealed elsewhere (docs/format.md, second form)."""

    key_id: KeyId = None
    associated_data: AssociatedData = None
    wrapped_only: Annotated[
        bool, Field(description="Leave the plain data key out, for whoever hands it on.")
    ] = False
    reference: Reference = None


class DataKeyResponse(Model):
    """A data key: plain (32 bytes) and wrapped, the 116 bytes that its messages begin with."""

    wrapped: Base64
    plaintext: Annotated[Base64 | None, Field(description="Absent with `wrapped_only`.")] = None
    algorithm: Literal["AES-256-GCM"] = AES_256_GCM
    key_id: VersionId
    reference: Reference = None
