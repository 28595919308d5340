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
from mycelium_fractal_net.security.records.index_fields import LEAST_BITS, MOST_BITS
from mycelium_fractal_net.shapes.members import KEY_ID_PATTERN

AES_256_GCM: Final = "AES-256-GCM"
_HELLO: Final = "aGVsbG8="  # "hello"
_ROW: Final = "cm93IDE3"  # "row 17"
_EMAIL: Final = "YWxpY2VAZXhhbXBsZS5jb20="  # "alice@example.com"
_EMAIL_FIELD: Final = "dXNlcnMuZW1haWw="  # "users.email"
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
    Literal["sealed", "raw", "deterministic"],
    Field(
        description="`sealed` is a sealed message, which names its key; `raw` is"
        " `nonce(12) || ciphertext || tag(16)` of plain AES-256-GCM; `deterministic` gives equal"
        " messages for equal data, under a key of that type, which must be named."
    ),
]
FormatToOpen = Annotated[
    Literal["sealed", "raw", "deterministic", "xor"],
    Field(
        description="`sealed` is a sealed or deterministic message, which names its key; `raw` is"
        " `nonce(12) || ciphertext || tag(16)` of plain AES-256-GCM; `xor` is what the XOR cipher"
        " wrote, which is opened while the setting `legacy.read_xor` is on. Then a message that"
        " does not begin with `MFN` is taken for one under `sealed` too."
    ),
]
Cipher = Literal["AES-256-GCM", "AES-256-SIV"]
AllowCompromised = Annotated[
    bool,
    Field(
        description="Open also what a compromised version protected; a scope of its own,"
        " `allow_compromised`."
    ),
]
Signature = Literal["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"]
OfDataKey = Annotated[
    AssociatedData,
    Field(description="The associated data of the data key, for a message of the second form."),
]


class _Request(Model):
    key_id: KeyId = None
    reference: Reference = None


class _DataRequest(_Request):
    data: Base64 = Field(description="The bytes, in base64.", examples=[_HELLO])


class _Answer(Model):
    key_id: VersionId
    reference: Reference = None


class _VerifyRequest(_DataRequest):
    algorithm: Annotated[
        str | None,
        Field(max_length=64, description="As the answer has it; the key alone decides."),
    ] = None


class EncryptRequest(_DataRequest):
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

    associated_data: AssociatedData = None
    format: Format = "sealed"


class EncryptResponse(_Answer):
    """An encrypted message. It may be sent to `/crypto/decrypt` as it is."""

    model_config = examples(
        {"ciphertext": _MESSAGE, "algorithm": AES_256_GCM, "key_id": "orders:v1"}
    )

    ciphertext: Base64
    algorithm: Cipher


class _MessageRequest(_Request):
    ciphertext: Base64 = Field(description="The message in base64.")
    algorithm: Annotated[
        Cipher | None,
        Field(description="As the answer of `/crypto/encrypt` has it; says nothing more."),
    ] = None
    associated_data: AssociatedData = None
    data_key_associated_data: OfDataKey = None
    allow_compromised: AllowCompromised = False


class DecryptRequest(_MessageRequest):
    """A message to open. A sealed one names its key; a `key_id` that is given must agree."""

    model_config = examples({"ciphertext": _MESSAGE})

    format: FormatToOpen = "sealed"


class DecryptResponse(_Answer):
    """The plaintext, and the version that opened the message."""

    model_config = examples({"data": _HELLO, "key_id": "orders:v1"})

    data: Base64
    legacy: Annotated[
        Literal[True] | None,
        Field(description="True where it was a message of the XOR cipher; else absent."),
    ] = None


class RewrapRequest(_MessageRequest):
    """A message to move to the newest version of its key; the plaintext is not shown."""

    model_config = examples({"ciphertext": _MESSAGE})

    format: Format = "sealed"


class SignRequest(_DataRequest):
    """What to sign, with a signing key for data."""

    model_config = examples({"data": _HELLO})


class SignResponse(_Answer):
    """A bare signature, and the version that made it."""

    model_config = examples(
        {"signature": _SIGNATURE, "algorithm": "Ed25519", "key_id": "release:v1"}
    )

    signature: Base64
    algorithm: Signature


class VerifyRequest(_VerifyRequest):
    """A message and its signature. A bare key id accepts any version that may verify."""

    model_config = examples({"data": _HELLO, "signature": _SIGNATURE})

    signature: Base64


