"""The plan's middleware: requests must be signed, by registered signers, in any ASGI application.

    app.add_middleware(
        SignatureVerificationMiddleware, keyring=keyring, authority="api.example.com",
        policy="required", rules={"/health": "off"},
    )

In FastAPI the plan's other form works too, ``app.middleware("http")(middleware)`` with a
:class:`SignatureVerificationMiddleware` that was made without an application. It reads the whole
body before the application does, and never sees a websocket.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    InvalidSignatureError,
    RequestSignatureError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import NonceStore
from mycelium_fractal_net.security.signed_requests.asgi import BodyTooLargeError, read_body, view_of
from mycelium_fractal_net.security.signed_requests.replay import ReplayGuard
from mycelium_fractal_net.security.signed_requests.rules import Rules, SigningPolicy
from mycelium_fractal_net.security.signed_requests.verifier import (
    RequestVerifier,
    bears_signature,
    credential_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mycelium_fractal_net.security.http_signatures.content_digest import BodyDigest
    from mycelium_fractal_net.security.http_signatures.messages import RequestView
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.signed_requests.asgi import (
        Application,
        Message,
        Receive,
        Scope,
        Send,
    )

__all__ = ["PRESENTED", "SIGNER", "SignatureVerificationMiddleware", "verifier_of"]

_LOG: Final = logging.getLogger(__name__)

SIGNER: Final = "mycelium_fractal_net.signer"
"""Where the scope of a request that was verified has the name of its signer."""
PRESENTED: Final = "mycelium_fractal_net.presented"
"""Where the scope of a request has its API key as it was read, None where it has none."""

_MAX_BODY_BYTES: Final = 8_388_608
_POLICY_VIOLATION: Final = 1008  # RFC 6455 section 7.4.1
_INVALID: Final = {
    "error": "Invalid signature",
    "type": "/problems/request-signature",
    "title": "The request is not signed as it must be",
    "status": 401,
    "detail": "one valid signature is needed, by a registered signer, of this request and no other",
}
_UNAVAILABLE: Final = {
    "type": "/problems/store-unavailable",
    "title": "The key store does not answer",
    "status": 503,
    "detail": "the request's nonce cannot be stored; try again with a new signature",
}
_TOO_LARGE: Final = {
    "type": "/problems/too-large",
    "title": "The body is too large",
    "status": 413,
    "detail": "a signed body is read whole before it is handed on",
}


def verifier_of(keyring: Keyring, authority: str, *, skew_seconds: int = 30) -> RequestVerifier:
    """What verifies requests to ``authority`` by the signers of a keyring's store."""
    return RequestVerifier(
        SignerDirectory(keyring.provider, keyring.freshness),
        ReplayGuard(NonceStore(keyring.provider.store.database), skew_seconds=skew_seconds),
        authority=authority,
        skew_seconds=skew_seconds,
    )


