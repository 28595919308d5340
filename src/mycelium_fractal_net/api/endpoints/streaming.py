"""Routes that work on a stream of any length in constant memory.

Two records each: *begun* before the first byte of the answer, *ended* before its last. What goes
wrong after the first byte ends the connection abnormally, so that nobody takes a part for all.
Every few seconds caller and key version are looked at again: a revocation ends what is under way.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Protocol

from mycelium_fractal_net.api.endpoints.access_log import SERVED
from mycelium_fractal_net.api.endpoints.context import RECHECK_SECONDS, Context
from mycelium_fractal_net.api.endpoints.route import ServiceRoute
from mycelium_fractal_net.api.http.exchange import exchange_of
from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.http.requests import read_headers
from mycelium_fractal_net.api.http.responses import COMMON_HEADERS
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.errors import AuditUnavailableError, kind_of
from mycelium_fractal_net.security.request_signing import SIGNER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import Receive, Scope, Send

    from mycelium_fractal_net.api.http.requests import Headers

OCTETS: Final = b"application/octet-stream"


class StreamCutError(Exception):
    """Ends a connection whose answer cannot be finished. The server closes it, and logs nothing."""


class _DisconnectedError(Exception):
    """The client went away."""


class StreamTransform(Protocol):
    """What a stream's handler returns: bytes in, bytes out."""

    beginning_bytes: int
    """How much must be there for :meth:`begin`, unless the stream ends before."""

    def begin(self, context: Context, beginning: bytes) -> bytes:
        """Find the key, which may block; returns what of ``beginning`` has still to be fed."""

    def answer_bytes(self, length: int) -> int:
        """The size of the answer to a body of ``length`` bytes."""

    def update(self, data: bytes) -> bytes:
        """The next part of the answer, which may be empty."""

    def finalize(self) -> bytes:
        """The last part."""

    def look_again(self, context: Context) -> None:
        """Raise where the caller may no longer do this, or the key version may not serve it."""


class StreamRoute(ServiceRoute):
    """A route whose body and answer are ``application/octet-stream``."""

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an ASGI application."""
        started = perf_counter()
        service, spec = self.service, self.spec
        context = Context(service, spec.event, exchange_of(scope))
        context.signer = scope.get(SIGNER)
        if SERVED in scope:
            scope[SERVED].context = context
        begun = False
        size = 0
        try:
            if context.exchange is not None:
                context.exchange.let_body_pass()
            headers = context.headers = read_headers(scope)
            await self._admit(context, scope, headers)
            _check(scope, headers)
            transform: StreamTransform = self._endpoint(context, *self._arguments(scope, b""))
            parts = _parts(receive)
            beginning, whole = await _beginning(parts, transform.beginning_bytes)
            try:
                rest = transform.begin(context, beginning)
            except WouldBlockError:
                rest = await context.in_thread(_begin, transform, beginning)
            look_again = partial(_look_again, context, transform)
            parts = _while_permitted(parts, look_again, started + RECHECK_SECONDS)
            length = headers.content_length
            answered = None if length is None else transform.answer_bytes(length)
            first = transform.update(rest)
            size = len(beginning)
            last: bytes | None = None
            if whole or answered == 0:
                # Nothing is missing from an answer of no bytes when it is cut, so all of the body
                # comes first: no more than an empty message, whose size was declared.
                async for part in parts:
                    size += len(part)
                    first += transform.update(part)
                last = transform.finalize()
            await service.durability.record(context.outcome("begun"))
            begun = True
            await send(_start(context, answered))
            # The end of a message may stand for no byte of the answer. So some of what comes
            # before is held back until the end is seen, or all that was declared would be there.
            held = first
            async for part in parts:
                size += len(part)
                if made := transform.update(part):
                    await _send_part(send, held)
                    held = made
            if last is None:
                last = transform.finalize()
            await service.durability.record(context.outcome("ok", size))
            await send({"type": "http.response.body", "body": held + last})
        except asyncio.CancelledError:  # the service ends, and waited as long as it may
            if begun:
                with contextlib.suppress(AuditUnavailableError):
                    service.audit.append(context.outcome("interrupted", size))
            raise
        except Exception as error:
            if not begun:
                if not isinstance(error, _DisconnectedError):
                    await self._refuse(context, error, send, started)
                return
            await self._cut(context, error, size)
            raise StreamCutError from None
        service.metrics.observe(spec.event, 200, perf_counter() - started)

    async def _cut(self, context: Context, error: Exception, size: int) -> None:
        """Record how a stream ended that was begun and not finished."""
        outcome = "disconnected" if isinstance(error, _DisconnectedError) else kind_of(error).slug
        self.service.metrics.observe(context.event, 499 if outcome == "disconnected" else 500, 0.0)
        # Where the log fails there is a beginning without an end, as after a crash.
        with contextlib.suppress(AuditUnavailableError):
            await self.service.durability.record(context.outcome(outcome, size))


def _begin(context: Context, transform: StreamTransform, beginning: bytes) -> bytes:
    return transform.begin(context, beginning)


async def _while_permitted(
    parts: AsyncIterator[bytes], look_again: Callable[[], Awaitable[None]], due: float
) -> AsyncIterator[bytes]:
    """The parts and their end, for as long as it is allowed to go on with them."""
    async for part in parts:
        if perf_counter() >= due:
            await look_again()
            due = perf_counter() + RECHECK_SECONDS
        yield part
    if perf_counter() >= due:
        await look_again()


async def _look_again(context: Context, transform: StreamTransform) -> None:
    try:
        _is_permitted(context, transform)
    except WouldBlockError:
        await context.in_thread(_is_permitted, transform)


def _is_permitted(context: Context, transform: StreamTransform) -> None:
    context.look_again()
    transform.look_again(context)


def _check(scope: Scope, headers: Headers) -> None:
    if headers.content_type.lower() != OCTETS:
        raise RequestError("unsupported-media-type", "the body must be application/octet-stream")
    if scope["http_version"] == "1.0":
        raise RequestError("http-version", "a stream's end cannot be told in HTTP/1.0")


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    """The parts of the body as they come. Raises where the client went away."""
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise _DisconnectedError
        more = message.get("more_body", False)
        if body := message.get("body", b""):
            yield body


async def _beginning(parts: AsyncIterator[bytes], wanted: int) -> tuple[bytes, bool]:
    """At least ``wanted`` bytes, or all there are, and whether they are that."""
    beginning = b""
    while len(beginning) < wanted:
        part = await anext(parts, b"")
        if not part:
            return beginning, True
        beginning += part
    return beginning, False


def _start(context: Context, length: int | None) -> dict[str, Any]:
    headers = [
        *COMMON_HEADERS,
        (b"content-type", OCTETS),
        (b"x-request-id", context.request_id.encode()),
        (b"x-key-id", (context.key or "").encode()),
    ]
    if length is not None:
        headers.append((b"content-length", b"%d" % length))
    if context.caller.due:
        headers.append((b"x-api-key-rotation-due", context.caller.due_text.encode()))
    return {"type": "http.response.start", "status": 200, "headers": headers}


async def _send_part(send: Send, part: bytes) -> None:
    if part:
        await send({"type": "http.response.body", "body": part, "more_body": True})
