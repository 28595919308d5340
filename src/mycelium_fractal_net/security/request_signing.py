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

from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    InvalidSignatureError,
    MfnError,
    RequestSignatureError,
)
from mycelium_fractal_net.security.key_store import NonceStore
from mycelium_fractal_net.security.signed_requests.asgi import (
    EXCHANGE,
    BodyTooLargeError,
    read_body,
    view_of,
)
from mycelium_fractal_net.security.signed_requests.refusals import Refusals
from mycelium_fractal_net.security.signed_requests.replay import ReplayGuard
from mycelium_fractal_net.security.signed_requests.rules import Rules, SigningPolicy
from mycelium_fractal_net.security.signed_requests.verifier import (
    RequestRefusedError,
    RequestVerifier,
    SignedHead,
    bears_signature,
    credential_id_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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

SIGNER: Final = "mycelium_fractal_net.signer"
"""Where the scope of a request that was verified has the name of its signer."""
PRESENTED: Final = "mycelium_fractal_net.presented"
"""Where the scope of a request has its API key as it was read, None where it has none."""

_MAX_BODY_BYTES: Final = 8_388_608
_POLICY_VIOLATION: Final = 1008  # RFC 6455 section 7.4.1
_UNSIGNED: Final = "it has no signature, and must have one"
_BOUND: Final = "it has no signature, and its credential works only with that of a signer"
_OTHER_BODY: Final = "the body is not the one that was signed"


def verifier_of(
    keyring: Keyring, authority: str, *, skew_seconds: int = 30, cover: Iterable[str] = ()
) -> RequestVerifier:
    """What verifies requests to ``authority`` by the signers of a keyring's store."""
    return RequestVerifier(
        SignerDirectory(keyring.provider, keyring.freshness),
        ReplayGuard(NonceStore(keyring.provider.store.database), skew_seconds=skew_seconds),
        authority=authority,
        skew_seconds=skew_seconds,
        cover=tuple(name.lower() for name in cover),
    )


class SignatureVerificationMiddleware:
    """Verify signatures on API requests.

    ``app`` is the application behind it, none for the form ``app.middleware("http")(…)``.
    Requests are verified by the signers of ``keyring``, or by a ``verifier``. ``authority`` is
    the host that requests are made to, as clients know it; ``scheme`` theirs, where a proxy
    changes it. ``policy`` and ``rules`` are those of :class:`.Rules`; ``decide`` takes their place
    and gives a policy for a scope. ``flows`` says of a scope that its body is handed on as it
    comes, hashed on the way. ``cover`` are the headers by which the application does something
    else: where one is sent it must be signed. ``refused`` is told of each refusal, and
    ``request_id`` gives the ids that answers and the log have of them.

    A credential that a signer names works only with a signature, whatever the policy.
    ``falls_back`` is for an application that sees to that by itself, so that a bound credential is
    refused there as any other that is not accepted: unsigned ones are handed on, and of the scopes
    of which it says so also those whose signature is not valid, as unsigned.
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
        falls_back: Callable[[Scope], bool] | None = None,
        cover: Iterable[str] = (),
        refused: Callable[[str], None] | None = None,
        request_id: Callable[[], str] | None = None,
        max_body_bytes: int = _MAX_BODY_BYTES,
    ) -> None:
        if verifier is None:
            if keyring is None or authority is None:
                raise ConfigurationError(
                    "request signing needs a keyring and the authority that requests are made to"
                )
            verifier = verifier_of(keyring, authority, cover=cover)
        self._app = app
        self._verifier = verifier
        self._scheme = scheme
        self._decide = decide or Rules(policy, rules).of
        self._flows = flows or (lambda _: False)
        self._refuses_bound = falls_back is None
        self._falls_back = falls_back or (lambda _: False)
        self._refusals = Refusals(refused, request_id)
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
        head: SignedHead | None = None
        try:
            if await self._is_to_be_verified(scope, request):
                head = await self._verifier.verify_head(request)
                if self._flows(scope):
                    scope[SIGNER], digest = await self._verifier.begin_flow(head)
                    flow = _Flow(receive, send, digest)
                    await flow.serve(app, scope, self._refusals)
                    return
                body = await read_body(scope, receive, self._max_body_bytes)
                if body is None:
                    return
                receive = body.receive
                scope[SIGNER] = await self._verifier.finish(request, head, body.content)
        except (MfnError, BodyTooLargeError) as error:
            if SIGNER in scope:  # it was verified: the application's own error
                raise
            if isinstance(error, BodyTooLargeError) or not self._falls_back(scope):
                await self._refusals.answer(error, verified=head is not None)(scope, receive, send)
                return
            self._refusals.tell(error)
        await app(scope, receive, send)

    async def _is_to_be_verified(self, scope: Scope, request: RequestView) -> bool:
        """Whether the request must be verified, or passes without.

        Raises :class:`InvalidSignatureError` where it must be signed and is not.
        """
        policy = self._decide(scope)
        credential_id = credential_id_of(request)
        bound = bool(credential_id) and await self._verifier.is_bound(credential_id or "")
        if bears_signature(request):
            return bound or policy is not SigningPolicy.OFF
        if policy is SigningPolicy.REQUIRED or (bound and self._refuses_bound):
            raise RequestRefusedError(_BOUND if bound else _UNSIGNED)
        if bound:
            self._refusals.tell(RequestRefusedError(_BOUND))
        return False

    # The plan's form ----------------------------------------------------------------------

    async def _dispatch(self, request: Any, call_next: Any) -> Any:
        scope = request.scope
        head: SignedHead | None = None
        try:
            view = view_of(scope, self._verifier.authority, self._scheme)
            if await self._is_to_be_verified(scope, view):
                head = await self._verifier.verify_head(view)
                scope[SIGNER] = await self._verifier.finish(view, head, await request.body())
        except MfnError as error:
            return self._refusals.answer(error, verified=head is not None)
        return await call_next(request)


class _Flow:
    """A request whose body is checked as it is handed on.

    The last part comes only if all of them fit the signed digest; what does not fit raises
    :class:`RequestSignatureError` in the application. Whatever that makes of it: before its answer
    began the client gets a refusal, unless the application refuses by itself, and an answer that
    began is never ended, so that the server cuts the connection.
    """

    def __init__(self, receive: Receive, send: Send, digest: BodyDigest) -> None:
        self._receive = receive
        self._send = send
        self._digest = digest
        self._is_wrong = self._begun = self._refuses = False

    async def serve(self, app: Application, scope: Scope, refusals: Refusals) -> None:
        """Run the application."""
        (scope.get("extensions") or {}).pop(EXCHANGE, None)  # it would answer past us
        try:
            await app(scope, self.receive, self.send)
        except RequestSignatureError:
            if not self._is_wrong:
                raise
        if self._is_wrong and not self._begun:
            refusal = refusals.answer(RequestRefusedError(_OTHER_BODY, scope[SIGNER]))
            await refusal(scope, self._receive, self._send)

    async def receive(self) -> Message:
        """The next part."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._digest.update(message.get("body", b""))
            if not message.get("more_body", False):
                try:
                    self._digest.check()
                except InvalidSignatureError:
                    self._is_wrong = True
                    raise RequestSignatureError from None
        return message

    async def send(self, message: Message) -> None:
        """Hand on what the application answers, but no answer to a body that is wrong."""
        if message["type"] == "http.response.start":
            self._refuses = self._is_wrong and message["status"] >= 400
            if self._is_wrong and not self._refuses:
                return
            self._begun = True
        elif self._is_wrong and not self._refuses:
            return
        await self._send(message)
