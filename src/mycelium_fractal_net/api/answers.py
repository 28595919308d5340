"""Answers that are all there: results and problems, with the headers that all of them have."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Final

import msgspec

from mycelium_fractal_net.api.problems import RequestError, body_of
from mycelium_fractal_net.security.errors import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Send

    from mycelium_fractal_net.api.protocol import Exchange

__all__ = ["COMMON_HEADERS", "answer_problem", "answer_whole", "log_unexpected", "to_json"]

_LOG: Final = logging.getLogger(__name__)

COMMON_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_COMMON_BLOCK: Final = b"".join(b"%b: %b\r\n" % header for header in COMMON_HEADERS)
_PROBLEM: Final = b"application/problem+json"

to_json: Final = msgspec.json.Encoder().encode


def log_unexpected(error: Exception, request_id: str) -> None:
    """The place of an error and its kind; never its text, which could quote a request."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("request %s failed: %s\n%s", request_id, type(error).__name__, frames)


async def answer_problem(
    error: Exception, exchange: Exchange | None, send: Send, request_id: str
) -> None:
    """Send the problem details of ``error``."""
    kind = kind_of(error)
    more: list[tuple[bytes, bytes]] = []
    if kind.status == 401:
        more.append((b"www-authenticate", b'ApiKey realm="mycelium-fractal-net"'))
    retry_after = getattr(error, "retry_after", None) or kind.retry_after
    if retry_after is not None:
        more.append((b"retry-after", b"%d" % retry_after))
    if isinstance(error, RequestError) and error.allow is not None:
        more.append((b"allow", error.allow.encode()))
    payload = to_json(body_of(error, request_id))
    await answer_whole(exchange, send, kind.status, _PROBLEM, request_id, payload, more)


async def answer_whole(
    exchange: Exchange | None,
    send: Send,
    status: int,
    media_type: bytes,
    request_id: str,
    payload: bytes,
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send an answer that is all there, in one write where the server can."""
    if exchange is not None:
        block = b"%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % (
            _COMMON_BLOCK,
            media_type,
            len(payload),
            request_id.encode(),
        )
        for header in more:
            block += b"%b: %b\r\n" % header
        if exchange.respond(status, block, payload):
            return
    headers = [
        *COMMON_HEADERS,
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(payload)),
        (b"x-request-id", request_id.encode()),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": payload})
