"""The limit of an address, asked before anything else of a request is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.responses import refuse
from mycelium_fractal_net.api.rate_limits.rates import RateExceededError
from mycelium_fractal_net.api.transport.addresses import Proxies, client_of, grouped
from mycelium_fractal_net.security.blocking import WouldBlockError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from mycelium_fractal_net.api.rate_limits.rates import RateLimit

ADDRESS: Final = "mycelium_fractal_net.address"
"""Under this name the scope has the client's address, where rates are counted."""


class AddressRateLimit:
    """Middleware around all else: refuses an address that asks too often, whatever it asks.

    ``refused`` is told of each refusal; ``in_thread`` runs what has to ask Redis.
    """

    def __init__(
        self,
        app: ASGIApp,
        rate: RateLimit | None,
        trusted_proxies: Iterable[str],
        refused: Callable[[str], None],
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._app = app
        self._rate = rate
        self._proxies = Proxies(trusted_proxies)
        self._refused = refused
        self._in_thread = in_thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an ASGI application."""
        if scope["type"] == "http":
            peer = scope["client"][0] if scope["client"] else ""
            address = grouped(client_of(peer, scope["headers"], self._proxies))
            scope[ADDRESS] = address
            if self._rate is not None:
                try:
                    await take(self._rate, address, self._in_thread)
                except RateExceededError as error:
                    self._refused(error.kind.slug)
                    await refuse(error, scope, send)
                    return
        await self._app(scope, receive, send)


async def take(rate: RateLimit, who: str, in_thread: Callable[..., Awaitable[Any]]) -> None:
    """Count one request of ``who``. Raises :class:`RateExceededError`."""
    try:
        rate.take(who)
    except WouldBlockError:
        await in_thread(rate.take, who)
