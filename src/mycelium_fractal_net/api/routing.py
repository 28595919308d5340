"""Which route runs: found once, before everything that depends on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from starlette.routing import Match

from mycelium_fractal_net.api.endpoints.route import ServiceRoute
from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.http.requests import with_bearer_as_api_key
from mycelium_fractal_net.api.http.responses import refuse
from mycelium_fractal_net.api.signing import ROUTE, RequestSigning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mycelium_fractal_net.api.service.service import Service

# An encoded unreserved character (RFC 3986 section 2.3) or slash, a dot segment, an empty segment:
# each is a second spelling of some other path, for us or for what stands in front of us.
_NOT_PLAIN: Final = re.compile(
    rb"%(?:2[DdEeFf]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])|//|/\.\.?(?:/|\Z)"
)


class RouteTable:
    """The routes of the service. Those whose path has no parameter are found in one look."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [route for route in routes if isinstance(route, ServiceRoute)]
        self._with_parameters = [route for route in self._routes if "{" in route.path]
        self._exact = {
            (route.spec.method, route.path.encode()): route
            for route in self._routes
            if route not in self._with_parameters
        }

    def find(self, scope: Scope) -> ServiceRoute | None:
        """The route that takes a request, with what its path says in ``path_params``.

        A path is taken as it was sent: one that only decodes to a path of ours has no route.
        """
        raw_path = scope["raw_path"]
        found = self._exact.get((scope["method"], raw_path))
        if found is not None:
            scope["path_params"] = {}
            return found
        if _NOT_PLAIN.search(raw_path):
            return None
        # Below a mount, or behind middleware that changed the path, the router's word counts.
        as_sent = not scope.get("root_path") and scope["path"].encode() == raw_path
        for route in self._with_parameters if as_sent else self._routes:
            match, child = route.matches(scope)
            if match is Match.FULL:
                scope.update(child)
                return route
        return None


class Routing:
    """Finds the route of a request and runs it, once its signature was verified if it must be.

    ``rest`` has the paths that are none of the service's own.
    """

    def __init__(self, table: RouteTable, rest: ASGIApp, service: Service) -> None:
        self._find = table.find
        self._rest = rest
        self._service = service
        self._signing = RequestSigning(self._run, service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an ASGI application."""
        kind = scope["type"]
        route = None
        if kind == "http":
            route = scope[ROUTE] = self._find(scope)
            if route is not None and route.spec.takes_bearer:
                scope["headers"] = with_bearer_as_api_key(scope["headers"])
        elif kind == "lifespan":
            await self._rest(scope, receive, send)
            return
        if not self._signing.passes(route):
            await self._signing.guarded(scope, receive, send)
        elif route is not None:
            await route.run(scope, receive, send)
        else:
            await self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is behind the signature."""
        route: ServiceRoute | None = scope.get(ROUTE)
        if route is not None:
            await route.run(scope, receive, send)
        elif scope["type"] == "http" and _NOT_PLAIN.search(scope["raw_path"]):
            error = RequestError("bad-request", "the path is not in its plain form")
            self._service.count_refusal(error.kind.slug)
            await refuse(error, scope, send)
        else:
            await self._rest(scope, receive, send)
