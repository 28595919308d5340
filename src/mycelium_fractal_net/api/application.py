"""The application: FastAPI's description, with our own routing before its own."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import Match

from mycelium_fractal_net import __version__
from mycelium_fractal_net.api.endpoints.access_log import AccessLog
from mycelium_fractal_net.api.endpoints.route import ServiceRoute
from mycelium_fractal_net.api.endpoints.streaming import StreamRoute
from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.http.responses import log_unexpected, refuse
from mycelium_fractal_net.api.openapi.document import described, document
from mycelium_fractal_net.api.openapi.pages import documentation_pages
from mycelium_fractal_net.api.rate_limits.middleware import AddressRateLimit
from mycelium_fractal_net.api.routes import SPECS
from mycelium_fractal_net.api.routing import RouteTable, Routing
from mycelium_fractal_net.api.service.service import Service
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ConfigurationError, MfnError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings

_LOG: Final = logging.getLogger(__name__)
ABSENT_GUARDS: Final = (
    "a time limit for slow clients",
    "a bound on connections",
    "a bound on headers",
    "a bound on what is held in memory",
    "a bound on how long requests wait for their turn",
    "TLS",
)
"""What the application cannot see to by itself, under whatever server it runs."""


class Application(FastAPI):
    """The service as an ASGI application. ``add_middleware`` wraps every route of it."""

    def __init__(self, service: Service, *, behind_frontend: bool) -> None:
        documented = not service.settings.server.production
        super().__init__(
            title="MyceliumFractalNet Security",
            summary="Keys, encryption and signatures over one keyring.",
            version=__version__,
            lifespan=_lifespan,
            docs_url=None,
            redoc_url=None,
            openapi_url="/openapi.json" if documented else None,
            redirect_slashes=False,  # it would lead to whatever Host the request names
        )
        if documented:
            self.router.routes += documentation_pages()
        self.service = service
        self.behind_frontend = behind_frontend
        for spec in SPECS:
            kind = StreamRoute if spec.streams else ServiceRoute
            self.router.routes.append(kind(spec, service, **described(spec)))
        self.add_exception_handler(HTTPException, _no_route)  # type: ignore[arg-type]
        known = {spec.name for spec in SPECS}
        if not known.issuperset(service.settings.server.unsigned_routes):
            raise ConfigurationError(
                "server.unsigned_routes names what is no route; one is such as GET /keys/{key_id}"
            )
        self.table = RouteTable(self.router.routes)

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
            self.openapi_schema = document(self)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """Middleware that was added, around our routing, around FastAPI's own."""
        service = self.service
        added, self.user_middleware = self.user_middleware, []
        rest = super().build_middleware_stack()
        app: ASGIApp = Routing(self.table, rest, service)
        self.user_middleware = added
        for each in reversed(added):
            app = each.cls(app, *each.args, **each.kwargs)
        proxies = service.settings.server.trusted_proxies
        if service.rates is not None:
            app = AddressRateLimit(
                app,
                service.rates.requests_per_address,
                proxies,
                service.count_refusal,
                service.executors.in_thread,
            )
        return AccessLog(app, proxies) if service.settings.log.access else app


async def _no_route(request: Request, error: HTTPException) -> Any:
    allow = _allowed(request) if error.status_code == 405 else None
    slug = "method-not-allowed" if error.status_code == 405 else "not-found"
    detail = "the path has other methods" if error.status_code == 405 else "no such path"
    problem = RequestError(slug, detail, allow)
    service: Service = request.app.service
    service.count_refusal(slug)
    return lambda scope, _receive, send: refuse(problem, scope, send)


def _allowed(request: Request) -> str:
    """Every method of the path; the router names those of the first route that fits alone."""
    found: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods
    return ", ".join(sorted(found))


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    if not isinstance(app, Application):
        raise ConfigurationError("this lifespan is that of the service alone")
    service = app.service
    if not app.behind_frontend:
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
    behind_frontend: bool = False,
    metrics_folder: Path | None = None,
    authority: str | None = None,
) -> Application:
    """The service over the store that the settings name; by default those of the environment.

    ``behind_frontend`` says that `mfn serve` runs it, and ``metrics_folder`` is where it sums
    up the metrics of several workers. ``authority`` is the address that is served, which signed
    requests are for where the settings name no other. Raises :class:`ConfigurationError`.
    """
    service = Service(
        settings or load_settings(), passphrase, metrics_folder=metrics_folder, authority=authority
    )
    return Application(service, behind_frontend=behind_frontend)
