"""Keys on their way, as they are shown: an import under way, and a key that was exported."""

from __future__ import annotations

import base64
from itertools import chain
from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from mycelium_fractal_net.security.records.imports import IMPORT_ID, WRAP_METHODS, ImportState
from mycelium_fractal_net.security.records.keys import ALGORITHMS, KeyUse
from mycelium_fractal_net.shapes.json_values import shape
from mycelium_fractal_net.shapes.members import KeyName, Schema, Time, VersionId

if TYPE_CHECKING:
    from datetime import datetime

    from mycelium_fractal_net.security.key_providers.exporting import ExportedKey
    from mycelium_fractal_net.security.records.imports import PendingImport

IMPORT_ID_PATTERN = f"^{IMPORT_ID.pattern}$"
_Type = Annotated[str, Schema(enum=[kind.value for kind in ALGORITHMS])]
_Algorithm = Annotated[str, Schema(enum=[*chain.from_iterable(ALGORITHMS.values())])]
_Method = Annotated[
    str,
    Schema(
        enum=[*WRAP_METHODS],
        description="`rsa-aes` is CKM_RSA_AES_KEY_WRAP with SHA-256; RFC 9180 is `hpke` (X25519),"
        " `hpke-p256` and `hpke-p384`.",
    ),
]


class ImportAnswer(TypedDict):
    """An import under way: what the key is to be, and the one-time public key to wrap it for."""

    import_id: Annotated[str, Schema(pattern=IMPORT_ID_PATTERN)]
    key_id: KeyName
    existing: Annotated[bool, Schema(description="Whether it is the next version of that key.")]
    type: _Type
    use: Annotated[str, Schema(enum=[use.value for use in KeyUse])]
    algorithm: _Algorithm
    exportable: bool
    method: _Method
    public_key: Annotated[str, Schema(description="PEM, `PUBLIC KEY`.")]
    created_at: Time
    expires_at: Time
    state: Annotated[
        str,
        Schema(
            enum=[*ImportState],
            description="`waiting` for its key, or `expired`, and deleted at the next look of a"
            " scheduler.",
        ),
    ]


class CancelledImportAnswer(TypedDict):
    """An import that was ended."""

    import_id: Annotated[str, Schema(pattern=IMPORT_ID_PATTERN)]
    state: Annotated[str, Schema(enum=["cancelled"])]


class ExportAnswer(TypedDict):
    """One version of a key, wrapped for a public key."""

    key_id: VersionId
    type: _Type
    algorithm: _Algorithm
    method: _Method
    wrapped: Annotated[
        str,
        Schema(
            contentEncoding="base64",
            description="What was wrapped is 32 bytes, or of a signing key its DER PKCS #8.",
        ),
    ]


def import_shape(pending: PendingImport, now: datetime) -> ImportAnswer:
    """The shape of an import under way, at that time by the store's clock."""
    return shape(
        ImportAnswer,
        pending,
        type=pending.key_type,
        public_key=pending.pem(),
        state=pending.state(now),
    )


def cancelled_shape(import_id: str) -> CancelledImportAnswer:
    """The shape of an import that was ended."""
    return {"import_id": import_id, "state": "cancelled"}


def export_shape(exported: ExportedKey) -> ExportAnswer:
    """The shape of a key that was exported."""
    wrapped = base64.b64encode(exported.wrapped).decode("ascii")
    return shape(ExportAnswer, exported, type=exported.key_type, wrapped=wrapped)
