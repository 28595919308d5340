"""Signed answers, bound to the request that each of them answers: RFC 9421 section 2.4.

    app.add_middleware(
        ResponseSigningMiddleware, keyring=keyring, key_id="service", authority="api.example.com"
    )

The key is one of the keyring's, of use ``request``, whose public key the peers find at
``/.well-known/jwks.json``; ``keyid`` is its version id.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.http_signatures.content_digest import content_digest
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    SignatureParameters,
    sign,
)
from mycelium_fractal_net.security.http_signatures.messages import ResponseView
from mycelium_fractal_net.security.signed_requests.asgi import EXCHANGE, view_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.signed_requests.asgi import (
        Application,
        Message,
        Receive,
        Scope,
        Send,
    )

__all__ = ["ResponseSigningMiddleware"]

LIFETIME_SECONDS: Final = 300
_MAX_BODY_BYTES: Final = 8_388_608
_LABEL: Final = "answer"
_TARGET: Final = ('"@method";req', '"@authority";req', '"@path";req', '"@query";req')


class ResponseSigningMiddleware:
    """Sign each answer that is at most ``max_body_bytes`` long.

    Such an answer is held back until all of it is there, since its digest is signed. A longer one,
    and those of which ``flows`` says so, pass unsigned. ``authority`` and ``scheme`` are those
    that clients make their requests to. ``in_thread`` runs what signs, which may wait; what it
    raises passes through, before anything was sent.
    """

    def __init__(
        self,
        app: Application,
        *,
        keyring: Keyring,
        key_id: str,
        authority: str,
        scheme: str | None = None,
        flows: Callable[[Scope], bool] | None = None,
        max_body_bytes: int = _MAX_BODY_BYTES,
        in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread,
    ) -> None:
        if not authority:
            raise ConfigurationError("signed answers need the authority that requests are made to")
        self._app = app
        self._keyring = keyring
        self._key_id = key_id
        self._authority = authority
        self._scheme = scheme
        self._flows = flows or (lambda _: False)
        self._max_body_bytes = max_body_bytes
        self._in_thread = in_thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve; an ASGI application."""
        if scope["type"] != "http" or self._flows(scope):
            await self._app(scope, receive, send)
            return
        (scope.get("extensions") or {}).pop(EXCHANGE, None)  # it would answer past us
        held = _Held(self._max_body_bytes, send)
        await self._app(scope, receive, held.send)
        if held.start is not None:
            headers = await self._signed(scope, held.start, held.body)
            await send({**held.start, "headers": headers})
            await send({"type": "http.response.body", "body": held.body})

    async def _signed(self, scope: Scope, start: Message, body: bytes) -> list[tuple[bytes, bytes]]:
        headers = [(name.lower(), value) for name, value in start.get("headers", ())]
        components = ["@status", *_TARGET]
        if any(name == b"signature" for name, _ in scope["headers"]):
            components.append('"signature";req')
        if body:
            headers.append((b"content-digest", content_digest(body).encode()))
            components.append("content-digest")
            if any(name == b"content-type" for name, _ in headers):
                components.append("content-type")
        request = view_of(scope, self._authority, self._scheme)
        view = ResponseView(start["status"], headers, request)
        made = await self._in_thread(self._sign, view, components)
        return [*headers, (b"signature-input", made[0]), (b"signature", made[1])]

    def _sign(self, view: ResponseView, components: list[str]) -> tuple[bytes, bytes]:
        now = int(time.time())
        version = self._keyring.request_key(self._key_id)
        parameters = SignatureParameters(
            created=now, expires=now + LIFETIME_SECONDS, keyid=version, tag=TAG
        )
        made, signature = sign(
            view,
            label=_LABEL,
            components=components,
            parameters=parameters,
            signer=lambda base: self._keyring.sign_request(base, key_id=version),
        )
        return made.encode(), signature.encode()


class _Held:
    """An answer that is held back until it is whole, or handed on where it grows too long."""

    def __init__(self, most: int, send: Send) -> None:
        self.start: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._most = most
        self._send = send
        self._passes = False

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    async def send(self, message: Message) -> None:
        """Take a message of the application."""
        if self._passes:
            await self._send(message)
        elif message["type"] == "http.response.start":
            self.start = message
        else:
            self._parts.append(message.get("body", b""))
            self._size += len(self._parts[-1])
            if self._size > self._most and self.start is not None:
                start, self.start, self._passes = self.start, None, True
                await self._send(start)
                await self._send({**message, "body": self.body})
