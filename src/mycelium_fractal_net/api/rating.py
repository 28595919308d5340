"""Where rates are asked: of an address before everything, of a credential once it is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.api.answers import answer_problem
from mycelium_fractal_net.api.call import new_request_id
from mycelium_fractal_net.api.front_door.addresses import Proxies, client_of, grouped
from mycelium_fractal_net.api.front_door.rates import RateExceededError
from mycelium_fractal_net.api.protocol import exchange_of
from mycelium_fractal_net.security.blocking import WouldBlockError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mycelium_fractal_net.api.call import Call
    from mycelium_fractal_net.api.front_door.rates import Rate, Rates
    from mycelium_fractal_net.api.service import Service

__all__ = ["ADDRESS", "AddressRates", "take_request"]

ADDRESS: Final = "mycelium_fractal_net.address"
"""Under this name the scope has the client's address, where rates are counted."""


class AddressRates:
    """Middleware around all else: refuses an address that asks too often, whatever it asks."""

    def __init__(self, app: ASGIApp, service: Service, rates: Rates) -> None:
        self._app = app
        self._service = service
        self._rate = rates.requests_per_address
        self._proxies = Proxies(service.settings.server.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an ASGI application."""
        if scope["type"] == "http":
            peer = scope["client"][0] if scope["client"] else ""
            address = grouped(client_of(peer, scope["headers"], self._proxies))
            scope[ADDRESS] = address
            if self._rate is not None:
                try:
                    await _take(self._service, self._rate, address)
                except RateExceededError as error:
                    self._service.count_refusal(error.kind.slug)
                    await answer_problem(error, exchange_of(scope), send, new_request_id())
                    return
        await self._app(scope, receive, send)


async def take_request(service: Service, call: Call, scope: Scope) -> None:
    """Count a request of a credential. Raises :class:`RateExceededError`."""
    rates, caller = service.rates, call.caller_or_none
    if rates is None or caller is None:
        return
    call.address = scope.get(ADDRESS, "")
    if rates.requests_per_credential is not None:
        await _take(service, rates.requests_per_credential, caller.credential_id)


async def _take(service: Service, rate: Rate, who: str) -> None:
    try:
        rate.take(who)
    except WouldBlockError:
        await service.beside_the_loop(rate.take, who)
