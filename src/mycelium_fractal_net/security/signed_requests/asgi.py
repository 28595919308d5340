"""What an ASGI server hands to an application: the view of a request that signatures take, and its
body, read whole and handed on as if nobody had read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, NamedTuple

from mycelium_fractal_net.security.http_signatures.messages import RequestView

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

EXCHANGE: Final = "mycelium_fractal_net.exchange"
"""The extension under which the scope has what our own server offers beside ASGI."""


def view_of(scope: Scope, authority: str, scheme: str | None) -> RequestView:
    """The request of an HTTP scope, made to ``authority``; ``scheme`` where a proxy changes it."""
    return RequestView(
        method=scope["method"],
        scheme=scheme or scope.get("scheme", "http"),
        authority=authority,
        raw_path=scope.get("raw_path") or scope["path"].encode("latin-1", "replace"),
        raw_query=scope.get("query_string", b""),
        headers=scope["headers"],
    )


class BodyTooLargeError(Exception):
    """The body is longer than may be held in memory."""


class Body(NamedTuple):
    """A body, and what hands it on: an ASGI ``receive``."""

    content: bytes
    receive: Receive


async def read_body(scope: Scope, receive: Receive, most: int) -> Body | None:
    """The whole body; None where the client went away before all of it came.

    Raises :class:`BodyTooLargeError` as soon as it is longer than ``most`` bytes.
    """
    exchange = (scope.get("extensions") or {}).get(EXCHANGE)
    whole: bytes | None = None if exchange is None else exchange.whole_body()
    if whole is not None and len(whole) <= most:
        return Body(whole, receive)  # it is still there for whoever asks next
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > most:
            raise BodyTooLargeError
        parts.append(part)
    content = b"".join(parts)
    if exchange is not None:
        exchange.keep_body(content)
    return Body(content, _replaying(content, receive))


def _replaying(content: bytes, receive: Receive) -> Receive:
    handed_on = False

    async def replay() -> Message:
        nonlocal handed_on
        if handed_on:
            return await receive()
        handed_on = True
        return {"type": "http.request", "body": content, "more_body": False}

    return replay
