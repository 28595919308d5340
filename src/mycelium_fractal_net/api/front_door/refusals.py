"""How a connection is refused: one problem (RFC 9457) in one write, after which it is closed."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from mycelium_fractal_net.api.answers import COMMON_HEADERS, to_json
from mycelium_fractal_net.api.problems import RequestError, body_of
from mycelium_fractal_net.security.errors import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["RefusedError", "answer_to"]

_COMMON = b"".join(b"%b: %b\r\n" % header for header in COMMON_HEADERS)


class RefusedError(RequestError):
    """A request that the front door refuses: its connection is answered and closed."""


def answer_to(
    error: RequestError, request_id: str, more: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """A whole answer, which says that the connection is closed. ``more`` are further headers."""
    kind = kind_of(error)
    body = to_json(body_of(error, request_id))
    retry = b"" if kind.retry_after is None else b"retry-after: %d\r\n" % kind.retry_after
    return (
        b"HTTP/1.1 %d %b\r\n%b%b%bcontent-type: application/problem+json\r\n"
        b"content-length: %d\r\nx-request-id: %b\r\nconnection: close\r\n\r\n%b"
    ) % (
        kind.status,
        HTTPStatus(kind.status).phrase.encode(),
        b"".join(b"%b: %b\r\n" % header for header in more),
        _COMMON,
        retry,
        len(body),
        request_id.encode(),
        body,
    )
