"""Signed requests before every route of the service: the plan's middleware, with our own routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.api.streaming import StreamOperation
from mycelium_fractal_net.security.request_signing import SignatureVerificationMiddleware
from mycelium_fractal_net.security.response_signing import ResponseSigningMiddleware
from mycelium_fractal_net.security.signed_requests.rules import SigningPolicy

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mycelium_fractal_net.api.application import Application

__all__ = ["RequestSigning"]


class RequestSigning:
    """Middleware of the service: ``server.request_signing`` for all but the public routes.

    Which route runs is asked of the application that will run it. A request that no route takes
    gets the policy of the settings.
    """

    def __init__(self, app: ASGIApp, *, application: Application) -> None:
        self._app = app
        self._application = application
        self._policy = SigningPolicy(application.service.settings.server.request_signing)
        self._verifying: SignatureVerificationMiddleware | None = None
        self._signing: ResponseSigningMiddleware | None = None
        self._signs_answers = application.service.settings.server.sign_answers_with is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an ASGI application."""
        service = self._application.service
        if scope["type"] == "lifespan" or not service.enabled:
            await self._app(scope, receive, send)
            return
        if self._signs_answers:
            if self._signing is None:
                self._signing = self._made_signing()
            await self._signing(scope, receive, send)
        else:
            await self._verified(scope, receive, send)

    async def _verified(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self._application.service
        route = self._application.route_of(scope) if scope["type"] == "http" else None
        if route is not None and route.spec.public:
            await self._app(scope, receive, send)
            return
        if self._policy is SigningPolicy.OFF and service.signers.binds_nobody:
            await self._app(scope, receive, send)
            return
        if self._verifying is None:
            self._verifying = self._made()
        await self._verifying(scope, receive, send)

    def _made(self) -> SignatureVerificationMiddleware:
        service = self._application.service
        return SignatureVerificationMiddleware(
            self._app,
            verifier=service.verifier,
            scheme="https" if service.settings.security.tls.required else None,
            decide=self._decide,
            flows=self._flows,
            refused=service.count_refusal,
            max_body_bytes=service.max_body_bytes,
        )

    def _made_signing(self) -> ResponseSigningMiddleware:
        service = self._application.service
        return ResponseSigningMiddleware(
            self._verified,
            keyring=service.keyring,
            key_id=service.settings.server.sign_answers_with or "",
            authority=service.authority,
            scheme="https" if service.settings.security.tls.required else None,
            flows=self._flows,
        )

    def _decide(self, _scope: Any) -> SigningPolicy:
        return self._policy

    def _flows(self, scope: Any) -> bool:
        return isinstance(self._application.route_of(scope), StreamOperation)
