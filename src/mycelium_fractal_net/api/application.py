"""The application: FastAPI's description and routing, with the exact table before it."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import Match

from mycelium_fractal_net import __version__
from mycelium_fractal_net.api import openapi
from mycelium_fractal_net.api.answers import answer_problem, log_unexpected
from mycelium_fractal_net.api.call import new_request_id
from mycelium_fractal_net.api.operation import Operation
from mycelium_fractal_net.api.problems import RequestError
from mycelium_fractal_net.api.protocol import exchange_of
from mycelium_fractal_net.api.rating import AddressRates
from mycelium_fractal_net.api.routes import SPECS
from mycelium_fractal_net.api.service import Service
from mycelium_fractal_net.api.signing import RequestSigning
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ConfigurationError, MfnError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mycelium_fractal_net.bootstrap import Passphrase
    from mycelium_fractal_net.config import Settings

__all__ = ["Application", "create_app"]

_LOG: Final = logging.getLogger(__name__)
ABSENT_GUARDS: Final = (
    "a time limit for slow clients",
    "a bound on connections",
    "a bound on headers",
    "TLS",
)
"""What the application cannot see to by itself, under whatever server it runs."""


class Application(FastAPI):
    """The service as an ASGI application. ``add_middleware`` wraps every route of it."""

    def __init__(self, service: Service, *, behind_front_door: bool) -> None:
        documented = not service.settings.server.production
        super().__init__(
            title="MyceliumFractalNet Security",
            summary="Keys, encryption and signatures over one keyring.",
            version=__version__,
            lifespan=_lifespan,
            docs_url="/docs" if documented else None,
            redoc_url=None,
            openapi_url="/openapi.json" if documented else None,
            redirect_slashes=False,  # it would lead to whatever Host the request names
        )
        self.service = service
        self.behind_front_door = behind_front_door
        for spec in SPECS:
            kind = spec.operation or Operation
            self.router.routes.append(kind(spec, service, **openapi.described(spec)))
        self.add_exception_handler(HTTPException, _no_route)  # type: ignore[arg-type]
        self.table = {
            (route.spec.method, route.path.encode()): route
            for route in self.router.routes
            if isinstance(route, Operation) and "{" not in route.path
        }

        self.add_middleware(RequestSigning, application=self)

    def route_of(self, scope: Scope) -> Operation | None:
        """The route that runs for a request; None where none does."""
        found = self.table.get((scope["method"], scope["raw_path"]))
        if found is not None or _NOT_PLAIN.search(scope["raw_path"]):
            return found
        for route in self.router.routes:
            if isinstance(route, Operation) and route.matches(scope)[0] is Match.FULL:
                return route
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; FastAPI's own way here looks at the environment for each request."""
        stack = self.middleware_stack
        if stack is None:
            stack = self.middleware_stack = self.build_middleware_stack()
        scope["app"] = self
        await stack(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, complete with every error."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.document(self)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """Middleware that was added, around the exact table, around FastAPI's own."""
        added, self.user_middleware = self.user_middleware, []
        rest = super().build_middleware_stack()
        app: ASGIApp = _Dispatch(self.table, rest, self.service.count_refusal)
        self.user_middleware = added
        for each in reversed(added):
            app = each.cls(app, *each.args, **each.kwargs)
        rates = self.service.rates
        return app if rates is None else AddressRates(app, self.service, rates)


# An encoded unreserved character (RFC 3986 section 2.3) or slash, a dot segment, an empty segment:
# each is a second spelling of some other path, for us or for what stands in front of us.
_NOT_PLAIN: Final = re.compile(
    rb"%(?:2[DdEeFf]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])|//|/\.\.?(?:/|\Z)"
)


class _Dispatch:
    """Routes whose path has no parameter are found in one look; all others by FastAPI.

    A path is taken as it was sent: one that only decodes to a path of the table is refused.
    """

    def __init__(
        self,
        table: dict[tuple[str, bytes], Operation],
        rest: ASGIApp,
        count_refusal: Callable[[str], None],
    ) -> None:
        self._table = table
        self._rest = rest
        self._count_refusal = count_refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            raw_path = scope["raw_path"]
            found = self._table.get((scope["method"], raw_path))
            if found is not None:
                scope["path_params"] = {}
                await found.app(scope, receive, send)
                return
            if _NOT_PLAIN.search(raw_path):
                error = RequestError("bad-request", "the path is not in its plain form")
                self._count_refusal(error.kind.slug)
                await answer_problem(error, exchange_of(scope), send, new_request_id())
                return
        await self._rest(scope, receive, send)


async def _no_route(request: Request, error: HTTPException) -> Any:
    allow = _allowed(request) if error.status_code == 405 else None
    slug = "method-not-allowed" if error.status_code == 405 else "not-found"
    detail = "the path has other methods" if error.status_code == 405 else "no such path"
    problem = RequestError(slug, detail, allow)
    service: Service = request.app.service
    service.count_refusal(slug)
    return _Problem(problem)


def _allowed(request: Request) -> str:
    """Every method of the path; the router names those of the first route that fits alone."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods
    return ", ".join(sorted(found))


class _Problem:
    """A response that Starlette sends for us."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        await answer_problem(self._error, exchange_of(scope), send, new_request_id())


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    if not isinstance(app, Application):
        raise ConfigurationError("this lifespan is that of the service alone")
    service = app.service
    if not app.behind_front_door:
        _warn_of_absent_guards(service.settings)
    try:
        await service.start()
    except MfnError:  # of which it has told
        raise
    except Exception as error:
        log_unexpected(error, "start")
        raise
    try:
        yield
    finally:
        await service.close()


def _warn_of_absent_guards(settings: Settings) -> None:
    """Say what this server lacks; in production a proxy must be named that has it."""
    guards = ", ".join(ABSENT_GUARDS)
    if settings.server.production and not settings.server.trusted_proxies:
        raise ConfigurationError(
            f"not started by 'mfn serve', so these are absent: {guards}; in production name the"
            " proxy that sees to them in server.trusted_proxies"
        )
    _LOG.warning("not started by 'mfn serve', so these are absent: %s", guards)


def create_app(
    settings: Settings | None = None,
    *,
    passphrase: Passphrase = None,
    behind_front_door: bool = False,
    metrics_folder: str | None = None,
    authority: str | None = None,
) -> Application:
    """The service over the store that the settings name; by default those of the environment.

    ``behind_front_door`` says that `mfn serve` runs it, and ``metrics_folder`` is where it sums
    up the metrics of several workers. ``authority`` is the address that is served, which signed
    requests are for where the settings name no other. Raises :class:`ConfigurationError`.
    """
    service = Service(
        settings or load_settings(), passphrase, metrics_folder=metrics_folder, authority=authority
    )
    return Application(service, behind_front_door=behind_front_door)
