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
    examples,
)

AES_256_GCM: Final = "AES-256-GCM"
_HELLO: Final = "aGVsbG8="  # "hello"
_ROW: Final = "cm93IDE3"  # "row 17"
# Made for this page, under keys that are gone.
_MESSAGE: Final = (
    "TUZOAQwq9HdXdnyS7e1Fq8j8pV/OKhQJn7xgE0gNjnr5oaAOG8fEAFGmRqlQPTFuKnyTo9bwzkH8x0DnlVvEqGC0z7MI"
    "K+/MctdMNnQXCbGIfAKcjI6K+Z0="
)
_SIGNATURE: Final = (
    "s5AmwmlEkXgzBfJ0h2c1h6+f2D5rDclQ/NW9VkAzm5b0oDkfVcVmAmrr2tuItJUSSexOCRMAMJvjx31LkInaBQ=="
)
_TAG: Final = "TJ2MZmuVdV2hLDhpKKG1QC9ViFn2JwokyU21tgPWsoo="
_WRAPPED: Final = (
    "TUZOAgwq9HdXdnySkteL4IU9H/7+jAwubprV/GV6csO1xkQDvbBTF6mdiA/umlOox3xiohb9/8duR47x3JpiC3JdsKL6"
    "/eCzvlnbZo0BoyZiudAPpL90cb2DnMtBS9pDC2/CtvHxMdMr9aSajm5HVUR+uWE="
)
_DATA_KEY: Final = "GuBPBtPOWEds3ewm+aAHwGN+NMG5mZrcdJ1sgTT3QWE="

Format = Annotated[
    Literal["sealed", "raw"],
    Field(
        description="`sealed` is a sealed message, which names its key; `raw` is"
        " `nonce(12) || ciphertext || tag(16)` of plain AES-256-GCM."
    ),
]
FormatToOpen = Annotated[
    Literal["sealed", "raw", "xor"],
    Field(
        description="`sealed` is a sealed message, which names its key; `raw` is"
        " `nonce(12) || ciphertext || tag(16)` of plain AES-256-GCM; `xor` is what the XOR cipher"
        " wrote, which is opened while the setting `legacy.read_xor` is on. Then a message that"
        " does not begin with `MFN` is taken for one under `sealed` too."
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

    model_config = examples(
        {"data": _HELLO},
        {
            "data": _HELLO,
            "key_id": "default-encryption",
            "associated_data": _ROW,
            "format": "sealed",
            "reference": "row 17",
        },
    )

    data: Base64 = Field(description="The plaintext in base64.", examples=[_HELLO])
    key_id: KeyId = None
    associated_data: AssociatedData = None
    format: Format = "sealed"
    reference: Reference = None


class EncryptResponse(Model):
    """An encrypted message. It may be sent to `/crypto/decrypt` as it is."""

    model_config = examples(
        {"ciphertext": _MESSAGE, "algorithm": AES_256_GCM, "key_id": "orders:v1"}
    )

    ciphertext: Base64
    algorithm: Literal["AES-256-GCM"]
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
    allow_compromised: AllowCompromised = False
    reference: Reference = None


class DecryptRequest(_Opening):
    """A message to open. A sealed one names its key; a `key_id` that is given must agree."""

    model_config = examples({"ciphertext": _MESSAGE})

    format: FormatToOpen = "sealed"


class DecryptResponse(Model):
    """The plaintext, and the version that opened the message."""

    model_config = examples({"data": _HELLO, "key_id": "orders:v1"})

    data: Base64
    key_id: VersionId
    legacy: Annotated[
        Literal[True] | None,
        Field(description="True where it was a message of the XOR cipher; else absent."),
    ] = None
    reference: Reference = None


class RewrapRequest(_Opening):
    """A message to move to the newest version of its key; the plaintext is not shown."""

    model_config = examples({"ciphertext": _MESSAGE})

    format: Format = "sealed"


class SignRequest(Model):
    """What to sign, with a signing key for data."""

    model_config = examples({"data": _HELLO})

    data: Base64 = Field(description="The message in base64.", examples=[_HELLO])
    key_id: KeyId = None
    reference: Reference = None


class SignResponse(Model):
    """A bare signature, and the version that made it."""

    model_config = examples(
        {"signature": _SIGNATURE, "algorithm": "Ed25519", "key_id": "release:v1"}
    )

    signature: Base64
    algorithm: Literal["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"]
    key_id: VersionId
    reference: Reference = None


class VerifyRequest(Model):
    """A message and its signature. A bare key id accepts any version that may verify."""

    model_config = examples({"data": _HELLO, "signature": _SIGNATURE})

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

    model_config = examples({"valid": True})

    valid: bool
    reference: Reference = None


class MacRequest(Model):
    """What to make a MAC of, with a key of type `mac`."""

    model_config = examples({"data": _HELLO})

    data: Base64 = Field(description="The message in base64.", examples=[_HELLO])
    key_id: KeyId = None
    reference: Reference = None


class MacResponse(Model):
    """The 32 bytes of HMAC-SHA-256, and the version that made them."""

    model_config = examples({"mac": _TAG, "algorithm": "HMAC-SHA-256", "key_id": "orders-mac:v1"})

    mac: Base64
    algorithm: Literal["HMAC-SHA-256"]
    key_id: VersionId
    reference: Reference = None


class MacVerifyRequest(Model):
    """A message and its MAC."""

    model_config = examples({"data": _HELLO, "mac": _TAG})

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

    model_config = examples({}, {"associated_data": _ROW, "wrapped_only": True})

    key_id: KeyId = None
    associated_data: AssociatedData = None
    wrapped_only: Annotated[
        bool, Field(description="Leave the plain data key out, for whoever hands it on.")
    ] = False
    reference: Reference = None


class DataKeyResponse(Model):
    """A data key: plain (32 bytes) and wrapped, the 116 bytes that its messages begin with."""

    model_config = examples(
        {
            "wrapped": _WRAPPED,
            "plaintext": _DATA_KEY,
            "algorithm": AES_256_GCM,
            "key_id": "orders:v1",
        }
    )

    wrapped: Base64
    plaintext: Annotated[Base64 | None, Field(description="Absent with `wrapped_only`.")] = None
    algorithm: Literal["AES-256-GCM"]
    key_id: VersionId
    reference: Reference = None
