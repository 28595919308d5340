"""What leases are granted and what they report: keys of fields, and what was done elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import (
    AssociatedData,
    Base64,
    Model,
    Reference,
    VersionId,
    examples,
)
from mycelium_fractal_net.shapes.members import KEY_ID_PATTERN, VERSION_ID_PATTERN

_USE: Final[dict[str, Any]] = {
    "key_id": "orders:v1",
    "encrypted": 70000,
    "decrypted": 30000,
    "bytes": 6400000,
}


# Made for this page.
_FIELD_KEY: Final = "NmAxWprz3yVdjxmrB35Hl4IrQUiKDioEvGr3EhPCMnQ="
_SIV_KEY: Final = (
    "ovCNnFs/tg2m3n9pl5ApcFxRrnUSs+JqJQL8PCPYrtvm3CYHbb1voOhEZuQvHJ0Lupzcp0UItleYeiOI7uAJsg=="
)
_Stored = Annotated[
    VersionId | None,
    Field(description="The version whose key makes what is stored; absent where none does."),
]
_Seconds = Annotated[
    float,
    Field(
        ge=0,
        le=5,
        description="How long they may be used, counted from before they were asked for: as long"
        " as this service would go on with what it knows of the key.",
    ),
]

_Count = Annotated[int, Field(ge=0, le=2**53)]  # what JSON carries exactly (RFC 8259 section 6)


class DataKeyUse(Model):
    """What was done on another machine with data keys of one version."""

    model_config = examples(_USE)

    key_id: Annotated[
        str,
        Field(
            pattern=VERSION_ID_PATTERN,
            description="The version id that wrapped them, such as `orders:v3`.",
        ),
    ]
    encrypted: Annotated[_Count, Field(description="Messages that were sealed.")] = 0
    decrypted: Annotated[_Count, Field(description="Messages that were opened.")] = 0
    failed: Annotated[_Count, Field(description="Messages that did not open.")] = 0
    bytes: Annotated[_Count, Field(description="Of plaintext, sealed and opened.")] = 0


class DataKeyReport(Model):
    """What was done with data keys, for the audit record; the word of who reports it."""

    model_config = examples({"uses": [_USE], "reference": "lease 5f0c"})

    uses: Annotated[list[DataKeyUse], Field(min_length=1, max_length=1000)]
    reference: Reference = None


class DataKeyReportAnswer(Model):
    """That the report is in the audit log, durably."""

    model_config = examples({"operations": 100000, "reference": "lease 5f0c"})

    operations: Annotated[int, Field(ge=0, description="How many it counts in all.")]
    reference: Reference = None


class DeterministicFieldRequest(Model):
    """Which field: all that is sealed with this associated data, under a key of that type."""

    model_config = examples({"key_id": "countries", "associated_data": "dXNlcnMuY291bnRyeQ=="})

    key_id: str = Field(
        json_schema_extra={"pattern": KEY_ID_PATTERN}, description="The key. There is no default."
    )
    associated_data: AssociatedData = None
    reference: Reference = None


class IndexFieldKey(Model):
    """The key of one field of an index under one version, 32 bytes."""

    key: Base64
    key_id: VersionId


class DeterministicFieldKey(Model):
    """The key of one associated data under one version, 64 bytes."""

    key: Base64
    key_id: VersionId
    header: Base64 = Field(description="The 12 bytes that its messages begin with.")
    opens: bool = Field(description="Whether the state of the version lets messages be opened.")


class IndexFieldKeys(Model):
    """The keys of one field, of every version that is searched, newest first."""

    model_config = examples(
        {
            "key_id": "customers-index:v1",
            "keys": [{"key": _FIELD_KEY, "key_id": "customers-index:v1"}],
            "seconds": 4.2,
            "algorithm": "HMAC-SHA-256",
        }
    )

    key_id: _Stored = None
    keys: list[IndexFieldKey]
    seconds: _Seconds
    algorithm: Literal["HMAC-SHA-256"]
    reference: Reference = None


class DeterministicFieldKeys(Model):
    """The keys of one associated data, of every version, newest first."""

    model_config = examples(
        {
            "key_id": "countries:v1",
            "keys": [
                {
                    "key": _SIV_KEY,
                    "key_id": "countries:v1",
                    "header": "TUZOAwq9HdXdnyS7",
                    "opens": True,
                }
            ],
            "seconds": 4.2,
            "algorithm": "AES-256-SIV",
        }
    )

    key_id: _Stored = None
    keys: list[DeterministicFieldKey]
    seconds: _Seconds
    algorithm: Literal["AES-256-SIV"]
    reference: Reference = None
