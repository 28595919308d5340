"""What all models share: strictness, the texts that bytes travel in, problem details."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.shapes.members import KEY_ID_PATTERN, TIME_PATTERN

# RFC 4648 section 4, padded, and with the unused bits of the last character zero (section 3.5):
# one text for each value. It is in the document only; the decoder checks more cheaply.
BASE64_PATTERN: Final = (
    "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?$"
)
_BASE64: Final[dict[str, Any]] = {"pattern": BASE64_PATTERN, "contentEncoding": "base64"}
_NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f]*$"  # it is shown on terminals and in logs


def examples(*shown: dict[str, Any]) -> ConfigDict:
    """The configuration of a model that is described with these examples."""
    return ConfigDict(json_schema_extra={"examples": list(shown)})


SHAPES: Final[dict[str, list[dict[str, Any]]]] = {}
"""Of each shape that the document shows, by its name: its examples."""


def published(shape: type, *shown: dict[str, Any]) -> None:
    """Have the document show a shape with these examples, and that it has no other members."""
    SHAPES[shape.__name__] = list(shown)
    shape.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]


class Model(BaseModel):
    """Every model refuses members that it does not know, and converts nothing."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PageQuery(Model):
    """Which records of a list; each kind adds ``after``, an id."""

    after: str = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


Base64 = Annotated[str, Field(json_schema_extra=_BASE64)]
AssociatedData = Annotated[
    str | None,
    Field(
        description="Bytes in base64 that are authenticated and not stored; opening needs them"
        " again. At most what is left of the body.",
        json_schema_extra=_BASE64,
    ),
]
KeyId = Annotated[
    str | None,
    Field(
        # In the document only: the handler looks, since one bad item must not fail its batch.
        json_schema_extra={"pattern": KEY_ID_PATTERN},
        description="A key id such as `orders`, or a version id such as `orders:v3`. Without one"
        " the default key of the type serves.",
    ),
]
VersionId = Annotated[
    str, Field(pattern=KEY_ID_PATTERN, description="The version id, such as `orders:v3`.")
]
Reference = Annotated[
    str | None,
    Field(
        max_length=200,
        pattern=_NO_CONTROLS,
        description="A text of the caller's own, which the answer echoes and the audit record"
        " keeps; no control characters.",
    ),
]
Reason = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
        description="Why, for the audit log; no control characters.",
    ),
]
Timestamp = Annotated[
    str,
    Field(
        description="RFC 3339, in UTC.",
        pattern=TIME_PATTERN,
    ),
]


class Fault(Model):
    """One thing that is wrong with a request, and where."""

    pointer: str = Field(description="RFC 6901, into the body; a query parameter as `?name`.")
    detail: str


class Problem(BaseModel):
    """RFC 9457 problem details. No answer repeats what the request held."""

    type: str = Field(
        description="A URI reference that names the kind of problem.",
        pattern="^/problems/[a-z-]+$",
        examples=["/problems/not-found"],
    )
    title: str
    status: int = Field(ge=400, le=599, description="The status of the answer, or of an item.")
    detail: str
    request_id: str | None = Field(
        default=None,
        description="Of the request; its audit record and the log have it too. Absent in batches.",
    )
    error: str | None = Field(
        default=None,
        description="`Invalid signature`, where a request is not signed as it must be.",
    )
    errors: Annotated[
        list[Fault] | None, Field(description="Of `/problems/invalid`: what is wrong, and where.")
    ] = None


Warnings = Annotated[
    list[str],
    Field(
        default_factory=list,
        description="Of records that fail their authentication, which are not listed: each by its"
        " name. Absent where there are none.",
    ),
]


class BatchError(Model):
    """Why one item of a batch has no result; the others are not touched by it."""

    model_config = examples(
        {
            "error": {
                "type": "/problems/decryption-failed",
                "title": "The message does not open",
                "status": 400,
                "detail": DecryptionError.TEXT,
            },
            "reference": "row 18",
        }
    )

    error: Problem
    reference: Reference = None
