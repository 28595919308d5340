"""The routes of keys on their way: imports and exports."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from mycelium_fractal_net.api.schemas.base import (
    Base64,
    Model,
    PageQuery,
    Warnings,
    examples,
    published,
)
from mycelium_fractal_net.api.schemas.keys import Algorithm, NamedType
from mycelium_fractal_net.security.key_providers.imports import MAX_WRAPPED_BYTES
from mycelium_fractal_net.shapes.members import KEY_NAME_PATTERN
from mycelium_fractal_net.shapes.transport import (
    IMPORT_ID_PATTERN,
    CancelledImportAnswer,
    ExportAnswer,
    ImportAnswer,
)

_PUBLIC_KEY_CHARACTERS: Final = 4096  # the PEM of RSA with 8192 bits has 1,463
_MAX_BASE64: Final = -(-MAX_WRAPPED_BYTES // 3) * 4
_PUBLIC_KEY = (
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VuAyEAc6onzP9q0RZjoqJlFVArs70LS41H9UpDY1awjJEVOTs=\n"
    "-----END PUBLIC KEY-----\n"
)
# Of 32 zeros, for the public key above, whose private half is gone.
_WRAPPED = (
    "TUZIAQAgAAEAAr5QYOg5ufEB7loYH9wgVLPGf5oLPHHyNsqbBeq9+5AnAyLyn1sq0dP3FjlTAwd8Wv8dx1ZLEt2+7oYo"
    "jwLzwRypoMbbSltwAzfsPuix4z8E"
)
_IMPORT: dict[str, Any] = {
    "import_id": "5f2a9c0e61d84b7f9d3e0a1b2c3d4e5f",
    "key_id": "orders",
    "existing": False,
    "type": "encryption",
    "use": "data",
    "algorithm": "AES-256-GCM",
    "exportable": False,
    "method": "hpke",
    "public_key": _PUBLIC_KEY,
    "created_at": "2026-11-24T12:27:35Z",
    "expires_at": "2026-11-24T13:27:35Z",
    "state": "waiting",
}
_EXPORT: dict[str, Any] = {
    "key_id": "orders:v1",
    "type": "encryption",
    "algorithm": "AES-256-GCM",
    "method": "hpke",
    "wrapped": _WRAPPED,
}

Method = Annotated[
    Literal["rsa-aes", "hpke", "hpke-p256", "hpke-p384"],
    Field(
        description="`rsa-aes` is CKM_RSA_AES_KEY_WRAP of PKCS #11: RSA-OAEP with SHA-256 over a"
        " fresh AES-256 key, and under that AES key wrap with padding (RFC 5649). `hpke`"
        " (X25519), `hpke-p256` and `hpke-p384` are RFC 9180, as docs/format.md has it."
    ),
]


class BeginImportRequest(Model):
    """What a key that is made elsewhere is to be here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"key_id": "orders"},
                {"key_id": "release", "type": "signing", "algorithm": "ECDSA-P256"},
                {"key_id": "orders", "existing": True, "method": "hpke"},
            ]
        }
    )

    key_id: Annotated[str, Field(pattern=KEY_NAME_PATTERN, examples=["orders"])]
    existing: Annotated[
        bool,
        Field(
            description="Make it the next version of the key of that name, which has its type, its"
            " algorithm and all else: none of that is given then."
        ),
    ] = False
    type: Annotated[
        NamedType | None,
        Field(description="Without one it is an encryption key."),
    ] = None
    algorithm: Annotated[
        Algorithm | None,
        Field(description="One that the type takes; its first where none is named."),
    ] = None
    use: Annotated[
        Literal["data", "request"] | None,
        Field(description="Of a signing key, fixed for ever; `data` by default."),
    ] = None
    publish: bool = False
    exportable: Annotated[
        bool, Field(description="Whether it may be wrapped for others later; fixed for ever.")
    ] = False
    method: Annotated[
        Method | None,
        Field(
            description="The first that this service allows where none is named: `rsa-aes`, unless"
            " its configuration excludes that. FIPS mode has no `hpke`."
        ),
    ] = None


class FinishImportRequest(Model):
    """A key, wrapped for the public key of an import: 32 bytes, or the DER PKCS #8 of a signing
    key."""

    model_config = examples({"wrapped": _WRAPPED})

    wrapped: Annotated[Base64, Field(max_length=_MAX_BASE64)]


class ExportRequest(Model):
    """For whom a key is to be wrapped."""

    model_config = examples({"public_key": _PUBLIC_KEY})

    public_key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=_PUBLIC_KEY_CHARACTERS,
            description="A PEM block `PUBLIC KEY`: RSA of 3072 to 8192 bits, X25519,"
            " P-256 or P-384.",
        ),
    ]
    method: Annotated[
        Method | None, Field(description="That of the public key; any other is refused.")
    ] = None


class ImportQuery(PageQuery):
    """A page of the list."""

    after: Annotated[
        str,
        Field(
            pattern=f"^(?:{IMPORT_ID_PATTERN[1:-1]})?$",
            description="List what sorts after this id.",
        ),
    ] = ""


published(ImportAnswer, _IMPORT)


class ImportList(Model):
    """A page of imports in order of their ids; `next` is the `after` of the next page, if any."""

    model_config = examples({"imports": [_IMPORT], "next": None})

    imports: list[ImportAnswer]
    next: Annotated[str, Field(pattern=IMPORT_ID_PATTERN)] | None
    warnings: Warnings


published(CancelledImportAnswer, {"import_id": _IMPORT["import_id"], "state": "cancelled"})
published(ExportAnswer, _EXPORT)
