"""A line for each request that was answered, where ``log.access`` asks for it.

It has the route as it is declared, never the path or the query as they were sent: what somebody
mistypes there may be a secret.
"""

from __future__ import annotations

import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.exchange import exchange_of
from mycelium_fractal_net.api.transport.addresses import Proxies, client_of
from mycelium_fractal_net.bootstrap.logs import ACCESS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mycelium_fractal_net.api.endpoints.context import Context

_LOG: Final = logging.getLogger(ACCESS)
SERVED: Final = "mycelium_fractal_net.served"
"""Where the scope of a request has what its line will say, if it gets one."""


class Served:
    """What is learnt of a request while it is served: whoever serves it puts its context here."""

    def __init__(self) -> None:
        self.context: Context | None = None
        self.status: int | None = None


class AccessLog:
    """Middleware around all else; ``trusted_proxies`` are believed whom they serve."""

    def __init__(self, app: ASGIApp, trusted_proxies: Iterable[str]) -> None:
        self._app = app
        self._proxies = Proxies(trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter()
        served = scope[SERVED] = Served()
        exchange = exchange_of(scope)
        peer = scope["client"][0] if scope["client"] else None

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                served.status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            del scope[SERVED]  # which would be a circle
            status = served.status if exchange is None else exchange.status or served.status
            client = client_of(peer, scope["headers"], self._proxies) if peer else None
            _tell(scope["method"], served.context, status, perf_counter() - began, client)


def _tell(
    method: str, context: Context | None, status: int | None, seconds: float, client: str | None
) -> None:
    said: dict[str, Any] = {
        "method": method,
        "operation": "-" if context is None else context.event,
        "status": status,  # none where the client went away before
        "milliseconds": round(seconds * 1000, 3),
        "client": client,
    }
    request = None
    if context is not None:
        request = context.request_id
        if context.caller_or_none is not None:
            said["credential"] = context.caller_or_none.credential_id
        if context.key is not None and context.caller_or_none is not None:
            said["key"] = context.key
    text = " ".join(f"{name}={value}" for name, value in said.items())
    _LOG.info("%s", text, extra={"request": request, "access": said})