class SignatureVerificationMiddleware:
    """Verify signatures on API requests.

    ``app`` is the application behind it, none for the form ``app.middleware("http")(…)``.
    Requests are verified by the signers of ``keyring``, or by a ``verifier``. ``authority`` is
    the host that requests are made to, as clients know it; ``scheme`` theirs, where a proxy
    changes it. ``policy`` and ``rules`` are those of :class:`.Rules`; ``decide`` takes their place
    and gives a policy for a scope. ``flows`` says of a scope that its body is handed on as it
    comes, hashed on the way. ``refused`` is told of each refusal.

    A credential that a signer names works only with a signature, whatever the policy.
    """

    def __init__(
        self,
        app: Application | None = None,
        *,
        keyring: Keyring | None = None,
        verifier: RequestVerifier | None = None,
        authority: str | None = None,
        scheme: str | None = None,
        policy: str = SigningPolicy.REQUIRED,
        rules: Mapping[str, str] | None = None,
        decide: Callable[[Scope], SigningPolicy] | None = None,
        flows: Callable[[Scope], bool] | None = None,
        refused: Callable[[str], None] | None = None,
        max_body_bytes: int = _MAX_BODY_BYTES,
    ) -> None:
        if verifier is None:
            if keyring is None or authority is None:
                raise ConfigurationError(
                    "request signing needs a keyring and the authority that requests are made to"
                )
            verifier = verifier_of(keyring, authority)
        self._app = app
        self._verifier = verifier
        self._scheme = scheme
        self._decide = decide or Rules(policy, rules).of
        self._flows = flows or (lambda _: False)
        self._refused = refused or (lambda _: None)
        self._max_body_bytes = max_body_bytes

    async def __call__(self, first: Any, second: Any, third: Any = None) -> Any:
        """Serve as ASGI does, or as the plan's ``(request, call_next)``."""
        if third is None:
            return await self._dispatch(first, second)
        if self._app is None:
            raise ConfigurationError("this middleware was made without an application")
        await self._serve(self._app, first, second, third)
        return None

    # ASGI ---------------------------------------------------------------------------------

    async def _serve(self, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            if self._decide(scope) is SigningPolicy.OFF:
                await app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = view_of(scope, self._verifier.authority, self._scheme)
        scope[PRESENTED] = request.presented
        try:
            if not await self._is_to_be_verified(scope, request):
                await app(scope, receive, send)
            elif self._flows(scope):
                await self._serve_flow(app, scope, receive, send, request)
            else:
                body = await read_body(scope, receive, self._max_body_bytes)
                if body is not None:
                    scope[SIGNER] = await self._verifier.verify(request, body.content)
                    await app(scope, body.receive, send)
        except (InvalidSignatureError, StoreUnavailableError, BodyTooLargeError) as error:
            if SIGNER in scope:  # it was verified: the application's own error
                raise
            await _answer(self._refusal(error), send)

    async def _serve_flow(
        self, app: Application, scope: Scope, receive: Receive, send: Send, request: RequestView
    ) -> None:
        """The head is verified before any of the body is read, the body as it comes."""
        head = await self._verifier.verify_head(request)
        scope[SIGNER] = head.signer
        checked = receive if head.digest is None else _checked(receive, head.digest)
        await app(scope, checked, send)

    async def _is_to_be_verified(self, scope: Scope, request: RequestView) -> bool:
        """Whether the request must be verified, or passes without.

        Raises :class:`InvalidSignatureError` where it must be signed and is not.
        """
        policy = self._decide(scope)
        credential_id = credential_id_of(request)
        bound = bool(credential_id) and await self._verifier.is_bound(credential_id or "")
        if bears_signature(request):
            return bound or policy is not SigningPolicy.OFF
        if bound or policy is SigningPolicy.REQUIRED:
            raise InvalidSignatureError
        return False

    def _refusal(self, error: Exception) -> dict[str, Any]:
        if isinstance(error, StoreUnavailableError):
            _LOG.warning("a signed request was refused: %s", error)
            found = _UNAVAILABLE
        else:
            found = _TOO_LARGE if isinstance(error, BodyTooLargeError) else _INVALID
        self._refused(str(found["type"]).rpartition("/")[2])
        return found

    # The plan's form ----------------------------------------------------------------------

    async def _dispatch(self, request: Any, call_next: Any) -> Any:
        scope = request.scope
        try:
            view = view_of(scope, self._verifier.authority, self._scheme)
            if await self._is_to_be_verified(scope, view):
                scope[SIGNER] = await self._verifier.verify(view, await request.body())
        except (InvalidSignatureError, StoreUnavailableError) as error:
            return _Answer(self._refusal(error))
        return await call_next(request)


def _checked(receive: Receive, digest: BodyDigest) -> Receive:
    """The parts of a body; the last one comes only if all of them fit the signed digest."""

    async def checked() -> Message:
        message = await receive()
        if message["type"] == "http.request":
            digest.update(message.get("body", b""))
            if not message.get("more_body", False):
                try:
                    digest.check()
                except InvalidSignatureError:
                    raise RequestSignatureError from None
        return message

    return checked


async def _answer(problem: dict[str, Any], send: Send) -> None:
    payload = json.dumps(problem).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(payload)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if problem["status"] == 401:
        headers.append((b"www-authenticate", b'Signature realm="mycelium-fractal-net"'))
    if problem["status"] == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": problem["status"], "headers": headers})
    await send({"type": "http.response.body", "body": payload})


class _Answer:
    """A response in the plan's form, without a framework to make one."""

    def __init__(self, problem: dict[str, Any]) -> None:
        self._problem = problem

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await _answer(self._problem, send)
