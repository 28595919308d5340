"""Signed requests before every route of the service: the plan's middleware, with our own routes."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.http.request_ids import new_request_id
from mycelium_fractal_net.api.http.responses import refuse
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.request_signing import SignatureVerificationMiddleware
from mycelium_fractal_net.security.response_signing import ResponseSigningMiddleware
from mycelium_fractal_net.security.signed_requests.rules import SigningPolicy

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mycelium_fractal_net.api.endpoints.route import ServiceRoute
    from mycelium_fractal_net.api.service.service import Service

_LOG: Final = logging.getLogger(__name__)
ROUTE: Final = "mycelium_fractal_net.route"
"""Where the scope of a request has the route that will run, None where none of ours does."""


class RequestSigning:
    """``server.request_signing`` for all routes but public and unsigned ones.

    ``app`` runs the route that the scope names. A request that no route takes gets the policy of
    the settings. On an unsigned route a credential that a signer names needs a signature all the
    same.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        server = service.settings.server
        self._policy = SigningPolicy(server.request_signing)
        self._signing_key = server.sign_answers_with

    def passes(self, route: ServiceRoute | None) -> bool:
        """Whether a request of that route has nothing to do with signatures."""
        if not self._service.enabled:
            return True
        return self._signing_key is None and self._needs_no_signature(route)

    def _needs_no_signature(self, route: ServiceRoute | None) -> bool:
        if route is not None and route.spec.public:
            return not route.spec.knows_callers
        return self._policy_of(route) is SigningPolicy.OFF and self._service.directory.binds_nobody

    def _policy_of(self, route: ServiceRoute | None) -> SigningPolicy:
        if route is not None and route.spec.knows_callers:
            return SigningPolicy.OPTIONAL
        return SigningPolicy.OFF if route is not None and route.is_unsigned else self._policy

    def _falls_back(self, scope: Any) -> bool:
        route: ServiceRoute | None = scope.get(ROUTE)
        known = route is not None and route.spec.knows_callers
        return known or self._policy_of(route) is SigningPolicy.OFF

    @cached_property
    def guarded(self) -> ASGIApp:
        """Takes what does not pass: verifies requests, and signs responses where that is on."""
        if self._signing_key is None:
            return self._verifying
        service = self._service
        signing = ResponseSigningMiddleware(
            self._verified,
            keyring=service.keyring,
            key_id=self._signing_key,
            authority=service.authority,
            scheme=self._scheme,
            flows=self._flows,
            in_thread=service.in_signing_thread,
        )

        async def signed(scope: Scope, receive: Receive, send: Send) -> None:
            try:
                await signing(scope, receive, send)
            except (MfnError, RequestError) as error:  # of the signature; nothing was sent yet
                _LOG.warning("an answer is not signed, and not given: %s", error)
                await refuse(error, scope, send)

        return signed

    @cached_property
    def _verifying(self) -> SignatureVerificationMiddleware:
        service = self._service
        return SignatureVerificationMiddleware(
            self._app,
            verifier=service.verifier,
            scheme=self._scheme,
            decide=lambda scope: self._policy_of(scope.get(ROUTE)),
            flows=self._flows,
            falls_back=self._falls_back,
            refused=service.count_refusal,
            request_id=new_request_id,
            max_body_bytes=service.max_body_bytes,
        )

    async def _verified(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._needs_no_signature(scope.get(ROUTE)):
            await self._app(scope, receive, send)
        else:
            await self._verifying(scope, receive, send)

    @property
    def _scheme(self) -> str | None:
        return "https" if self._service.settings.security.tls.required else None

    def _flows(self, scope: Any) -> bool:
        route: ServiceRoute | None = scope[ROUTE]
        return route is not None and route.spec.streams
