"""Errors as RFC 9457 problem details: the one table from error to status.

No problem repeats what the request held, and none says whether a key is absent or only out of
the caller's reach: the two look the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError
from mycelium_fractal_net.security import errors

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(NamedTuple):
    """A kind of problem: its status, its name in the URI reference and in audit, its title."""

    status: int
    slug: str
    title: str
    detail: str | None = None  # in place of the error's own text
    retry_after: int | None = None  # seconds


class RequestError(Exception):
    """What is wrong with a request before any key is touched; names a kind of problem."""

    def __init__(self, slug: str, detail: str, allow: str | None = None) -> None:
        super().__init__(detail)
        self.slug = slug
        self.allow = allow  # the methods of the path, for 405
        self.retry_after: int | None = None  # seconds, where they are not those of the kind


_REQUEST_KINDS: Final = (
    Kind(400, "bad-request", "The request cannot be read"),
    Kind(404, "not-found", "There is no such resource"),
    Kind(405, "method-not-allowed", "The resource has no such method"),
    Kind(413, "too-large", "The body is too large"),
    Kind(415, "unsupported-media-type", "The body is of another media type"),
    Kind(429, "too-many-requests", "There were too many in too short a time", retry_after=60),
    Kind(503, "disabled", "Cryptography is switched off"),
    Kind(503, "overloaded", "There is no room", retry_after=1),
    Kind(505, "http-version", "This route needs HTTP/1.1"),
)

# The first class that an error is an instance of decides, so the narrower stand first.
_TABLE: Final[tuple[tuple[type[Exception], Kind], ...]] = (
    (MalformedError, Kind(400, "malformed", "The body or the query string is malformed")),
    (SchemaError, Kind(422, "invalid", "The request does not fit its description")),
    (errors.AuthenticationError, Kind(401, "unauthenticated", "The API key is not accepted")),
    (errors.NotPermittedError, Kind(403, "forbidden", "The credential lacks the scope")),
    (
        errors.KeyNotFoundError,
        Kind(
            404,
            "not-found",
            "There is no such resource",
            "it is not there, or this credential may not use it",
        ),
    ),
    (errors.DecryptionError, Kind(400, "decryption-failed", "The message does not open")),
    (
        errors.RequestSignatureError,
        Kind(
            401,
            "request-signature",
            "The request is not signed as it must be",
            "the body is not the one that was signed",
        ),
    ),
    (errors.InvalidSignatureError, Kind(400, "invalid-signature", "It does not verify")),
    (errors.KeyExistsError, Kind(409, "exists", "The name is taken")),
    (errors.KeyStateError, Kind(409, "key-state", "The state of the key forbids it")),
    (errors.KeyUsageError, Kind(400, "key-usage", "The key does not serve this")),
    (errors.KeyNotExportableError, Kind(400, "not-exportable", "The key never leaves")),
    (errors.UsageLimitError, Kind(409, "usage-limit", "The key has protected all it may")),
    (errors.AlgorithmNotAllowedError, Kind(422, "algorithm", "The policy forbids the algorithm")),
    (errors.InvalidInputError, Kind(422, "invalid", "The request does not fit its description")),
    (errors.ConflictError, Kind(409, "conflict", "Somebody else was first", retry_after=1)),
    (
        errors.AuditUnavailableError,
        Kind(
            503,
            "audit-unavailable",
            "The operation cannot be recorded",
            "the audit record cannot be written, so there is no result",
            1,
        ),
    ),
    (
        errors.StoreIntegrityError,
        Kind(
            500,
            "store-integrity",
            "The key store fails its authentication",
            "a record of the key store was refused; the operator must look into it",
        ),
    ),
    (
        errors.StoreError,
        Kind(503, "store-unavailable", "The key store does not answer", "try again", 1),
    ),
    (
        errors.MasterKeyError,
        Kind(503, "master-key", "The master key does not serve", "the operator must see to it", 5),
    ),
)
_UNEXPECTED: Final = Kind(
    500, "unexpected", "Something went wrong", "the log says more, under the request id"
)
# What the front door answers, before there is a route.
_DOOR_KINDS: Final = (
    Kind(408, "too-slow", "The request did not come in time"),
    Kind(414, "target-too-long", "The target is too long"),
    Kind(431, "headers-too-large", "The headers are too large"),
)
_BY_SLUG: Final = {kind.slug: kind for kind in (*_REQUEST_KINDS, *_DOOR_KINDS)}

KINDS: Final = {
    kind.slug: kind for kind in (*_REQUEST_KINDS, *(kind for _, kind in _TABLE), _UNEXPECTED)
}
"""Every kind of problem that a route answers with."""


def kind_of(error: Exception) -> Kind:
    """The kind of problem that ``error`` is."""
    if isinstance(error, RequestError):
        return _BY_SLUG[error.slug]
    for cls, kind in _TABLE:
        if isinstance(error, cls):
            return kind
    return _UNEXPECTED


def body_of(error: Exception, request_id: str | None = None) -> dict[str, Any]:
    """The problem details of ``error``."""
    kind = kind_of(error)
    body: dict[str, Any] = {
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail or str(error),
    }
    if request_id is not None:
        body["request_id"] = request_id
    if isinstance(error, errors.RequestSignatureError):
        body["error"] = "Invalid signature"  # the plan's member
    if isinstance(error, SchemaError):
        body["errors"] = _faults(error.faults)
    return body


def _faults(faults: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"pointer": pointer, "detail": detail} for pointer, detail in faults]
