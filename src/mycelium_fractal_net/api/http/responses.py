"""Responses that are all there: results and problems, with the headers that all of them have."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Final

import msgspec

from mycelium_fractal_net.api.http.exchange import STATUS_LINES, exchange_of
from mycelium_fractal_net.api.http.problems import RequestError, body_of
from mycelium_fractal_net.api.http.request_ids import new_request_id
from mycelium_fractal_net.security.errors import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Scope, Send

    from mycelium_fractal_net.api.http.exchange import Exchange

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
    failed = f"{type(error).__name__}\n{frames}"
    _LOG.error("a request failed: %s", failed, extra={"request": request_id})


async def refuse(error: Exception, scope: Scope, send: Send) -> None:
    """Send the problem details of ``error`` to a request that came to no route."""
    await send_problem(error, exchange_of(scope), send, new_request_id())


async def send_problem(
    error: Exception, exchange: Exchange | None, send: Send, request_id: str
) -> None:
    """Send the problem details of ``error``."""
    status, payload, more = _problem(error, request_id)
    await send_whole(exchange, send, status, _PROBLEM, request_id, payload, more)


async def send_whole(
    exchange: Exchange | None,
    send: Send,
    status: int,
    media_type: bytes,
    request_id: str,
    payload: bytes,
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send a response that is all there, in one write where the server can."""
    if exchange is not None:
        block = _lines(media_type, request_id, payload, more)
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


def closing_problem(
    error: RequestError, server_headers: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """All bytes of a response that refuses a request and says that the connection is closed."""
    request_id = new_request_id()
    status, payload, more = _problem(error, request_id)
    lines = b"".join(b"%b: %b\r\n" % header for header in server_headers)
    lines += _lines(_PROBLEM, request_id, payload, more)
    return b"%b%bconnection: close\r\n\r\n%b" % (STATUS_LINES[status], lines, payload)


def _lines(
    media_type: bytes, request_id: str, payload: bytes, more: Iterable[tuple[bytes, bytes]]
) -> bytes:
    block = b"%bcontent-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n" % (
        _COMMON_BLOCK,
        media_type,
        len(payload),
        request_id.encode(),
    )
    for header in more:
        block += b"%b: %b\r\n" % header
    return block


def _problem(error: Exception, request_id: str) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Status, body and further headers of a problem."""
    kind = kind_of(error)
    more: list[tuple[bytes, bytes]] = []
    if kind.status == 401:
        more.append((b"www-authenticate", b'ApiKey realm="mycelium-fractal-net"'))
    retry_after = getattr(error, "retry_after", None) or kind.retry_after
    if retry_after is not None:
        more.append((b"retry-after", b"%d" % retry_after))
    if isinstance(error, RequestError) and error.allow is not None:
        more.append((b"allow", error.allow.encode()))
    return kind.status, to_json(body_of(error, request_id)), more
