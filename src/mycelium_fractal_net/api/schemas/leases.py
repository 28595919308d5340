"""The route that a lease reports to: what was done with data keys on another machine."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, Reference, examples
from mycelium_fractal_net.shapes.members import VERSION_ID_PATTERN

_USE: Final[dict[str, Any]] = {
    "key_id": "orders:v1",
    "encrypted": 70000,
    "decrypted": 30000,
    "bytes": 6400000,
}


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
