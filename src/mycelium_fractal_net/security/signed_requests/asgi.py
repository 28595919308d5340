"""What an ASGI server hands to an application, and the view of a request that signatures take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mycelium_fractal_net.security.http_signatures import RequestView

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def view_of(scope: Scope, authority: str, scheme: str | None) -> RequestView:
    """The request of an HTTP scope, made to ``authority``; ``scheme`` where a proxy changes it."""
    return RequestView(
        method=scope["method"],
        scheme=scheme or scope.get("scheme", "http"),
        authority=authority,
        raw_path=scope.get("raw_path") or scope["path"].encode("latin-1", "replace"),
        raw_query=scope.get("query_string", b""),
        headers=list(scope["headers"]),
    )
