"""Errors as RFC 9457 problem details, and what can be wrong before any key is touched.

No problem repeats what the request held, and none says whether a key is absent or only out of
the caller's reach: the two look the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.parsing.faults import MalformedError, SchemaError
from mycelium_fractal_net.security import errors
from mycelium_fractal_net.security.errors import Kind, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class RequestError(errors.PicklableError):
    """What is wrong with a request before any key is touched; names a kind of problem."""

    def __init__(self, slug: str, detail: str, allow: str | None = None) -> None:
        super().__init__(detail)
        self.kind = _BY_SLUG[slug]
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

# What the front door answers, before there is a route.
_DOOR_KINDS: Final = (
    Kind(408, "too-slow", "The request did not come in time"),
    Kind(414, "target-too-long", "The target is too long"),
    Kind(431, "headers-too-large", "The headers are too large"),
)
_BY_SLUG: Final = {kind.slug: kind for kind in (*_REQUEST_KINDS, *_DOOR_KINDS)}

KINDS: Final = {
    kind.slug: kind
    for kind in (
        *_REQUEST_KINDS,
        MalformedError.kind,
        *(cls.kind for cls in errors.classes().values()),
    )
}
"""Every kind of problem that a route answers with."""


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