class VerifyResponse(Model):
    """Whether the signature, or the MAC, is one of that message under that key."""

    model_config = examples({"valid": True})

    valid: bool
    reference: Reference = None


class MacRequest(_DataRequest):
    """What to make a MAC of, with a key of type `mac`."""

    model_config = examples({"data": _HELLO})


class MacResponse(_Answer):
    """The 32 bytes of HMAC-SHA-256, and the version that made them."""

    model_config = examples({"mac": _TAG, "algorithm": "HMAC-SHA-256", "key_id": "orders-mac:v1"})

    mac: Base64
    algorithm: Literal["HMAC-SHA-256"]


class MacVerifyRequest(_VerifyRequest):
    """A message and its MAC."""

    model_config = examples({"data": _HELLO, "mac": _TAG})

    mac: Base64


class FieldRequest(Model):
    """Which field of a blind index, under a key of type `index`."""

    model_config = examples(
        {"key_id": "customers-index", "context": _EMAIL_FIELD, "normalisation": "caseless"},
        {"key_id": "customers-index", "context": _EMAIL_FIELD, "bits": 16},
    )

    key_id: str = Field(
        json_schema_extra={"pattern": KEY_ID_PATTERN}, description="The key. There is no default."
    )
    context: Base64 = Field(
        description="Which field, in base64 of at least one byte, such as `users.email`. It is part"
        " of every tag, as `bits` and `normalisation` are.",
        examples=[_EMAIL_FIELD],
    )
    bits: Annotated[
        int | None,
        Field(
            ge=LEAST_BITS, le=MOST_BITS, description="Cut tags short, so that values share them."
        ),
    ] = None
    normalisation: Annotated[
        Literal["exact", "nfc", "caseless"],
        Field(
            description="Which texts are the same: none but equal ones, those of one Unicode NFC,"
            " or those that differ in case alone."
        ),
    ] = "exact"
    reference: Reference = None


class IndexRequest(FieldRequest):
    """A value, and which field it is one of, under a key of type `index`."""

    model_config = examples(
        {
            "data": _EMAIL,
            "key_id": "customers-index",
            "context": _EMAIL_FIELD,
            "normalisation": "caseless",
        },
        {"data": _HELLO, "key_id": "customers-index", "context": _EMAIL_FIELD, "bits": 16},
    )

    data: Base64 = Field(description="The value in base64; text as UTF-8.", examples=[_EMAIL])
    search_only: Annotated[
        bool, Field(description="Answer without `tag`, for a key that protects nothing too.")
    ] = False
    allow_compromised: Annotated[
        bool,
        Field(
            description="Search with versions that are compromised too; a scope of its own,"
            " `allow_compromised`."
        ),
    ] = False


class IndexTag(Model):
    """A tag, and the version that made it."""

    tag: Base64
    key_id: VersionId


class IndexResponse(Model):
    """The tag to store, and those to search for: of every version, newest first."""

    model_config = examples(
        {
            "tag": _TAG,
            "key_id": "customers-index:v1",
            "tags": [{"tag": _TAG, "key_id": "customers-index:v1"}],
            "algorithm": "HMAC-SHA-256",
        }
    )

    tag: Annotated[Base64 | None, Field(description="Absent with `search_only`.")] = None
    key_id: Annotated[VersionId | None, Field(description="Absent with `search_only`.")] = None
    tags: list[IndexTag]
    algorithm: Literal["HMAC-SHA-256"]
    reference: Reference = None


class DataKeyRequest(_Request):
    """A fresh data key, for messages that are sealed elsewhere (docs/format.md, second form)."""

    model_config = examples({}, {"associated_data": _ROW, "wrapped_only": True})

    associated_data: AssociatedData = None
    wrapped_only: Annotated[
        bool, Field(description="Leave the plain data key out, for whoever hands it on.")
    ] = False


class DataKeyResponse(_Answer):
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


class EncryptStreamQuery(Model):
    """Under which key."""

    key_id: KeyId = None


class DecryptStreamQuery(Model):
    """A key that the message must be of, and what else opening it needs."""

    key_id: KeyId = None
    data_key_associated_data: AssociatedData = None
    allow_compromised: Annotated[
        bool, Field(description="Open also what a compromised version protected.")
    ] = False
